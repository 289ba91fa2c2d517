//! Settings of what operators look at: metrics and traces.
//!
//! Separate from the other settings, because shape, defaults and rules of these belong together and to nothing else.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::Url;

use super::validate::{Complaints, is_loopback};
use super::{Config, Secret, doors};

/// What is counted, and who may read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Whether anything is counted.
    pub enabled: bool,
    /// The address at which Prometheus reads.
    pub path: String,
    /// IP address of a listener for this alone.
    pub address: String,
    /// Its TCP port; 0 serves metrics beside everything else, to holders of the token or of an admin key.
    pub port: u16,
    /// What readers send as `Authorization: Bearer`; a listener on loopback needs none.
    pub token: Secret,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/metrics".into(),
            address: "127.0.0.1".into(),
            port: 0,
            token: Secret::default(),
        }
    }
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// A collector's address for OTLP over HTTP; `/v1/traces` follows, unless it stands there. Empty sends nothing.
    pub endpoint: String,
    /// Further headers for the collector, as `name=value,name=value`, each value percent-encoded.
    pub headers: Secret,
    /// What this server is called in traces.
    pub service_name: String,
    /// Which part of the requests is traced, 0 to 1, unless the caller's `traceparent` has decided it.
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: Secret::default(),
            service_name: "muleteer".into(),
            sample_ratio: 1.0,
        }
    }
}

impl TelemetryConfig {
    /// Whether traces are sent.
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// The further headers, decoded.
    ///
    /// # Errors
    /// What is wrong with them, without their text.
    pub fn header_pairs(&self) -> Result<Vec<(String, String)>, &'static str> {
        let pairs = self.headers.expose().split(',').map(str::trim);
        pairs
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or("each must be name=value")?;
                let value = decoded(value.trim()).ok_or("a value is not percent-encoded text")?;
                let name = name.trim();
                http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a name is none of a header")?;
                http::HeaderValue::from_str(&value).map_err(|_| "a value is none of a header")?;
                Ok((name.to_owned(), value))
            })
            .collect()
    }
}

/// Percent-encoding undone, as <https://www.w3.org/TR/baggage/#value> has it: a plus is a plus.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let digits = after
                .get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

impl Config {
    pub(super) fn check_observed(&self, complaints: &mut Complaints) {
        let metrics = &self.metrics;
        complaints.unless(
            metrics.address.parse::<IpAddr>().is_ok(),
            "metrics.address",
            "must be an IP address",
        );
        complaints.unless(doors::is_path(&metrics.path), "metrics.path", doors::PATH);
        let token = metrics.token.expose();
        complaints.unless(
            token.is_empty() || token.len() >= 16,
            "metrics.token",
            "must have at least 16 characters",
        );
        complaints.unless(
            metrics.port == 0 || is_loopback(&metrics.address) || !token.is_empty(),
            "metrics.token",
            "must be set where metrics.address is not loopback: anybody could read them",
        );
        let telemetry = &self.telemetry;
        let is_http = Url::parse(&telemetry.endpoint).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        complaints.unless(
            !telemetry.is_on() || is_http,
            "telemetry.endpoint",
            "must begin with http:// or https://, without credentials: those go into telemetry.headers",
        );
        complaints.unless(
            !telemetry.is_on() || cfg!(feature = "opentelemetry"),
            "telemetry.endpoint",
            "this build sends no traces (feature `opentelemetry`)",
        );
        complaints.unless(
            (0.0..=1.0).contains(&telemetry.sample_ratio),
            "telemetry.sample_ratio",
            "must be 0 to 1",
        );
        complaints.unless(
            !telemetry.service_name.is_empty(),
            "telemetry.service_name",
            "must not be empty",
        );
        if let Err(reason) = telemetry.header_pairs() {
            complaints.unless(false, "telemetry.headers", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_not_served_beyond_loopback_without_a_token() {
        let mut config = Config::default();
        config.metrics.port = 9464;
        assert!(config.validate().is_empty());
        config.metrics.address = "0.0.0.0".into();
        assert!(config.validate()[0].starts_with("metrics.token: "));
        config.metrics.token = Secret::new("0123456789abcdef");
        assert!(config.validate().is_empty());
    }

    #[test]
    fn no_door_is_where_metrics_are() {
        let mut config = Config::default();
        config.metrics.path = config.protocols.tus.path.clone();
        assert!(
            config.validate()[0].starts_with("metrics.path: "),
            "{:?}",
            config.validate()
        );
        config.metrics.enabled = false;
        assert!(config.validate().is_empty());
    }

    #[test]
    fn headers_are_read_as_the_variable_has_them_and_never_told() {
        let mut telemetry = TelemetryConfig {
            headers: Secret::new("authorization=Bearer%20a%3Db, x-scope = one"),
            ..TelemetryConfig::default()
        };
        let told = [("authorization", "Bearer a=b"), ("x-scope", "one")];
        let told = told.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(telemetry.header_pairs().unwrap(), told);

        for wrong in ["hunter2", "a b=hunter2", "a=%zz", "a=hunter2%0d"] {
            telemetry.headers = Secret::new(wrong);
            let reason = telemetry.header_pairs().unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
