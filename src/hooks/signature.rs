//! The signature of a delivery, as Standard Webhooks describes it: <https://www.standardwebhooks.com/>.
//!
//! Separate, so that it can be held against another implementation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::EventId;
use crate::error::Error;

/// Signs with one secret.
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    /// A signer with the key that [`signing_key`](crate::domain::signing_key) found in the secret.
    pub(super) fn new(key: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(key).map(Self).map_err(Error::internal)
    }

    /// The value of `webhook-signature` for an event that is sent at `timestamp`, in seconds since 1970.
    pub(super) fn sign(&self, id: &EventId, timestamp: i64, body: &str) -> String {
        let mut mac = self.0.clone();
        for piece in [id.as_str(), ".", &timestamp.to_string(), ".", body] {
            mac.update(piece.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signing_key;

    /// Made with Python's `hmac` and `base64`.
    #[test]
    fn a_signature_is_that_of_an_independent_implementation() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = EventId::parse("msg_0123456789abcdef0123456789abcdef").unwrap();

        let signature = Signer::new(&key)
            .unwrap()
            .sign(&id, 1_614_265_330, r#"{"test": 2432232314}"#);

        assert_eq!(signature, "v1,qeGX4sWC5hBw1WQe3LmaOQwBJPdHMZ3AJjyRZLaf9WU=");
    }
}
