//! Which values are impossible, all of them at once.
//!
//! Separate from the shape: a rule about two settings belongs to neither of them.

use std::net::IpAddr;

use super::{Anonymous, BackendName, Config};
use crate::domain::{KeyTemplate, MAX_PART_SIZE, MAX_PARTS, MediaType};

/// Longest life of a presigned URL: seven days.
const MAX_URL_LIFETIME_S: u64 = 604_800;

pub(super) const ORIGIN: &str = "must be http:// or https:// with a host and no path";
const ADDRESS: &str =
    "must be http:// or https:// with a host, and a path of letters, digits and -._~% at most";

impl Config {
    /// One sentence for each impossible value, each beginning with the key.
    pub fn validate(&self) -> Vec<String> {
        let mut complaints = Complaints(Vec::new());
        self.check_server(&mut complaints);
        self.check_network(&mut complaints);
        self.check_auth(&mut complaints);
        self.check_s3(&mut complaints);
        self.check_storage(&mut complaints);
        self.check_uploads(&mut complaints);
        self.check_doors(&mut complaints);
        self.check_without_bucket(&mut complaints);
        self.check_cors(&mut complaints);
        self.check_hooks(&mut complaints);
        self.check_observed(&mut complaints);
        complaints.0
    }

    /// Whether visitors without any credential may upload. Behind a proxy, which the settings show by naming it or
    /// our address out there, loopback says nothing of where visitors come from.
    pub fn admits_anonymous(&self) -> bool {
        match self.auth.anonymous {
            Anonymous::On => true,
            Anonymous::Off => false,
            Anonymous::Auto => {
                let server = &self.server;
                let has_proxy = !server.public_url.is_empty() || !server.trusted_proxies.is_empty();
                is_loopback(&server.address) && !has_proxy
            }
        }
    }

    /// The database's address, with the default in the data folder.
    pub fn database_url(&self) -> String {
        match self.database.url.expose() {
            "" => format!("sqlite://{}/muleteer.sqlite", self.data_dir.trim_end_matches('/')),
            url => url.to_owned(),
        }
    }

    fn check_server(&self, complaints: &mut Complaints) {
        let ip = |text: &str| text.parse::<IpAddr>().is_ok();
        complaints.unless(
            ip(&self.server.address),
            "server.address",
            "must be an IP address",
        );
        complaints.unless(
            ip(&self.dev_s3.address),
            "dev_s3.address",
            "must be an IP address",
        );
        for proxy in &self.server.trusted_proxies {
            complaints.unless(
                ip(proxy),
                "server.trusted_proxies",
                &format!("\"{proxy}\" is no IP address"),
            );
        }
        complaints.unless(
            self.server.drain_s <= 3600,
            "server.drain_s",
            "must be 0 to 3600 (an hour)",
        );
        let url = &self.server.public_url;
        complaints.unless(url.is_empty() || is_address(url), "server.public_url", ADDRESS);
        complaints.unless(
            (1..=256).contains(&self.database.pool_size),
            "database.pool_size",
            "must be 1 to 256",
        );
        let scheme = self.database_url();
        let known = ["sqlite://", "postgres://", "postgresql://"]
            .iter()
            .any(|s| scheme.starts_with(s));
        complaints.unless(known, "database.url", "must begin with sqlite:// or postgres://");
    }

