//! Reading settings in Rocket's layers: defaults ← `Rocket.toml` ← well-known variables of the systems we
//! replace ← `MULETEER_*` ← command line.
//!
//! Separate from the shape, because the layers are a mechanism that no setting needs to know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Empty, Value};
use figment::{Figment, Profile};
use serde::de::DeserializeOwned;

use super::Config;
use super::folder::doors_without_bucket;
use super::variables::{dotenv, variables};

/// Settings given on the command line, as `("server.port", "8080")`.
pub type Overrides = Vec<(&'static str, String)>;

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file; `None` reads `Rocket.toml` in the working folder if there is one.
    pub file: Option<PathBuf>,
    /// The profile; `None` takes `debug` or `release`, as we were built.
    pub profile: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Command line.
    pub overrides: Overrides,
    /// What is wrong with a source itself.
    pub complaints: Vec<String>,
}

impl Sources {
    /// The process's own environment, with what the command line says.
    pub fn from_process(file: Option<PathBuf>, profile: Option<String>, overrides: Overrides) -> Self {
        // The chunk server's installations keep their variables in a file `.env` of the working folder; real ones win.
        let (mut environment, complaints) = dotenv();
        environment.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let file = file.or_else(|| environment.get("MULETEER_CONFIG").map(PathBuf::from));
        let profile = profile.or_else(|| environment.get("MULETEER_PROFILE").cloned());
        Self {
            file,
            profile,
            environment,
            overrides,
            complaints,
        }
    }
}

/// Everything that is wrong with the settings, one complaint a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings cannot be used:\n  - {}", .0.join("\n  - "))]
pub struct LoadError(pub Vec<String>);

/// Reads and checks all settings.
///
/// # Errors
/// Every unknown key, every value of the wrong type and every impossible value, with where each was set.
pub fn load(sources: &Sources) -> Result<Config, LoadError> {
    if let Some(file) = sources.file.as_deref().filter(|file| !file.is_file()) {
        return Err(LoadError(vec![format!("there is no file {}", file.display())]));
    }
    if !sources.complaints.is_empty() {
        return Err(LoadError(sources.complaints.clone()));
    }
    let built = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let profile = Profile::new(sources.profile.as_deref().unwrap_or(built));
    let shape = shape();
    let file = sources.file.clone().unwrap_or_else(|| "Rocket.toml".into());
    let mut figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::file(file).nested());
    for (name, key, value) in variables(&sources.environment) {
        figment = figment.merge(one_value(&shape, format!("variable {name}"), &key, &value));
    }
    for (key, value) in &sources.overrides {
        figment = figment.merge(one_value(&shape, "command line".into(), key, value));
    }
    let figment = figment.select(profile);
    let config = extract(&figment)?;
    let mut complaints = config.validate();
    complaints.extend(doors_without_bucket(&config, &figment));
    if complaints.is_empty() {
        Ok(config)
    } else {
        Err(LoadError(complaints))
    }
}

/// The defaults as a tree, which tells text from numbers.
pub(super) fn shape() -> Value {
    Value::serialize(Config::default()).unwrap_or(Value::from(Empty::None))
}

/// A layer that sets one key. Text settings take the text as it stands, so that a key of digits keeps its
/// leading zeros; all others are read as TOML values.
fn one_value(shape: &Value, source: String, key: &str, text: &str) -> Figment {
    let is_text = shape
        .clone()
        .find(key)
        .is_some_and(|value| value.as_str().is_some());
    let is_list = shape
        .clone()
        .find(key)
        .is_some_and(|value| value.as_array().is_some());
    let value = if is_text {
        Value::from(text)
    } else if is_list && !text.trim_start().starts_with('[') {
        Value::from(
            text.split(',')
                .map(str::trim)
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    } else {
        text.parse().unwrap_or_else(|_| Value::from(text))
    };
    let mut nested = value;
    for piece in key.rsplit('.') {
        nested = Value::from(Dict::from([(piece.to_owned(), nested)]));
    }
    let layer = nested.into_dict().unwrap_or_default();
    Figment::from(Named { source, layer })
}

/// A layer that knows its own name, for complaints.
struct Named {
    source: String,
    layer: Dict,
}

impl figment::Provider for Named {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<figment::value::Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Global.collect(self.layer.clone()))
    }
}

/// Reads section by section, so that one bad section does not hide the complaints about the others.
fn extract(figment: &Figment) -> Result<Config, LoadError> {
    let mut complaints = Vec::new();
    let config = Config {
        data_dir: section(figment, "data_dir", &mut complaints),
        server: section(figment, "server", &mut complaints),
        database: section(figment, "database", &mut complaints),
        s3: section(figment, "s3", &mut complaints),
        dev_s3: section(figment, "dev_s3", &mut complaints),
        storage: section(figment, "storage", &mut complaints),
        auth: section(figment, "auth", &mut complaints),
        limits: section(figment, "limits", &mut complaints),
        receipts: section(figment, "receipts", &mut complaints),
        uploads: section(figment, "uploads", &mut complaints),
        protocols: section(figment, "protocols", &mut complaints),
        hooks: section(figment, "hooks", &mut complaints),
        cors: section(figment, "cors", &mut complaints),
        log: section(figment, "log", &mut complaints),
        metrics: section(figment, "metrics", &mut complaints),
        telemetry: section(figment, "telemetry", &mut complaints),
    };
    if complaints.is_empty() {
        // Only the whole knows about sections that do not exist.
        match figment.extract::<Config>() {
            Ok(_) => return Ok(config),
            Err(errors) => complaints.extend(errors.into_iter().map(|error| describe(&error))),
        }
    }
    Err(LoadError(complaints))
}

