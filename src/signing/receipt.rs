//! Receipts: what is signed of them, by which key, and how whoever has one finds out whether it is ours.
//!
//! Separate and pure, because the server signs with it and the command line verifies with it, far from any server. What is
//! signed is the `receipt` member in the canonical form of RFC 8785, of which receipts need but a part: objects whose names
//! are ASCII, text, whole numbers, `null`.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes of a private and of a public key.
const KEY_BYTES: usize = 32;

/// Why a receipt is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is no receipt at all.
    #[error("this is no receipt: {0}")]
    Unreadable(&'static str),
    /// It was signed with another key.
    #[error("the receipt was signed with the key {signed_with}, not with {key}")]
    OtherKey {
        /// The key's id as the receipt tells it.
        signed_with: String,
        /// The id of the key that it was held against.
        key: String,
    },
    /// What it says is not what was signed.
    #[error("the signature is not that of this receipt: it was changed, or was signed by somebody else")]
    Signature,
}

/// The key that a server signs receipts with.
pub struct ReceiptKey {
    pair: Ed25519KeyPair,
    /// Of those that were in use before.
    previous: Vec<PublicKey>,
}

impl ReceiptKey {
    /// The key with this secret: 32 bytes in base64 or in hexadecimal. `None` for anything else.
    pub fn new(secret: &str) -> Option<Self> {
        let secret = secret.trim();
        let seed = hex::decode(secret).ok().or_else(|| read_base64(secret))?;
        let seed = <[u8; KEY_BYTES]>::try_from(seed).ok()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let previous = Vec::new();
        Some(Self { pair, previous })
    }

    /// The same, of a server that has signed with others before.
    #[must_use]
    pub fn with_previous(self, previous: Vec<PublicKey>) -> Self {
        Self { previous, ..self }
    }

    /// What is published: the public key as a JWK, and with it those that were in use before, as [`PublicKey::parse_all`]
    /// reads them.
    pub fn published(&self) -> Value {
        let mut jwk = self.public().jwk();
        if !self.previous.is_empty() {
            jwk["previous"] = self.previous.iter().map(PublicKey::jwk).collect();
        }
        jwk
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The whole document: the receipt and its signature.
    pub fn sign(&self, receipt: &Value) -> Value {
        let signature = self.pair.sign(canonical(receipt).as_bytes());
        json!({
            "receipt": receipt,
            "signature": {
                "algorithm": "Ed25519",
                "key_id": self.public().id(),
                "value": STANDARD.encode(signature.as_ref()),
            },
        })
    }
}

/// Tells nothing of the key but its public part's name.
impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptKey({})", self.public().id())
    }
}

/// The key that receipts are verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// A key in base64, with or without padding, of either alphabet; or as the JWK that a server publishes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let jwk: Option<Value> = serde_json::from_str(text).ok();
        let is_jwk = jwk.as_ref().is_some_and(Value::is_object);
        let bytes = match &jwk {
            Some(jwk) if is_jwk && jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519" => {
                read_base64(jwk["x"].as_str()?)?
            }
            _ => read_base64(text)?,
        };
        <[u8; KEY_BYTES]>::try_from(bytes).ok().map(Self)
    }

    /// That key, and those that a server publishes beside its own since they were in use before; empty where there is none.
    pub fn parse_all(text: &str) -> Vec<Self> {
        let Some(own) = Self::parse(text) else {
            return Vec::new();
        };
        let published: Value = serde_json::from_str(text.trim()).unwrap_or_default();
        let previous = published["previous"].as_array().into_iter().flatten();
        let previous = previous.filter_map(|jwk| Self::parse(&jwk.to_string()));
        std::iter::once(own).chain(previous).collect()
    }

    /// The one of these that a receipt says it is signed with; where it names none of them, the first.
    pub fn choose(keys: &[Self], document: &Value) -> Option<Self> {
        let named = document["signature"]["key_id"].as_str();
        let is_named = |key: &&Self| named.is_some_and(|id| id == key.id());
        keys.iter().find(is_named).or(keys.first()).copied()
    }

    /// By which it is named: the first half of its SHA-256, in hexadecimal.
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0)[..16])
    }

    /// The key as a JWK: <https://www.rfc-editor.org/rfc/rfc8037>.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.id(), "x": URL_SAFE_NO_PAD.encode(self.0),
        })
    }

    /// What a receipt says, once its signature is right.
    ///
    /// # Errors
    /// [`ReceiptError`], with why it is not believed.
    pub fn verify(&self, document: &Value) -> Result<Value, ReceiptError> {
        let signature = &document["signature"];
        let receipt = &document["receipt"];
        if !receipt.is_object() {
            return Err(ReceiptError::Unreadable("it has no member \"receipt\""));
        }
        if signature["algorithm"] != "Ed25519" {
            return Err(ReceiptError::Unreadable("it is not signed with Ed25519"));
        }
        let value = signature["value"].as_str().and_then(read_base64);
        let value = value.ok_or(ReceiptError::Unreadable("its signature is no base64"))?;
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        if key.verify(canonical(receipt).as_bytes(), &value).is_ok() {
            return Ok(receipt.clone());
        }
        match signature["key_id"].as_str() {
            Some(id) if id != self.id() => Err(ReceiptError::OtherKey {
                signed_with: id.chars().take(64).collect(),
                key: self.id(),
            }),
            _ => Err(ReceiptError::Signature),
        }
    }
}