    fn check_s3(&self, complaints: &mut Complaints) {
        let s3 = &self.s3;
        for (key, url) in [
            ("s3.endpoint", &s3.endpoint),
            ("s3.public_endpoint", &s3.public_endpoint),
        ] {
            complaints.unless(url.is_empty() || is_origin(url), key, ORIGIN);
        }
        complaints.unless(
            (30..=MAX_URL_LIFETIME_S).contains(&s3.url_lifetime_s) || s3.bucket.is_empty(),
            "s3.url_lifetime_s",
            "must be 30 to 604800 seconds",
        );
        complaints.unless(
            s3.url_lifetime_s >= 1,
            "s3.url_lifetime_s",
            "must be at least one second",
        );
        complaints.unless(
            (1..=300).contains(&s3.answer_timeout_s),
            "s3.answer_timeout_s",
            "must be 1 to 300 seconds",
        );
        complaints.unless(!s3.region.is_empty(), "s3.region", "must not be empty");
        complaints.unless(
            s3.access_key_id.is_empty() == s3.secret_access_key.is_empty() || s3.bucket.is_empty(),
            "s3.access_key_id",
            "must be given together with s3.secret_access_key",
        );
        if self.uses_embedded_store() {
            complaints.unless(
                is_loopback(&self.dev_s3.address) || self.dev_s3.allow_remote,
                "dev_s3.address",
                "the embedded S3 is for local use: bind it to loopback, or set dev_s3.allow_remote",
            );
            complaints.unless(
                cfg!(feature = "embedded-s3"),
                "s3.bucket",
                "this build has no embedded S3",
            );
        }
    }

    fn check_storage(&self, complaints: &mut Complaints) {
        let storage = &self.storage;
        match storage.backend {
            BackendName::S3 => {}
            BackendName::Local => {
                complaints.unless(
                    !storage.local.path.is_empty(),
                    "storage.local.path",
                    "must not be empty",
                );
            }
            BackendName::Smb => {
                let smb = &storage.smb;
                complaints.unless(!smb.host.is_empty(), "storage.smb.host", "must not be empty");
                complaints.unless(!smb.share.is_empty(), "storage.smb.share", "must not be empty");
                complaints.unless(smb.port >= 1, "storage.smb.port", "must be 1 to 65535");
                complaints.unless(
                    cfg!(feature = "smb"),
                    "storage.backend",
                    "this build has no SMB (feature `smb`)",
                );
            }
        }
    }

    fn check_uploads(&self, complaints: &mut Complaints) {
        if let Err(reason) = KeyTemplate::new(&self.uploads.key_template) {
            complaints.unless(false, "uploads.key_template", &reason);
        }
        let min = self.min_part_size();
        complaints.unless(
            (min..=MAX_PART_SIZE).contains(&self.uploads.part_size),
            "uploads.part_size",
            &format!("must be {min} to {MAX_PART_SIZE} bytes"),
        );
        complaints.unless(min >= 1, "s3.min_part_size", "must be at least 1");
        complaints.unless(
            (1..=8760).contains(&self.uploads.ttl_hours),
            "uploads.ttl_hours",
            "must be 1 to 8760 (a year)",
        );
        complaints.unless(
            self.uploads.sweep_interval_s >= 1,
            "uploads.sweep_interval_s",
            "must be at least 1",
        );
        complaints.unless(
            self.uploads.orphan_interval_s >= 1,
            "uploads.orphan_interval_s",
            "must be at least 1",
        );
        complaints.unless(self.limits.max_size >= 1, "limits.max_size", "must be at least 1");
        complaints.unless(
            (1..=MAX_PARTS).contains(&self.limits.max_parts),
            "limits.max_parts",
            "must be 1 to 10000",
        );
        for kind in &self.limits.types {
            complaints.unless(
                MediaType::new(kind).is_ok(),
                "limits.types",
                &format!("\"{kind}\" is no media type such as video/mp4 or image/*"),
            );
        }
    }

    /// Least bytes of a part of the store in use; a folder and a share take any.
    pub fn min_part_size(&self) -> u64 {
        if self.takes_all_through_us() {
            1
        } else if self.uses_embedded_store() {
            self.dev_s3.min_part_size
        } else {
            self.s3.min_part_size
        }
    }
}

impl Config {
    fn check_cors(&self, complaints: &mut Complaints) {
        for origin in &self.cors.allowed_origins {
            complaints.unless(
                origin == "*" || is_origin(origin),
                "cors.allowed_origins",
                &format!("\"{origin}\" is no origin such as https://app.example.org"),
            );
        }
    }
}