fn section<T: DeserializeOwned + Default>(figment: &Figment, key: &str, complaints: &mut Vec<String>) -> T {
    figment.extract_inner(key).unwrap_or_else(|errors| {
        complaints.extend(errors.into_iter().map(|mut error| {
            // figment puts the section's own name last.
            if error.path.last().is_some_and(|last| last == key) {
                error.path.rotate_right(1);
            }
            describe(&error)
        }));
        T::default()
    })
}

/// One complaint with the key and the place where it was set.
fn describe(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let place = error
        .metadata
        .as_ref()
        .map_or_else(String::new, |metadata| match &metadata.source {
            Some(source) => format!(" (in {source})"),
            None => format!(" (by {})", metadata.name),
        });
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    };
    // serde has marked some of the names before figment does.
    let kind = error.kind.to_string().replace("``", "`");
    format!("{key}{kind}{place}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Anonymous;
    use crate::config::variables::WELL_KNOWN;

    fn sources(environment: &[(&str, &str)]) -> Sources {
        Sources {
            environment: environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Sources::default()
        }
    }

    fn with_file(text: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Rocket.toml");
        std::fs::write(&file, text).unwrap();
        (
            folder,
            Sources {
                file: Some(file),
                ..sources(environment)
            },
        )
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        assert_eq!(load(&sources(&[])).unwrap(), Config::default());
    }

    #[test]
    fn later_layers_win() {
        let file = "[default.server]\nport = 1\n[special.server]\nport = 2\n";
        let (_folder, mut sources) = with_file(file, &[("PORT", "3")]);

        sources.profile = Some("special".into());
        sources.environment.clear();
        assert_eq!(load(&sources).unwrap().server.port, 2);
        sources.environment.insert("PORT".into(), "3".into());
        assert_eq!(load(&sources).unwrap().server.port, 3);
        sources
            .environment
            .insert("MULETEER_SERVER__PORT".into(), "4".into());
        assert_eq!(load(&sources).unwrap().server.port, 4);
        sources.overrides.push(("server.port", "5".into()));
        assert_eq!(load(&sources).unwrap().server.port, 5);
    }

    #[test]
    fn text_of_digits_keeps_its_zeros() {
        let config = load(&sources(&[
            ("MULETEER_AUTH__API_KEY", "00012345678901234567890123456789"),
            ("MULETEER_S3__BUCKET", "0042"),
            (
                "MULETEER_CORS__ALLOWED_ORIGINS",
                "https://a.example, https://b.example",
            ),
            ("MULETEER_AUTH__ANONYMOUS", "off"),
        ]))
        .unwrap();

        assert_eq!(config.auth.api_key.expose(), "00012345678901234567890123456789");
        assert_eq!(config.s3.bucket, "0042");
        assert_eq!(
            config.cors.allowed_origins,
            ["https://a.example", "https://b.example"]
        );
        assert_eq!(config.auth.anonymous, Anonymous::Off);
    }

    #[test]
    fn a_mistyped_key_stops_the_start_and_is_named_with_its_place() {
        let (_folder, sources) = with_file(
            "[default.server]\nprot = 1\n[default.s3]\nurl_lifetime_s = \"x\"\n",
            &[],
        );

        let LoadError(complaints) = load(&sources).unwrap_err();

        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(
            complaints[0].contains("prot") && complaints[0].contains("Rocket.toml"),
            "{complaints:?}"
        );
        assert!(
            complaints[1].starts_with("default.s3.url_lifetime_s")
                || complaints[1].contains("url_lifetime_s")
        );
        let LoadError(complaints) = load(&self::sources(&[("MULETEER_SERVRE__PORT", "1")])).unwrap_err();
        assert!(complaints[0].contains("servre") && complaints[0].contains("MULETEER_SERVRE__PORT"));
    }

    #[test]
    fn the_example_file_lists_every_key_with_its_default() {
        let text = include_str!("../../Rocket.toml.example");
        let (_folder, sources) = with_file(text, &[]);
        assert_eq!(load(&sources).unwrap(), Config::default());

        let listed: figment::value::Map<Profile, Dict> =
            figment::Provider::data(&Toml::string(text).nested()).unwrap();
        let listed = Value::from(listed[&Profile::Default].clone());
        let mut missing = Vec::new();
        walk(&shape(), "", &mut |key| {
            if listed.clone().find(key).is_none() {
                missing.push(key.to_owned());
            }
        });
        assert!(
            missing.is_empty(),
            "Rocket.toml.example does not list {missing:?}"
        );
        for (name, _) in WELL_KNOWN {
            assert!(text.contains(name), "Rocket.toml.example does not name {name}");
        }
    }

    fn walk(value: &Value, path: &str, visit: &mut impl FnMut(&str)) {
        let Some(dict) = value.as_dict() else {
            return visit(path);
        };
        for (key, inner) in dict {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            walk(inner, &path, visit);
        }
    }
}
