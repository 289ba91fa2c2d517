//! POST policies: a form with which a browser sends one whole object, and what S3 holds it against.
//!
//! It is separate because here no request is signed but a document of conditions, and because it alone can bound the
//! size of an object that is sent in one request:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::Mac as _;
use secrecy::ExposeSecret as _;

use super::credentials::some_lifetime;
use super::encoding;
use super::key::SERVICE;
use super::shape::{Shape, check_key};
use super::{BucketLocation, Credentials, ObjectHeaders, SigningError, SigningKeys};

/// The algorithm's name among the fields.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a form may send. Everything is exact but the length, so nothing in it is the client's to choose.
#[derive(Debug, Clone)]
pub struct Form<'a> {
    /// The object's key.
    pub key: &'a str,
    /// Bytes that the object may have.
    pub length: RangeInclusive<u64>,
    /// What to store with the object.
    pub headers: ObjectHeaders<'a>,
    /// The status of S3's answer: 200, 201 (with a document that names the object) or 204.
    pub success_status: u16,
}

/// A signed form. `Debug` shows the fields' names alone: whoever has the values may send it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedForm {
    /// Where to post it, as `multipart/form-data`; ends in a slash.
    pub url: String,
    /// Its fields but for the file, which comes last as `file`.
    pub fields: Vec<(String, String)>,
}

impl fmt::Debug for SignedForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.fields.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("SignedForm")
            .field("url", &self.url)
            .field("fields", &names)
            .finish_non_exhaustive()
    }
}

/// Signs a form at `now`, good for [`lifetime`](super::lifetime) of `ttl`.
///
/// # Errors
/// [`SigningError::EmptyKey`], [`SigningError::Header`] or [`SigningError::NoLifetime`].
pub fn sign(
    form: &Form<'_>,
    keys: &SigningKeys,
    location: &BucketLocation,
    credentials: &Credentials,
    now: DateTime<Utc>,
    ttl: Duration,
) -> Result<SignedForm, SigningError> {
    check_key(form.key)?;
    let expiration = now + some_lifetime(ttl, credentials, now)?;
    let time = encoding::timestamp(now);
    let day = &time[..8];
    let credential = format!(
        "{}/{day}/{}/{SERVICE}/aws4_request",
        credentials.access_key_id,
        location.region()
    );
    // The same gate that headers of requests pass.
    let shape = Shape::object(http::Method::POST).object_headers(form.headers)?;
    let mut fields: Vec<(String, String)> = vec![
        ("key".into(), form.key.into()),
        ("success_action_status".into(), form.success_status.to_string()),
    ];
    let headers = shape.headers.into_iter();
    fields.extend(headers.map(|(name, value)| (name.into_owned(), value.to_owned())));
    fields.extend([
        ("x-amz-algorithm".into(), ALGORITHM.into()),
        ("x-amz-credential".into(), credential),
        ("x-amz-date".into(), time.clone()),
    ]);
    if let Some(token) = &credentials.session_token {
        fields.push(("x-amz-security-token".into(), token.expose_secret().into()));
    }
    let policy = STANDARD.encode(document(form, location.bucket(), &fields, expiration));
    let signature = sign_policy(&policy, keys, credentials, day, location.region());
    fields.extend([("policy".into(), policy), ("x-amz-signature".into(), signature)]);
    Ok(SignedForm {
        url: format!("{}/", location.url("").trim_end_matches('/')),
        fields,
    })
}

/// The signature of a policy as the form carries it, in base64, on this day (`20260505`): 64 lower-case hex digits.
pub fn sign_policy(
    policy: &str,
    keys: &SigningKeys,
    credentials: &Credentials,
    day: &str,
    region: &str,
) -> String {
    let mac = keys.mac(credentials, day, region).chain_update(policy);
    hex::encode(mac.finalize().into_bytes())
}