fn read_base64(text: &str) -> Option<Vec<u8>> {
    let engines = [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD];
    engines.iter().find_map(|engine| engine.decode(text).ok())
}

/// The one form that a value is signed in: names in order, nothing between.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(members) => {
            let members: Vec<String> = members.iter().map(canonical).collect();
            format!("[{}]", members.join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ReceiptKey {
        // The first secret key of RFC 8032, section 7.1.
        ReceiptKey::new("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap()
    }

    #[test]
    fn the_public_key_is_that_of_the_rfc() {
        let hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(key().public().0), hex);
    }

    #[test]
    fn a_receipt_is_believed_whatever_the_order_and_the_blanks() {
        let signed = key().sign(&json!({ "b": [1, null, "ü\"\n"], "a": { "d": 1, "c": "x" } }));
        let text = serde_json::to_string_pretty(&signed).unwrap();
        let reordered: Value = serde_json::from_str(&text).unwrap();

        assert_eq!(key().public().verify(&reordered).unwrap(), signed["receipt"]);
        assert_eq!(
            canonical(&signed["receipt"]),
            "{\"a\":{\"c\":\"x\",\"d\":1},\"b\":[1,null,\"ü\\\"\\n\"]}"
        );
    }

    #[test]
    fn a_changed_receipt_another_key_and_what_is_none_are_told_apart() {
        let signed = key().sign(&json!({ "size": 1 }));
        let mut changed = signed.clone();
        changed["receipt"]["size"] = json!(2);
        assert_eq!(key().public().verify(&changed), Err(ReceiptError::Signature));
        let other = ReceiptKey::new(&"07".repeat(32)).unwrap().public();
        assert!(matches!(
            other.verify(&signed),
            Err(ReceiptError::OtherKey { .. })
        ));
        for none in [
            json!({}),
            json!([]),
            json!({ "receipt": {} }),
            json!({ "receipt": 1, "signature": {} }),
        ] {
            assert!(matches!(
                key().public().verify(&none),
                Err(ReceiptError::Unreadable(_))
            ));
        }
    }

    #[test]
    fn a_public_key_is_read_in_every_form_that_it_is_told_in() {
        let public = key().public();
        let jwk = public.jwk();
        let url_safe = jwk["x"].as_str().unwrap();
        for text in [
            jwk.to_string().as_str(),
            url_safe,
            &STANDARD.encode(public.0),
            &format!(" {url_safe}\n"),
        ] {
            assert_eq!(PublicKey::parse(text), Some(public), "{text}");
        }
        for text in ["", "AAAA", "{}", "{\"kty\":\"RSA\",\"x\":\"AAAA\"}"] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
        }
        assert!(ReceiptKey::new("short").is_none());
    }

    #[test]
    fn receipts_of_a_key_that_was_in_use_before_are_believed() {
        let old = ReceiptKey::new(&"07".repeat(32)).unwrap();
        let signed = old.sign(&json!({ "size": 1 }));
        assert_eq!(key().published(), key().public().jwk());
        let published = key().with_previous(vec![old.public()]).published().to_string();

        let keys = PublicKey::parse_all(&published);

        assert_eq!(keys, [key().public(), old.public()]);
        assert_eq!(PublicKey::choose(&keys, &signed), Some(old.public()));
        assert_eq!(PublicKey::choose(&keys[..1], &signed), Some(key().public()));
        assert_eq!(PublicKey::choose(&keys, &json!([])), Some(key().public()));
        assert_eq!(PublicKey::parse(&published), Some(key().public()));
        assert!(PublicKey::parse_all("{}").is_empty());
    }
}
