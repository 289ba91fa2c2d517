//! Settings of web-hooks.
//!
//! Separate from the other sections, whose file is long enough.

use serde::{Deserialize, Serialize};

use super::Secret;

/// How others are told that an upload is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// Signs each delivery: `whsec_` and base64, or any text of at least 16 bytes; empty leaves them unsigned.
    pub secret: Secret,
    /// Host names, IP addresses and networks that may be called although they are not public.
    pub allowed_hosts: Vec<String>,
    /// Seconds that one delivery may take, 1 to 300.
    pub timeout_s: u64,
    /// Hours for which a delivery that fails is tried again, 0 to 720; then it is parked.
    pub retry_hours: u64,
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            allowed_hosts: Vec::new(),
            timeout_s: 30,
            retry_hours: 24,
        }
    }
}
