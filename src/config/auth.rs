//! Settings of who may upload: the application's own tokens and the question to the application among them.
//!
//! Separate from the other settings, because shape, defaults and rules of these belong together and to nothing else.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::validate::Complaints;
use super::{Config, Secret};
use crate::domain::Owner;

/// When visitors without any credential may upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// Only while we listen on a loopback address and the settings name neither a proxy nor a public address.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Who may upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// When visitors without any credential may upload; each is known by a signed cookie.
    pub anonymous: Anonymous,
    /// One API key with the scopes `upload` and `admin`, owner `default`, besides those in the database.
    pub api_key: Secret,
    /// Signs upload tokens and cookies, at least 32 characters; empty makes one and keeps it in the database.
    pub secret: Secret,
    /// Tokens (JWTs) of the application's own.
    pub jwt: JwtConfig,
    /// The application's address that is asked who somebody is.
    pub forward: ForwardConfig,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            anonymous: Anonymous::Auto,
            api_key: Secret::default(),
            secret: Secret::default(),
            jwt: JwtConfig::default(),
            forward: ForwardConfig::default(),
        }
    }
}

/// Tokens (JWTs) of the application's own; off while none of `secret`, `public_key` and `jwks` is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// The secret of tokens that are signed with HS256, HS384 or HS512, at least 32 characters.
    pub secret: Secret,
    /// The public key of tokens that are signed with RS256 and its like, ES256, ES384 or `EdDSA`: PEM, or the path of a
    /// file with it. Of several in one file each is good.
    pub public_key: String,
    /// The same as a set of keys (JWKS): an address of http or https, or the path of a file.
    pub jwks: String,
    /// Seconds after which a JWKS or a key's file is read again, 30 to 86400; sooner where `Cache-Control` says so, or a
    /// token names a key that is not known yet.
    pub refresh_s: u64,
    /// Who must have issued a token (`iss`); empty takes all.
    pub issuer: String,
    /// Whom a token must be for (`aud`): one of these. Empty takes tokens that name nobody, and no others.
    pub audience: Vec<String>,
    /// Seconds by which the clocks of the two sides may differ, 0 to 300.
    pub leeway_s: u64,
    /// The claim that names the owner: a name, or a JSON Pointer that begins with a slash.
    pub owner_claim: String,
    /// What such an owner's name begins with here, so that nobody passes for the owner of an API key: small letters, digits
    /// and `-`, and a colon at the end. Empty makes them the same.
    pub owner_prefix: String,
    /// The claim whose object narrows what may be uploaded (`max_size`, `types`, `key_prefix`, …).
    pub bounds_claim: String,
    /// The claim that lists what its bearer may, in a list or with spaces between.
    pub scope_claim: String,
    /// What must stand there of somebody who may upload; empty lets everybody upload who has a token.
    pub upload_scope: String,
    /// What must stand there of an admin; empty makes nobody one.
    pub admin_scope: String,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            public_key: String::new(),
            jwks: String::new(),
            refresh_s: 600,
            issuer: String::new(),
            audience: Vec::new(),
            leeway_s: 30,
            owner_claim: "sub".into(),
            owner_prefix: "jwt:".into(),
            bounds_claim: "muleteer".into(),
            scope_claim: "scope".into(),
            upload_scope: String::new(),
            admin_scope: String::new(),
        }
    }
}

impl JwtConfig {
    /// Whether such tokens are taken.
    pub fn is_on(&self) -> bool {
        !self.secret.is_empty() || !self.public_key.is_empty() || !self.jwks.is_empty()
    }
}

