//! Who may ask: the key pair of this server, a second one for parts alone, and the checks of a signature that `s3s` leaves to us.
//!
//! Separate because these are the rules that a signer is tested against. `s3s` compares the signature itself; here
//! stand the token, the scope, the lifetime of an URL and the headers that had to be signed. See
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::address::query_value;

/// The longest life of a presigned URL: seven days, in seconds.
const MAX_URL_LIFE_S: u64 = 7 * 24 * 60 * 60;
/// How far a signed date may be from ours: fifteen minutes, in seconds.
const MAX_SKEW_S: i64 = 15 * 60;

/// What the second key pair may do.
const PARTS_ONLY: [&str; 5] = [
    "CreateMultipartUpload",
    "UploadPart",
    "ListParts",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
];

/// A pair that may do everything until it ends or is taken back, as an STS gives them.
#[derive(Clone)]
pub struct TemporaryKey {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: SecretString,
    /// The token that every request must carry besides.
    pub session_token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// The temporary pairs that are good just now, by their public halves; clones share them.
#[derive(Clone, Default)]
pub struct TemporaryKeys(Arc<RwLock<HashMap<String, TemporaryKey>>>);

impl std::fmt::Debug for TemporaryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TemporaryKeys").finish_non_exhaustive()
    }
}

impl TemporaryKeys {
    pub fn admit(&self, key: TemporaryKey) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.access_key_id.clone(), key);
    }

    pub fn withdraw(&self, access_key_id: &str) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(access_key_id);
    }

    fn get(&self, access_key_id: &str) -> Option<TemporaryKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(access_key_id).cloned()
    }
}

/// The key pair, with the token and the region that belong to it.
#[derive(Clone)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: SecretString,
    /// When set, every request must carry it; when not, no request may carry any.
    pub session_token: Option<String>,
    /// A second pair for parts alone.
    pub parts_only: Option<(String, SecretString)>,
    /// Pairs that come and go.
    pub temporary: TemporaryKeys,
    /// The only region that a signature may name.
    pub region: String,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if let Some(key) = self.temporary.get(access_key) {
            return Ok(SecretKey::from(key.secret_access_key.expose_secret()));
        }
        let narrow = self.parts_only.as_ref().filter(|(id, _)| access_key == id);
        let secret = match narrow {
            Some((_, secret)) => secret,
            None if access_key == self.access_key_id => &self.secret_access_key,
            None => {
                return Err(s3_error!(
                    InvalidAccessKeyId,
                    "The AWS Access Key Id you provided does not exist in our records."
                ));
            }
        };
        Ok(SecretKey::from(secret.expose_secret()))
    }
}

#[async_trait::async_trait]
impl S3Access for Keys {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(
                AccessDenied,
                "Access Denied: the request is not signed"
            ));
        };
        let narrow = self.parts_only.as_ref();
        if narrow.is_some_and(|(id, _)| *id == credentials.access_key)
            && !PARTS_ONLY.contains(&cx.s3_op().name())
        {
            return Err(s3_error!(
                AccessDenied,
                "Access Denied: this key is for parts alone"
            ));
        }
        if cx.s3_op().name() == "PostObject" {
            return self.check_form(&credentials.access_key);
        }
        check_no_customer_key(cx.headers())?;
        let query = cx.uri().query().unwrap_or_default();
        let temporary = self.temporary.get(&credentials.access_key);
        self.check_token(temporary.as_ref(), cx.headers(), query)?;
        match Signature::of(cx.headers(), query) {
            Signature::Query {
                credential,
                signed_headers,
            } => {
                check_url_life(query)?;
                self.check_scope(&credential, "AuthorizationQueryParametersError")?;
                check_headers_signed(cx.headers(), &signed_headers)
            }
            Signature::Header {
                credential,
                signed_headers,
            } => {
                self.check_scope(&credential, "AuthorizationHeaderMalformed")?;
                // The hash of the body stands in what is signed, in its own place: S3 lets the header go unlisted, and
                // Evaporate does.
                check_headers_signed(cx.headers(), &(signed_headers + ";x-amz-content-sha256"))
            }
            Signature::V2Header => check_skew(cx.headers()),
            Signature::V2Query => Ok(()),
        }
    }
}

impl Keys {
    /// A form's fields do not come this far, so a token in it could not be compared.
    fn check_form(&self, access_key: &str) -> S3Result<()> {
        if self.session_token.is_none() && self.temporary.get(access_key).is_none() {
            return Ok(());
        }
        Err(s3_error!(
            AccessDenied,
            "This server takes no forms with temporary credentials"
        ))
    }

    fn check_token(
        &self,
        temporary: Option<&TemporaryKey>,
        headers: &HeaderMap,
        query: &str,
    ) -> S3Result<()> {
        let in_header = headers
            .get("x-amz-security-token")
            .map(|value| value.as_bytes().to_vec());
        let in_query = ["X-Amz-Security-Token", "x-amz-security-token"]
            .into_iter()
            .find_map(|name| query_value(query, name))
            .map(String::into_bytes);
        let wanted = match temporary {
            Some(key) => Some(&key.session_token),
            None => self.session_token.as_ref(),
        };
        let right = match (wanted, in_header.or(in_query)) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ours.as_bytes().ct_eq(&theirs).into(),
            _ => false,
        };
        if !right {
            return Err(invalid_token());
        }
        if temporary.is_some_and(|key| key.expires_at <= Utc::now()) {
            return Err(s3_error!(ExpiredToken, "The provided token has expired."));
        }
        Ok(())
    }

    fn check_scope(&self, credential: &str, code: &str) -> S3Result<()> {
        let mut steps = credential.rsplit('/').skip(1);
        let (service, region) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        if service != "s3" {
            return Err(refusal(
                code,
                format!("The credential scope names service '{service}', not 's3'"),
            ));
        }
        if region != self.region {
            let message = format!("The region '{region}' is wrong; expecting '{}'", self.region);
            return Err(refusal(code, message));
        }
        Ok(())
    }
}