/// The policy itself. Each field that the form will have must stand in it.
fn document(form: &Form<'_>, bucket: &str, fields: &[(String, String)], expiration: DateTime<Utc>) -> String {
    let mut conditions = vec![serde_json::json!({ "bucket": bucket })];
    for (name, value) in fields {
        let mut condition = serde_json::Map::new();
        condition.insert(name.clone(), value.as_str().into());
        conditions.push(condition.into());
    }
    let (least, most) = (form.length.start(), form.length.end());
    conditions.push(serde_json::json!(["content-length-range", least, most]));
    let expiration = expiration.to_rfc3339_opts(SecondsFormat::Millis, true);
    serde_json::json!({ "expiration": expiration, "conditions": conditions }).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::signing::AddressingStyle;

    fn now() -> DateTime<Utc> {
        "2026-05-05T10:00:00Z".parse().unwrap()
    }

    /// Computed by an independent implementation over exactly these bytes, and accepted in that form by the client that
    /// they are of.
    #[test]
    fn a_policy_is_signed_as_its_worked_example_says() {
        let policy = concat!(
            r#"{"expiration":"2026-05-05T10:05:00.000Z","conditions":[{"acl":"private"},{"bucket":"media"},"#,
            r#"{"Content-Type":"image/png"},{"success_action_status":"200"},"#,
            r#"{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"key":"u/7f3a/pic.png"},"#,
            r#"{"x-amz-credential":"EXAMPLEKEYID00000000/20260505/us-east-1/s3/aws4_request"},"#,
            r#"{"x-amz-date":"20260505T100000Z"},{"x-amz-meta-qqfilename":"pic.png"}]}"#,
        );
        let credentials =
            Credentials::long_term("EXAMPLEKEYID00000000", "example/Secret+Key0000000000000000000000");

        let keys = SigningKeys::new();
        let signature = sign_policy(
            &STANDARD.encode(policy),
            &keys,
            &credentials,
            "20260505",
            "us-east-1",
        );

        assert_eq!(
            signature,
            "d237a37d37cd8bafe684305d438df92d0eb12c7057fe5bdc2f0370e5ffc7f026"
        );
    }

    fn signed(token: Option<&str>) -> SignedForm {
        let location =
            BucketLocation::new("https://s3.example", "media", AddressingStyle::Path, "us-east-1").unwrap();
        let credentials = Credentials {
            session_token: token.map(Into::into),
            ..Credentials::long_term("AKID", "secret")
        };
        let extra = [("x-amz-meta-name", "clip")];
        let form = Form {
            key: "u/1/clip.mp4",
            length: 0..=1000,
            headers: ObjectHeaders {
                content_type: Some("video/mp4"),
                content_disposition: Some("attachment"),
                extra: &extra,
            },
            success_status: 201,
        };
        let ttl = Duration::from_mins(5);
        sign(&form, &SigningKeys::new(), &location, &credentials, now(), ttl).unwrap()
    }

    fn policy(form: &SignedForm) -> Value {
        let (_, text) = form.fields.iter().find(|(name, _)| name == "policy").unwrap();
        serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn every_field_is_a_condition_to_the_letter_and_the_length_is_bounded() {
        let form = signed(Some("the-token"));
        let policy = policy(&form);

        assert_eq!(form.url, "https://s3.example/media/");
        assert_eq!(policy["expiration"], "2026-05-05T10:05:00.000Z");
        let conditions = policy["conditions"].as_array().unwrap();
        assert!(conditions.contains(&json!({ "bucket": "media" })));
        assert!(conditions.contains(&json!(["content-length-range", 0, 1000])));
        for (name, value) in &form.fields {
            let is_signature = matches!(name.as_str(), "policy" | "x-amz-signature");
            let condition: Value = json!({ name.as_str(): value });
            assert_eq!(conditions.contains(&condition), !is_signature, "{name}");
        }
        assert_eq!(conditions.len(), form.fields.len());
    }

    #[test]
    fn debug_output_holds_nothing_that_lets_anybody_send_the_form() {
        let form = signed(None);
        let shown = format!("{form:?}");

        let (_, signature) = form.fields.last().unwrap();
        assert!(!shown.contains(signature.as_str()), "{shown}");
    }
}
