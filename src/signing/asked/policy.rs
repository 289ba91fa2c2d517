//! The policy of a form that a browser posts to the bucket, read condition by condition and written anew:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>.
//!
//! Separate from requests, because a policy is a document of conditions that the store holds a form against: whatever it
//! leaves open, the holder of the signature may choose. So every condition must be an exact value, and the bounds of the
//! size are added where the page has none.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fields::Fields;
use super::{ALGORITHM, AskRules, AskedOperation, Refusal, address, dates};
use crate::signing::policy::sign_policy;
use crate::signing::{Credentials, SigningError, SigningKeys, v2};

/// Most bytes of an object that one request may bring: 5 GiB
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const MAX_SINGLE: u64 = 5 << 30;

/// Fields beside S3's own that are stored with an object.
const STORED: [&str; 4] = [
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-MD5",
];

/// A policy that may be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedPolicy {
    /// The one key that it is for.
    pub key: String,
    /// The object's type, where the page tells it.
    pub content_type: Option<String>,
    /// What is stored beside it: names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// Most bytes of the object.
    pub max_size: u64,
    /// The day of the credential, in SigV4; `None` for SigV2.
    day: Option<String>,
    /// As it will be signed.
    document: String,
}

/// A policy with its signature, as a form carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPolicy {
    /// The document in base64, to be sent byte for byte.
    pub policy: String,
    /// Hex digits in SigV4, base64 in SigV2.
    pub signature: String,
}

/// What has been read of one so far.
#[derive(Default)]
struct Reading {
    key: Option<String>,
    content_type: Option<String>,
    /// All fields, in lower case.
    seen: Vec<String>,
    date: Option<String>,
    day: Option<String>,
    range: Option<(u64, u64)>,
    fields: Fields,
}

impl AskedPolicy {
    /// Reads the document that a page wants signed, for objects of at most `max_size` bytes.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn read(document: &Value, max_size: u64, rules: &AskRules<'_>) -> Result<Self, Refusal> {
        const SHAPE: Refusal = Refusal("policy: must have expiration and conditions, and nothing else");
        let members = document
            .as_object()
            .filter(|members| members.len() == 2)
            .ok_or(SHAPE)?;
        let expiration = members.get("expiration").and_then(Value::as_str).ok_or(SHAPE)?;
        let conditions = members.get("conditions").and_then(Value::as_array).ok_or(SHAPE)?;
        dates::check_expiration(expiration, rules.now)?;
        let (mut reading, mut kept) = (Reading::default(), Vec::with_capacity(conditions.len() + 1));
        for condition in conditions {
            match condition {
                Value::Array(range) => reading.size_range(range)?,
                Value::Object(pair) => {
                    let (name, value) = one_text(pair)?;
                    reading.exact(name, value, rules)?;
                    kept.push(condition.clone());
                }
                _ => return Err(EXACT),
            }
        }
        let day = reading.version()?;
        let most = max_size.min(MAX_SINGLE);
        let (min, max) = reading.range.unwrap_or((0, most));
        let max = max.min(most);
        if min > max {
            return Err(Refusal(
                "content-length-range: must leave room within the largest size of the settings",
            ));
        }
        kept.push(json!(["content-length-range", min, max]));
        let complete = ["bucket", "acl", "success_action_status"]
            .iter()
            .all(|name| reading.has(name));
        let key = reading.key.filter(|_| complete);
        if key.as_deref().is_some_and(|key| key.contains("${")) {
            return Err(Refusal(
                "key: must not have ${filename} in it, which the store would replace",
            ));
        }
        Ok(Self {
            key: key.ok_or(Refusal(
                "conditions: key, bucket, acl and success_action_status must be given",
            ))?,
            content_type: reading.content_type,
            metadata: reading.fields.meta,
            max_size: max,
            day,
            document: json!({ "expiration": expiration, "conditions": kept }).to_string(),
        })
    }

    /// As it will be signed.
    #[cfg(test)]
    pub(super) fn document(&self) -> &str {
        &self.document
    }

    /// With a document of given bytes, to be held against published signatures.
    #[cfg(test)]
    pub(super) fn with_document(mut self, document: &str) -> Self {
        document.clone_into(&mut self.document);
        self
    }

    /// Whether it is SigV2.
    pub fn is_v2(&self) -> bool {
        self.day.is_none()
    }

    /// Signs the document that was built.
    ///
    /// # Errors
    /// [`SigningError::SessionToken`]: a page has no place for the token of a temporary key.
    pub fn sign(
        &self,
        keys: &SigningKeys,
        region: &str,
        credentials: &Credentials,
    ) -> Result<SignedPolicy, SigningError> {
        if credentials.session_token.is_some() {
            return Err(SigningError::SessionToken);
        }
        let policy = STANDARD.encode(&self.document);
        let signature = match &self.day {
            Some(day) => sign_policy(&policy, keys, credentials, day, region),
            None => v2::sign_text(&policy, &credentials.secret_access_key),
        };
        Ok(SignedPolicy { policy, signature })
    }
}