pub(super) fn is_loopback(address: &str) -> bool {
    address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// `http(s)://host[:port]` and nothing else.
pub(super) fn is_origin(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    })
}

/// An address cut into its origin and what follows that: `("https://example.org", "/uploads")`.
pub fn origin_and_path(address: &str) -> (&str, &str) {
    let host_at = address.find("://").map_or(0, |at| at + 3);
    let path_at = address[host_at..]
        .find('/')
        .map_or(address.len(), |at| host_at + at);
    address.split_at(path_at)
}

/// An origin, and perhaps the path below which a proxy serves us.
fn is_address(text: &str) -> bool {
    let (origin, path) = origin_and_path(text);
    let segments = path.trim_end_matches('/').split('/').skip(1);
    is_origin(origin)
        && segments.into_iter().all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
        })
}

pub(super) struct Complaints(Vec<String>);

impl Complaints {
    pub(super) fn unless(&mut self, fine: bool, key: &str, sentence: &str) {
        if !fine {
            self.0.push(format!("{key}: {sentence}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_impossible_values_are_named_at_once() {
        let mut config = Config::default();
        config.server.address = "localhost".into();
        config.uploads.key_template = "{filename}".into();
        config.uploads.part_size = 1;
        config.cors.allowed_origins = vec!["app.example.org".into()];

        let complaints = config.validate();

        let keys: Vec<&str> = complaints.iter().filter_map(|c| c.split(':').next()).collect();
        assert_eq!(
            keys,
            [
                "server.address",
                "uploads.key_template",
                "uploads.part_size",
                "cors.allowed_origins"
            ]
        );
    }

    #[test]
    fn a_public_address_may_have_a_path_and_nothing_else_behind_the_host() {
        let complaints = |url: &str| {
            let mut config = Config::default();
            config.server.public_url = url.into();
            config.validate()
        };
        for url in [
            "https://a.example",
            "https://a.example/",
            "http://a.example:8443/up/here/",
        ] {
            assert_eq!(complaints(url), Vec::<String>::new(), "{url}");
        }
        for url in [
            "a.example/up",
            "https:///up",
            "https://a.example//up",
            "https://a.example/../up",
            "https://a.example/up?x",
            "https://a.example/u\"p",
        ] {
            assert_eq!(complaints(url).len(), 1, "{url}");
        }
    }

    #[test]
    fn a_secret_that_cannot_sign_is_named_without_being_told() {
        let mut config = Config::default();
        config.hooks.secret = crate::config::Secret::new("whsec_hunter2!");
        config.hooks.allowed_hosts = vec!["10.0.0.0/99".into()];
        config.hooks.timeout_s = 0;

        let complaints = config.validate();

        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[0].starts_with("hooks.secret: "), "{complaints:?}");
        assert!(!complaints[0].contains("hunter2"), "{complaints:?}");
    }

    #[test]
    fn anonymous_visitors_are_admitted_on_loopback_alone_unless_the_operator_says_otherwise() {
        let mut config = Config::default();
        assert!(config.admits_anonymous());
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
        assert!(!config.admits_anonymous(), "they come through a proxy");
        config.server.trusted_proxies.clear();
        config.server.public_url = "https://upload.example.org".into();
        assert!(!config.admits_anonymous(), "they come through a proxy");
        config.server.public_url.clear();
        config.server.address = "0.0.0.0".into();
        assert!(!config.admits_anonymous());
        config.auth.anonymous = Anonymous::On;
        assert!(config.admits_anonymous());
    }

    #[test]
    fn the_embedded_store_is_not_bound_beyond_loopback_unless_told() {
        let mut config = Config::default();
        config.dev_s3.address = "0.0.0.0".into();
        assert_eq!(config.validate().len(), 1);

        config.dev_s3.allow_remote = true;

        assert!(config.validate().is_empty());
    }
}