/// The application's address that is asked who somebody is; off while it is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {
    /// Its address, of http or https; it is asked with GET.
    pub url: String,
    /// Which of a request's headers it is shown. Somebody who sends none of them is nobody that it could know.
    pub headers: Vec<String>,
    /// Seconds that one answer may take, 1 to 30.
    pub timeout_s: u64,
    /// Seconds for which its answer counts when it knows somebody, 0 to 3600.
    pub cache_s: u64,
    /// Seconds for which its answer counts when it does not, 0 to 300.
    pub refused_cache_s: u64,
    /// The header of its answer that names the owner; `owner` in a JSON body does too.
    pub owner_header: String,
    /// What such an owner's name begins with here; as of `auth.jwt`.
    pub owner_prefix: String,
    /// Whether its answer can make somebody an admin (`scopes`).
    pub admin: bool,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            headers: vec!["Cookie".into(), "Authorization".into()],
            timeout_s: 5,
            cache_s: 30,
            refused_cache_s: 2,
            owner_header: "X-Muleteer-Owner".into(),
            owner_prefix: "app:".into(),
            admin: false,
        }
    }
}

impl ForwardConfig {
    /// Whether the application is asked.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

const CALLABLE: &str = "must be an address of http:// or https:// without user, password and fragment";

/// Headers that say something of the one request and its connection, or are ours: never shown to the application.
const NOT_SHOWN: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "x-api-key",
    "proxy-authorization",
];

impl Config {
    pub(super) fn check_auth(&self, complaints: &mut Complaints) {
        let auth = &self.auth;
        let secret = auth.secret.expose();
        complaints.unless(
            secret.is_empty() || secret.len() >= 32,
            "auth.secret",
            "must have at least 32 characters",
        );
        let key = auth.api_key.expose();
        complaints.unless(
            key.is_empty() || key.len() >= 16,
            "auth.api_key",
            "must have at least 16 characters",
        );
        self.check_jwt(complaints);
        self.check_forward(complaints);
    }

    fn check_jwt(&self, complaints: &mut Complaints) {
        let jwt = &self.auth.jwt;
        let secret = jwt.secret.expose();
        let kinds = [secret.is_empty(), jwt.public_key.is_empty(), jwt.jwks.is_empty()];
        complaints.unless(
            kinds.iter().filter(|is_empty| !**is_empty).count() <= 1,
            "auth.jwt",
            "one of secret, public_key and jwks at most: each kind of key has its own algorithms",
        );
        complaints.unless(
            secret.is_empty() || secret.len() >= 32,
            "auth.jwt.secret",
            "must have at least 32 characters",
        );
        complaints.unless(
            !secret.contains("-----BEGIN"),
            "auth.jwt.secret",
            "is a key in PEM, which belongs into auth.jwt.public_key",
        );
        complaints.unless(
            secret.is_empty() || secret != self.auth.secret.expose(),
            "auth.jwt.secret",
            "must not be auth.secret, with which our own tokens are signed",
        );
        complaints.unless(
            !jwt.jwks.contains("://") || is_callable(&jwt.jwks),
            "auth.jwt.jwks",
            CALLABLE,
        );
        complaints.unless(
            (30..=86_400).contains(&jwt.refresh_s),
            "auth.jwt.refresh_s",
            "must be 30 to 86400 (a day)",
        );
        complaints.unless(
            jwt.leeway_s <= 300,
            "auth.jwt.leeway_s",
            "must be 0 to 300 seconds",
        );
        for (key, claim) in [
            ("auth.jwt.owner_claim", &jwt.owner_claim),
            ("auth.jwt.bounds_claim", &jwt.bounds_claim),
            ("auth.jwt.scope_claim", &jwt.scope_claim),
        ] {
            complaints.unless(!claim.is_empty(), key, "must not be empty");
        }
        check_namespace(&jwt.owner_prefix, "auth.jwt.owner_prefix", complaints);
    }

