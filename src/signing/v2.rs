//! SigV2 (HMAC-SHA1), for clients and stores of old: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html>.
//!
//! It is separate because it is on only where the operator says so. It cannot bind a length, and it is offered
//! with long-term keys alone: its clients have no place for a session token.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

use super::credentials::some_lifetime;
use super::encoding::{self, Decimal};
use super::shape::{Shape, check_header_value};
use super::{BucketLocation, Credentials, Operation, SignedRequest, SigningError};

/// Query parameters that are part of the canonical resource; those that we never send are left out.
const SUB_RESOURCES: [&str; 20] = [
    "acl",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "website",
];

/// What SigV2 covers of a request.
#[derive(Debug, Clone, Copy)]
pub struct StringToSign<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// The `Content-MD5` header, empty where none is sent.
    pub content_md5: &'a str,
    /// The `Content-Type` header, empty where none is sent.
    pub content_type: &'a str,
    /// The `Date` header; empty where `x-amz-date` is sent; the time of expiry where it is a URL that is signed.
    pub date: &'a str,
    /// The `x-amz-…` headers in any order, names in any case; a name that comes twice is folded into one.
    pub amz_headers: &'a [(&'a str, &'a str)],
    /// What [`canonical_resource`] gives.
    pub resource: &'a str,
}

impl StringToSign<'_> {
    /// The text itself.
    pub fn text(&self) -> String {
        let Self {
            method,
            content_md5,
            content_type,
            date,
            amz_headers,
            resource,
        } = self;
        let mut text = format!("{method}\n{content_md5}\n{content_type}\n{date}\n");
        let mut headers: Vec<_> = amz_headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        // A stable sort: values of one name stay in the order they are sent in.
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        for same_name in headers.chunk_by(|(one, _), (other, _)| one == other) {
            let values: Vec<_> = same_name.iter().map(|(_, value)| *value).collect();
            text.extend([same_name[0].0.as_str(), ":", &values.join(","), "\n"]);
        }
        text.push_str(resource);
        text
    }

    /// Base64 of the HMAC-SHA1 under `secret`: 28 characters.
    pub fn sign(&self, secret: &SecretString) -> String {
        sign_text(&self.text(), secret)
    }
}

/// Base64 of the HMAC-SHA1 of a text under `secret`: 28 characters.
pub(super) fn sign_text(text: &str, secret: &SecretString) -> String {
    let mac = keyed(secret.expose_secret().as_bytes());
    STANDARD.encode(mac.chain_update(text).finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The resource as it is signed: `/bucket`, the path behind it as it is sent, and those parameters of the query
/// that name a sub-resource, sorted, their values unencoded. The bucket is empty for the service itself.
pub fn canonical_resource<'a>(
    bucket: &str,
    path: &str,
    query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> String {
    let mut parameters: Vec<_> = query
        .into_iter()
        .filter(|(name, _)| SUB_RESOURCES.contains(name))
        .collect();
    parameters.sort_unstable();
    let mut resource = String::new();
    if !bucket.is_empty() {
        resource.extend(["/", bucket]);
    }
    resource.push_str(path);
    for (index, (name, value)) in parameters.into_iter().enumerate() {
        resource.extend([if index == 0 { "?" } else { "&" }, name]);
        if let Some(value) = value {
            resource.extend(["=", value]);
        }
    }
    resource
}

/// What a client adds to a request to sign it in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSignature {
    /// Goes into `Authorization: AWS KEY_ID:SIGNATURE`.
    pub signature: String,
    /// Goes into `x-amz-date`, byte for byte.
    pub date: String,
}

/// Signs `operation` on `key` for the headers of a client that will send it, with `content_type` (empty for
/// none) and with the operation's own `x-amz-…` headers. Good for the fifteen minutes that S3 allows.
///
/// The key should need no encoding: SigV2 covers the path as the client writes it.
///
/// # Errors
/// [`SigningError::SessionToken`], [`SigningError::Header`], and whatever is wrong with operation or key.
pub fn sign(
    operation: Operation<'_>,
    key: &str,
    location: &BucketLocation,
    credentials: &Credentials,
    now: DateTime<Utc>,
    content_type: &str,
) -> Result<HeaderSignature, SigningError> {
    let shape = operation.shape()?;
    check_header_value("content-type", content_type)?;
    let date = http_date(now);
    let signature = Signable {
        shape: &shape,
        key,
        location,
        credentials,
    }
    .sign("", content_type, Some(("x-amz-date", &date)))?;
    Ok(HeaderSignature { signature, date })
}

/// Signs `operation` on `key` in the query: the URL may be sent until `now` plus
/// [`lifetime`](super::lifetime), with the headers that come with it.
///
/// # Errors
/// As [`sign`], and [`SigningError::NoLifetime`].
pub fn presign(
    operation: Operation<'_>,
    key: &str,
    location: &BucketLocation,
    credentials: &Credentials,
    now: DateTime<Utc>,
    ttl: Duration,
) -> Result<SignedRequest, SigningError> {
    let shape = operation.shape()?;
    let end = now + some_lifetime(ttl, credentials, now)?;
    let expires = Decimal::new(end.timestamp().unsigned_abs());
    let content_type = header(&shape, "content-type");
    let signature = Signable {
        shape: &shape,
        key,
        location,
        credentials,
    }
    .sign(expires.as_str(), content_type, None)?;

    let mut url = shape.url(location, key)?;
    encoding::push_pair(&mut url, "AWSAccessKeyId", Some(&credentials.access_key_id));
    encoding::push_pair(&mut url, "Expires", Some(expires.as_str()));
    encoding::push_pair(&mut url, "Signature", Some(&signature));
    // SigV2 does not cover the length, so none is promised.
    Ok(SignedRequest {
        content_length: None,
        ..shape.signed(url, Vec::new())
    })
}

/// `Tue, 05 May 2026 10:00:00 GMT` (RFC 9110 section 5.6.7).
pub fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn header<'a>(shape: &'a Shape<'_>, name: &str) -> &'a str {
    shape
        .headers
        .iter()
        .find(|(found, _)| found == name)
        .map_or("", |(_, value)| value)
}

struct Signable<'a> {
    shape: &'a Shape<'a>,
    key: &'a str,
    location: &'a BucketLocation,
    credentials: &'a Credentials,
}

impl Signable<'_> {
    fn sign(
        &self,
        date: &str,
        content_type: &str,
        amz_date: Option<(&str, &str)>,
    ) -> Result<String, SigningError> {
        if self.credentials.session_token.is_some() {
            return Err(SigningError::SessionToken);
        }
        let own = self
            .shape
            .headers
            .iter()
            .map(|(name, value)| (name.as_ref(), *value));
        let amz_headers: Vec<_> = own
            .filter(|(name, _)| name.starts_with("x-amz-"))
            .chain(amz_date)
            .collect();
        let string_to_sign = StringToSign {
            method: self.shape.method.as_str(),
            content_md5: header(self.shape, "content-md5"),
            content_type,
            date,
            amz_headers: &amz_headers,
            resource: &self.resource()?,
        };
        Ok(string_to_sign.sign(&self.credentials.secret_access_key))
    }

    /// The same in both addressing styles, and without the base path of a gateway, which the store never sees.
    fn resource(&self) -> Result<String, SigningError> {
        let mut path = String::from("/");
        encoding::push_path(&mut path, self.shape.object_key(self.key)?);
        let query = self
            .shape
            .query
            .iter()
            .map(|(name, value)| (*name, value.as_deref()));
        Ok(canonical_resource(self.location.bucket(), &path, query))
    }
}