const EXACT: Refusal =
    Refusal("conditions: must be exact values, such as {\"key\": \"…\"}, or a content-length-range");

/// The only member of a condition, whose value is text.
fn one_text(pair: &serde_json::Map<String, Value>) -> Result<(&str, &str), Refusal> {
    let mut members = pair.iter();
    match (members.next(), members.next()) {
        (Some((name, Value::String(value))), None) => Ok((name, value)),
        _ => Err(EXACT),
    }
}

impl Reading {
    fn has(&self, name: &str) -> bool {
        self.seen.iter().any(|seen| seen == name)
    }

    /// A condition that a field has exactly this value.
    fn exact(&mut self, name: &str, value: &str, rules: &AskRules<'_>) -> Result<(), Refusal> {
        if !value.chars().all(|c| !c.is_control()) {
            return Err(Refusal("conditions: values have no control characters"));
        }
        let folded = name.to_ascii_lowercase();
        if self.has(&folded) {
            return Err(Refusal("conditions: each field once"));
        }
        self.seen.push(folded);
        match name {
            "bucket" => required(value == rules.location.bucket(), "bucket: must be ours")?,
            "acl" => required(value == rules.acl, "acl: must be that of the settings")?,
            "success_action_status" => required(value == "200", "success_action_status: must be 200")?,
            "key" => {
                address::check_key(value)?;
                self.key = Some(value.to_owned());
            }
            "Content-Type" => self.content_type = Some(value.to_owned()),
            "x-amz-algorithm" => required(value == ALGORITHM, "x-amz-algorithm: must be AWS4-HMAC-SHA256")?,
            "x-amz-date" => {
                dates::check_v4(value, rules.now)?;
                self.date = Some(value.to_owned());
            }
            "x-amz-credential" => {
                let scope = value
                    .strip_prefix(rules.access_key_id)
                    .and_then(|rest| rest.strip_prefix('/'));
                let end = format!("/{}/s3/aws4_request", rules.location.region());
                let day = scope.and_then(|scope| scope.strip_suffix(&end));
                let day = day.ok_or(Refusal(
                    "x-amz-credential: must be our key, a day, our region, s3, aws4_request",
                ))?;
                self.day = Some(day.to_owned());
            }
            _ if STORED.contains(&name) => {}
            _ if name.starts_with("x-amz-") => {
                let name = name.to_ascii_lowercase();
                self.fields.admit(&AskedOperation::Begin, &name, value, rules)?;
            }
            _ => {
                return Err(Refusal(
                    "conditions: only the fields of the settings may be signed",
                ));
            }
        }
        Ok(())
    }

    /// A page's own bounds, which may be written as text.
    fn size_range(&mut self, range: &[Value]) -> Result<(), Refusal> {
        let bytes = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        match range {
            [Value::String(name), min, max] if name == "content-length-range" && self.range.is_none() => {
                let bounds = bytes(min).zip(bytes(max));
                self.range =
                    Some(bounds.ok_or(Refusal("content-length-range: must be two numbers of bytes"))?);
                Ok(())
            }
            _ => Err(EXACT),
        }
    }

    /// The credential's day in SigV4, whose three fields come together or not at all.
    fn version(&self) -> Result<Option<String>, Refusal> {
        match (self.has("x-amz-algorithm"), &self.date, &self.day) {
            (false, None, None) => Ok(None),
            (true, Some(date), Some(day)) if date.starts_with(day.as_str()) && day.len() == 8 => {
                Ok(Some(day.clone()))
            }
            _ => Err(Refusal(
                "x-amz-algorithm, x-amz-credential and x-amz-date: must be given together, with the same day",
            )),
        }
    }
}

fn required(is_right: bool, rule: &'static str) -> Result<(), Refusal> {
    if is_right { Ok(()) } else { Err(Refusal(rule)) }
}
