//! Keys that verify an application's tokens, each bound to the algorithms of its kind.
//!
//! Separate from the reading of claims, because here it is decided what a signature is worth: the algorithm that a token
//! names picks among those of the key, and never makes one (<https://www.rfc-editor.org/rfc/rfc8725#section-3.1>).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Most keys of one set: each may be tried on a token that names none.
const MOST_KEYS: usize = 32;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// One key.
struct Key {
    /// By which tokens name it.
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

/// All keys that are good just now.
pub(super) struct KeyRing(Vec<Key>);

/// What a token's signature is.
pub(super) enum Signature {
    /// Made with one of the keys: these are its claims.
    Good(Map<String, Value>),
    /// Not made with the key that the token names, or with none of them.
    Bad,
    /// The token names a key, or an algorithm, that is none of these.
    NoKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeyRing {
    /// The one secret of HS256 and its like.
    pub(super) fn of_secret(secret: &str) -> Self {
        Self(vec![Key {
            id: None,
            algorithms: HMAC.to_vec(),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        }])
    }

    /// Public keys in PEM, one after the other.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(super) fn of_pem(text: &str) -> Result<Self, String> {
        const END: &str = "-----END ";
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("-----BEGIN ") {
            let block = &rest[start..];
            let end = block.find(END).ok_or("a key in PEM has no end")?;
            let closed = block[end + END.len()..].find("-----");
            let length = end + END.len() + closed.ok_or("a key in PEM has no end")? + 5;
            keys.push(pem_key(&block[..length])?);
            rest = &block[length..];
        }
        Self::of(keys, "there is no key in PEM (-----BEGIN PUBLIC KEY-----)")
    }

    /// A set of keys in JSON: <https://www.rfc-editor.org/rfc/rfc7517#section-5>. Keys that are not for signatures, or of a
    /// kind that is not known here, are passed over; secrets have no place in one.
    ///
    /// # Errors
    /// What is wrong, in one sentence, and where no key is left.
    pub(super) fn of_jwks(bytes: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is no JWKS: {error}"))?;
        let keys = set.keys.into_iter().take(MOST_KEYS).filter_map(jwk_key);
        Self::of(keys.collect(), "no key of it can verify signatures here")
    }

    fn of(keys: Vec<Key>, otherwise: &str) -> Result<Self, String> {
        if keys.is_empty() {
            Err(otherwise.to_owned())
        } else {
            Ok(Self(keys))
        }
    }

    /// Whether a token's signature is by one of these keys.
    pub(super) fn verify(&self, token: &str, header: &Header) -> Signature {
        let named = |key: &&Key| match (&header.kid, &key.id) {
            (Some(named), Some(id)) => named == id,
            _ => true,
        };
        let fits = |key: &&Key| key.algorithms.contains(&header.alg);
        let mut rules = Validation::new(header.alg);
        // Held against our own clock and settings by whoever reads the claims.
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_aud) = (false, false);
        let mut outcome = Signature::NoKey;
        for key in self.0.iter().filter(named).filter(fits) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &rules) {
                Ok(read) => return Signature::Good(read.claims),
                Err(_) => outcome = Signature::Bad,
            }
        }
        // No set has secrets, so no later one would know such a token either; our own, once they have expired, are of the kind.
        if HMAC.contains(&header.alg) {
            return Signature::Bad;
        }
        // One without a name may be by a key that came since.
        if header.kid.is_none() && self.0.iter().any(|key| key.id.is_some()) {
            return Signature::NoKey;
        }
        outcome
    }
}

fn pem_key(block: &str) -> Result<Key, String> {
    if block.contains("PRIVATE KEY-----") {
        return Err("it is a private key; only the public one belongs here".into());
    }
    if block.contains("CERTIFICATE-----") {
        return Err("it is a certificate; its public key is needed".into());
    }
    let block = block.as_bytes();
    let (algorithms, key) = if let Ok(key) = DecodingKey::from_rsa_pem(block) {
        (RSA, key)
    } else if let Ok(key) = DecodingKey::from_ed_pem(block) {
        (ED25519, key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(block) {
        // An uncompressed point: one byte, and two numbers of the curve's size.
        let algorithms = match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => P256,
            Ok(97) => P384,
            _ => return Err("of elliptic curves, P-256 and P-384 are known here".into()),
        };
        (algorithms, key)
    } else {
        return Err("it is no public key of RSA, of P-256, of P-384 or of Ed25519 in PEM".into());
    };
    Ok(Key {
        id: None,
        algorithms: algorithms.to_vec(),
        decoding: key,
    })
}

/// A key of a set; `None` for one that is not for us.
fn jwk_key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    let is_for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => P256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => P384,
        AlgorithmParameters::OctetKeyPair(ed) if ed.curve == EllipticCurve::Ed25519 => ED25519,
        _ => return None,
    };
    let algorithms: Vec<Algorithm> = match common.key_algorithm {
        None => algorithms.to_vec(),
        Some(only) => {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.iter().copied().filter(|one| *one == only).collect()
        }
    };
    if !is_for_signatures || algorithms.is_empty() {
        return None;
    }
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        decoding: DecodingKey::from_jwk(&jwk).ok()?,
    })
}