    fn check_forward(&self, complaints: &mut Complaints) {
        let forward = &self.auth.forward;
        complaints.unless(
            forward.url.is_empty() || is_callable(&forward.url),
            "auth.forward.url",
            CALLABLE,
        );
        complaints.unless(
            !forward.headers.is_empty(),
            "auth.forward.headers",
            "must not be empty",
        );
        for name in &forward.headers {
            let lower = name.to_ascii_lowercase();
            complaints.unless(
                is_header(name) && !NOT_SHOWN.contains(&lower.as_str()) && !lower.starts_with("x-forwarded-"),
                "auth.forward.headers",
                &format!("\"{name}\" cannot be shown to the application"),
            );
        }
        complaints.unless(
            is_header(&forward.owner_header),
            "auth.forward.owner_header",
            "must be the name of a header",
        );
        for (key, seconds, range) in [
            ("auth.forward.timeout_s", forward.timeout_s, 1..=30),
            ("auth.forward.cache_s", forward.cache_s, 0..=3600),
            ("auth.forward.refused_cache_s", forward.refused_cache_s, 0..=300),
        ] {
            let text = format!("must be {} to {} seconds", range.start(), range.end());
            complaints.unless(range.contains(&seconds), key, &text);
        }
        check_namespace(&forward.owner_prefix, "auth.forward.owner_prefix", complaints);
    }
}

fn check_namespace(prefix: &str, key: &str, complaints: &mut Complaints) {
    if let Err(reason) = Owner::check_namespace(prefix) {
        complaints.unless(false, key, reason);
    }
}

fn is_header(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// An address that we may be told to call by the operator.
fn is_callable(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

/// Whether what goes to this address can be read on the way: plain HTTP to another machine.
pub fn is_plain(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => true,
    };
    url.scheme() == "http" && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(adjust: impl FnOnce(&mut AuthConfig)) -> Vec<String> {
        let mut config = Config::default();
        adjust(&mut config.auth);
        config.validate()
    }

    fn assert_names(key: &str, adjust: impl FnOnce(&mut AuthConfig)) {
        let complaints = complaints(adjust);
        assert_eq!(complaints.len(), 1, "{key}: {complaints:?}");
        assert!(complaints[0].starts_with(&format!("{key}: ")), "{complaints:?}");
    }

    #[test]
    fn keys_of_two_kinds_never_verify_the_same_tokens() {
        let long = "0123456789abcdef0123456789abcdef";
        assert_names("auth.jwt", |auth| {
            auth.jwt.secret = Secret::new(long);
            auth.jwt.public_key = "key.pem".into();
        });
        assert_names("auth.jwt.secret", |auth| {
            auth.jwt.secret =
                Secret::new("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZI\n-----END PUBLIC KEY-----");
        });
        assert_names("auth.jwt.secret", |auth| {
            auth.jwt.secret = Secret::new(long);
            auth.secret = Secret::new(long);
        });
        assert_names("auth.jwt.secret", |auth| auth.jwt.secret = Secret::new("short"));
    }

    #[test]
    fn nobodys_tokens_can_be_put_where_visitors_are() {
        for prefix in ["visitor:", "jwt", "JWT:", ":", "a:b:", "a b:"] {
            assert_names("auth.jwt.owner_prefix", |auth| {
                auth.jwt.owner_prefix = prefix.into();
            });
            assert_names("auth.forward.owner_prefix", |auth| {
                auth.forward.owner_prefix = prefix.into();
            });
        }
        assert!(complaints(|auth| auth.jwt.owner_prefix = String::new()).is_empty());
        assert!(complaints(|auth| auth.jwt.owner_prefix = "user-1:".into()).is_empty());
    }

    #[test]
    fn what_belongs_to_the_connection_is_not_shown_to_the_application() {
        for name in ["Host", "X-API-Key", "X-Forwarded-For", "a b", ""] {
            assert_names("auth.forward.headers", |auth| {
                auth.forward.headers = vec![name.into()];
            });
        }
        for url in ["app.example.org", "ftp://a/", "https://u:p@a/", "https://a/#x"] {
            assert_names("auth.forward.url", |auth| auth.forward.url = url.into());
        }
        assert!(complaints(|auth| auth.forward.url = "http://app:3000/whoami?x=1".into()).is_empty());
    }

    #[test]
    fn plain_http_is_fine_on_this_machine_alone() {
        for (url, expected) in [
            ("http://127.0.0.1:1/", false),
            ("http://localhost/", false),
            ("http://[::1]/", false),
            ("https://a.example/", false),
            ("http://a.example/", true),
            ("http://10.0.0.1/", true),
            ("keys.json", false),
        ] {
            assert_eq!(is_plain(url), expected, "{url}");
        }
    }
}
