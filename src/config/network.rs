//! Settings of where we listen and how connections are taken: TLS, time-outs and limits.
//!
//! Separate from the other settings, because shape, defaults and rules of these belong together and to nothing else.

use serde::{Deserialize, Serialize};

use super::Config;
use super::validate::Complaints;

/// Most bytes of a request's head that the HTTP stack holds.
const MOST_HEAD_BYTES: u32 = 128 << 10;

/// Most fields of a request that the HTTP stack reads.
const MOST_HEAD_FIELDS: u16 = 96;

/// Most bytes of an address that the HTTP stack reads.
const MOST_TARGET_BYTES: u32 = 65_534;

/// Where we listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// IP address to bind.
    pub address: String,
    /// TCP port; 0 picks a free one.
    pub port: u16,
    /// Worker threads; 0 takes one a core.
    pub workers: u16,
    /// Our address as browsers see it, where a proxy stands in front, with the path below which it serves us if there is
    /// one; empty takes it from the request.
    pub public_url: String,
    /// Peers (IP addresses) whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Seconds that running requests get after SIGTERM.
    pub shutdown_timeout_s: u64,
    /// Seconds for which we serve on after SIGTERM while `/health/ready` says 503, so that load balancers notice.
    pub drain_s: u64,
    /// Seconds for which browsers that came over HTTPS keep to it (`Strict-Transport-Security`); 0 does not ask them to.
    pub hsts_max_age_s: u64,
    /// Our own TLS.
    pub tls: TlsConfig,
    /// What connections may take from us.
    pub connections: ConnectionsConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1".into(),
            port: 8080,
            workers: 0,
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            shutdown_timeout_s: 30,
            drain_s: 0,
            hsts_max_age_s: 31_536_000,
            tls: TlsConfig::default(),
            connections: ConnectionsConfig::default(),
        }
    }
}

/// Our own TLS, for where no proxy ends it before us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file of the certificate, followed by those that lead to its root; empty speaks plain HTTP.
    pub certificate: String,
    /// PEM file of its private key (PKCS#8, PKCS#1 or SEC1), without a password.
    pub key: String,
    /// Seconds between two looks at these files, which are read again when they have changed; 0 waits for SIGHUP alone.
    pub reload_s: u64,
    /// Seconds that a client has for its part of the handshake, 1 to 300.
    pub handshake_timeout_s: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: String::new(),
            key: String::new(),
            reload_s: 60,
            handshake_timeout_s: 10,
        }
    }
}

impl TlsConfig {
    /// Whether we speak TLS ourselves.
    pub fn is_on(&self) -> bool {
        !self.certificate.is_empty()
    }
}

/// How long and how much a connection may take from us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionsConfig {
    /// Most connections at a time; 0 sets no limit.
    pub max: u32,
    /// Most of them from one address, but for those of `server.trusted_proxies`; 0 sets no limit.
    pub max_per_address: u32,
    /// Seconds that a client has to send a request's head, 1 to 600.
    pub head_timeout_s: u64,
    /// Seconds for which a connection is kept open that waits for its next request, 1 to 3600.
    pub keep_alive_s: u64,
    /// Seconds for which a body that we read whole may bring no byte, 1 to 3600. Files that pass through us have a minute.
    pub body_timeout_s: u64,
    /// Seconds for which a client may take no byte of an answer, 1 to 3600.
    pub write_timeout_s: u64,
    /// Most bytes of a request's head, 4096 to 131072.
    pub max_head_bytes: u32,
    /// Most fields of a request's head, 16 to 96.
    pub max_head_fields: u16,
    /// Most bytes of the address in a request's first line, 1024 to 65534.
    pub max_target_bytes: u32,
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self {
            max: 0,
            max_per_address: 0,
            head_timeout_s: 15,
            keep_alive_s: 75,
            body_timeout_s: 30,
            write_timeout_s: 120,
            max_head_bytes: 64 << 10,
            max_head_fields: MOST_HEAD_FIELDS,
            max_target_bytes: 32 << 10,
        }
    }
}

impl Config {
    pub(super) fn check_network(&self, complaints: &mut Complaints) {
        let tls = &self.server.tls;
        complaints.unless(
            tls.certificate.is_empty() == tls.key.is_empty(),
            "server.tls.certificate",
            "must be given together with server.tls.key",
        );
        complaints.unless(
            self.server.hsts_max_age_s <= 10 * 31_536_000,
            "server.hsts_max_age_s",
            "must be 0 to 315360000 (ten years)",
        );
        let connections = &self.server.connections;
        for (key, seconds, most) in [
            ("server.tls.handshake_timeout_s", tls.handshake_timeout_s, 300),
            (
                "server.connections.head_timeout_s",
                connections.head_timeout_s,
                600,
            ),
            ("server.connections.keep_alive_s", connections.keep_alive_s, 3600),
            (
                "server.connections.body_timeout_s",
                connections.body_timeout_s,
                3600,
            ),
            (
                "server.connections.write_timeout_s",
                connections.write_timeout_s,
                3600,
            ),
        ] {
            let range = format!("must be 1 to {most} seconds");
            complaints.unless((1..=most).contains(&seconds), key, &range);
        }
        complaints.unless(
            tls.reload_s <= 86_400,
            "server.tls.reload_s",
            "must be 0 to 86400 (a day)",
        );
        connections.check_sizes(complaints);
    }
}

impl ConnectionsConfig {
    fn check_sizes(&self, complaints: &mut Complaints) {
        for (key, value, least, most) in [
            (
                "server.connections.max_head_bytes",
                self.max_head_bytes,
                4096,
                MOST_HEAD_BYTES,
            ),
            (
                "server.connections.max_head_fields",
                self.max_head_fields.into(),
                16,
                MOST_HEAD_FIELDS.into(),
            ),
            (
                "server.connections.max_target_bytes",
                self.max_target_bytes,
                1024,
                MOST_TARGET_BYTES,
            ),
        ] {
            let range = format!("must be {least} to {most}");
            complaints.unless((least..=most).contains(&value), key, &range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_tls_and_limits_that_cannot_be_kept_are_named() {
        let mut config = Config::default();
        config.server.tls.key = "key.pem".into();
        config.server.tls.handshake_timeout_s = 0;
        config.server.connections.max_head_bytes = 1 << 20;
        config.server.connections.head_timeout_s = 0;

        let complaints = config.validate();

        let keys: Vec<&str> = complaints.iter().filter_map(|c| c.split(':').next()).collect();
        assert_eq!(
            keys,
            [
                "server.tls.certificate",
                "server.tls.handshake_timeout_s",
                "server.connections.head_timeout_s",
                "server.connections.max_head_bytes",
            ]
        );
    }
}
