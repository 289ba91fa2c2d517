//! The variables of the environment: which of them fill a setting, and which setting that is.
//!
//! Separate from the layers, because most of this is names that other systems gave, and no layer depends on one.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Variables of mule-uploader's backends, of the chunk server, of AWS and of OpenTelemetry that keep working, each with the
/// setting that it fills.
pub(super) const WELL_KNOWN: &[(&str, &str)] = &[
    ("PORT", "server.port"),
    ("SERVER_PORT", "server.port"),
    ("DATABASE_URL", "database.url"),
    ("DATABASE_PATH", "database.url"),
    ("BUCKET", "s3.bucket"),
    ("S3_BUCKET", "s3.bucket"),
    ("S3_ENDPOINT", "s3.endpoint"),
    ("S3_REGION", "s3.region"),
    ("AWS_REGION", "s3.region"),
    ("AWS_PROFILE", "s3.profile"),
    ("AWS_ACCESS_KEY", "s3.access_key_id"),
    ("AWS_SECRET", "s3.secret_access_key"),
    ("AWS_ACCESS_KEY_ID", "s3.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "s3.secret_access_key"),
    ("AWS_SESSION_TOKEN", "s3.session_token"),
    ("MIME_TYPE", "protocols.mule.mime_type"),
    ("CHUNK_SIZE", "protocols.mule.chunk_size"),
    ("API_KEY", "auth.api_key"),
    ("JWT_SECRET", "auth.secret"),
    ("UPLOAD_TTL_HOURS", "uploads.ttl_hours"),
    ("UPLOAD_TTL_HOURS", "protocols.chunks.ttl_hours"),
    ("CHUNK_SIZE_MB", "protocols.chunks.chunk_size_mb"),
    ("STORAGE_BACKEND", "storage.backend"),
    ("LOCAL_STORAGE_PATH", "storage.local.path"),
    ("TEMP_STORAGE_PATH", "storage.local.temp_path"),
    ("SMB_HOST", "storage.smb.host"),
    ("SMB_PORT", "storage.smb.port"),
    ("SMB_USER", "storage.smb.user"),
    ("SMB_PASS", "storage.smb.password"),
    ("SMB_SHARE", "storage.smb.share"),
    ("SMB_PATH", "storage.smb.path"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry.headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "telemetry.headers"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.sample_ratio"),
];

/// Variables that fill no setting: they choose sources, or are for the commands that speak to a running server.
const NO_SETTINGS: [&str; 4] = [
    "MULETEER_CONFIG",
    "MULETEER_PROFILE",
    "MULETEER_API_KEY",
    "MULETEER_URL",
];

/// Prefix of variables that belong to the project's own tests.
const TEST_PREFIX: &str = "MULETEER_TEST";

/// The variables of the file `.env` in the working folder, where there is one, and what is wrong with it.
pub(super) fn dotenv() -> (BTreeMap<String, String>, Vec<String>) {
    let mut complaints = Vec::new();
    let mut variables = BTreeMap::new();
    match dotenvy::from_path_iter(".env") {
        Ok(lines) => {
            let mut last = "its beginning".to_owned();
            for line in lines {
                match line {
                    Ok((name, value)) => {
                        last.clone_from(&name);
                        variables.insert(name, value);
                    }
                    // The line itself may hold a secret, so it is told by its place.
                    Err(dotenvy::Error::LineParse(..)) => complaints.push(format!(
                        ".env: what follows {last} cannot be read: a line is NAME=value, and a value with spaces \
                         stands in quotes"
                    )),
                    Err(error) => complaints.push(format!(".env: {error}")),
                }
            }
        }
        Err(error) if error.not_found() => {}
        Err(error) => complaints.push(format!(".env: {error}")),
    }
    (variables, complaints)
}

/// The variables that count, weakest first: `(variable, setting, text)`.
pub(super) fn variables(environment: &BTreeMap<String, String>) -> Vec<(&str, String, Cow<'_, str>)> {
    let mut found = Vec::new();
    for (name, key) in WELL_KNOWN {
        if let Some(value) = environment.get(*name).filter(|value| !value.is_empty()) {
            found.push((*name, (*key).to_owned(), as_setting(name, value)));
        }
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("MULETEER_") else {
            continue;
        };
        if NO_SETTINGS.contains(&name.as_str()) || name.starts_with(TEST_PREFIX) {
            continue;
        }
        found.push((name, rest.to_ascii_lowercase().replace("__", "."), value.into()));
    }
    found
}

/// A well-known variable's text as its setting wants it. The chunk server's `DATABASE_PATH` is a bare file name, which
/// in `database.url` itself would be a mistake.
fn as_setting<'a>(name: &str, text: &'a str) -> Cow<'a, str> {
    if name == "DATABASE_PATH" && !text.contains("://") {
        return format!("sqlite://{text}").into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::shape;
    use crate::config::{LoadError, Sources, load};

    fn sources(name: &str, value: &str) -> Sources {
        Sources {
            environment: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Sources::default()
        }
    }

    #[test]
    fn a_bare_file_name_is_a_database_in_the_variable_that_means_one_and_a_mistake_elsewhere() {
        let config = load(&sources("DATABASE_PATH", "uploads.db")).unwrap();
        assert_eq!(config.database_url(), "sqlite://uploads.db");

        for name in ["DATABASE_URL", "MULETEER_DATABASE__URL"] {
            let LoadError(complaints) = load(&sources(name, "host=db password=hunter2")).unwrap_err();
            assert!(complaints[0].starts_with("database.url: "), "{complaints:?}");
            assert!(!complaints[0].contains("hunter2"), "{complaints:?}");
        }
    }

    #[test]
    fn every_well_known_variable_fills_a_setting_that_exists() {
        let shape = shape();
        for (name, key) in WELL_KNOWN {
            assert!(shape.clone().find(key).is_some(), "{name} names {key}");
        }
    }
}