/// Where the signature stands, in the order in which `s3s` looks for it.
enum Signature {
    V2Query,
    V2Header,
    Query {
        credential: String,
        signed_headers: String,
    },
    Header {
        credential: String,
        signed_headers: String,
    },
}

impl Signature {
    fn of(headers: &HeaderMap, query: &str) -> Self {
        let authorization = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if query_value(query, "Signature").is_some() {
            return Self::V2Query;
        }
        if authorization.starts_with("AWS ") {
            return Self::V2Header;
        }
        if query_value(query, "X-Amz-Signature").is_some() {
            let value = |name| query_value(query, name).unwrap_or_default();
            return Self::Query {
                credential: value("X-Amz-Credential"),
                signed_headers: value("X-Amz-SignedHeaders"),
            };
        }
        let value = |name: &str| {
            let fields = authorization
                .split([',', ' '])
                .filter_map(|field| field.trim().split_once('='));
            fields
                .filter(|(found, _)| *found == name)
                .map(|(_, value)| value.to_owned())
                .next()
        };
        Self::Header {
            credential: value("Credential").unwrap_or_default(),
            signed_headers: value("SignedHeaders").unwrap_or_default(),
        }
    }
}

fn check_url_life(query: &str) -> S3Result<()> {
    let life = query_value(query, "X-Amz-Expires").and_then(|text| text.parse::<u64>().ok());
    if life.is_some_and(|life| life <= MAX_URL_LIFE_S) {
        return Ok(());
    }
    let message = format!("X-Amz-Expires must be a number of seconds of at most a week, {MAX_URL_LIFE_S}");
    Err(refusal("AuthorizationQueryParametersError", message))
}

/// A header of S3's own that is not signed could be changed on the way: S3 refuses it, and so must a signer's test.
fn check_headers_signed(headers: &HeaderMap, signed: &str) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|found| found.eq_ignore_ascii_case(name));
    let unsigned = headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-") && !is_signed(name.as_str()));
    match unsigned {
        None => Ok(()),
        Some(name) => Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed: {name}"
        )),
    }
}

/// Encryption with the client's own key is not done here, and to take the key and ignore it would be a lie. S3 too
/// refuses it over plain HTTP.
fn check_no_customer_key(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
        return Err(s3_error!(
            InvalidRequest,
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
        ));
    }
    Ok(())
}

/// The date of a SigV2 header signature; `x-amz-date` goes before `Date`, which a browser may not set.
fn check_skew(headers: &HeaderMap) -> S3Result<()> {
    let date = headers
        .get("x-amz-date")
        .or_else(|| headers.get(http::header::DATE));
    let date = date.and_then(|value| value.to_str().ok()).and_then(parse_date);
    let date = date.ok_or_else(|| s3_error!(AccessDenied, "The signed date is missing or cannot be read"))?;
    if (Utc::now() - date).num_seconds().abs() > MAX_SKEW_S {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "The difference between the request time and the current time is too large."
        ));
    }
    Ok(())
}

fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let mail = DateTime::parse_from_rfc2822(text).map(|date| date.to_utc());
    mail.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").map(|date| date.and_utc()))
        .ok()
}

fn invalid_token() -> S3Error {
    let mut error = s3_error!(
        InvalidToken,
        "The provided token is malformed or otherwise invalid."
    );
    error.set_status_code(http::StatusCode::FORBIDDEN);
    error
}

fn refusal(code: &str, message: String) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.to_owned().into()), message);
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    #[test]
    fn the_header_of_a_signature_is_taken_apart_with_and_without_spaces() {
        for gap in [", ", ","] {
            let text = format!(
                "AWS4-HMAC-SHA256 Credential=AK/20260101/r-1/s3/aws4_request{gap}SignedHeaders=host;x-amz-date{gap}Signature=00"
            );
            let mut map = HeaderMap::new();
            map.insert("authorization", text.parse().expect("value"));

            let Signature::Header {
                credential,
                signed_headers,
            } = Signature::of(&map, "")
            else {
                panic!("it is in the header");
            };

            assert_eq!(credential, "AK/20260101/r-1/s3/aws4_request");
            assert_eq!(signed_headers, "host;x-amz-date");
        }
    }

    #[test]
    fn an_unsigned_header_of_s3_is_refused_and_others_may_stay_unsigned() {
        let sent = headers(&[("x-amz-acl", "private"), ("content-type", "image/png")]);

        assert!(check_headers_signed(&sent, "host;x-amz-acl").is_ok());
        assert!(check_headers_signed(&sent, "host").is_err());
    }

    #[test]
    fn both_spellings_of_a_date_are_read() {
        let expected = "2007-03-27T19:36:42Z".parse::<DateTime<Utc>>().ok();
        assert_eq!(parse_date("Tue, 27 Mar 2007 19:36:42 +0000"), expected);
        assert_eq!(parse_date("Tue, 27 Mar 2007 19:36:42 GMT"), expected);
        assert_eq!(parse_date("20070327T193642Z"), expected);
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn an_url_may_live_seven_days_and_no_second_longer() {
        assert!(check_url_life("X-Amz-Expires=604800").is_ok());
        for query in ["X-Amz-Expires=604801", "X-Amz-Expires=", ""] {
            assert!(check_url_life(query).is_err(), "{query}");
        }
    }
}
