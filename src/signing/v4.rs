//! SigV4 for single requests, on the `aws-sigv4` crate: in the query for others to send, in headers for us.
//!
//! It is separate from the batch signer, which has one operation to sign and ten thousand times as often; both
//! give the same bytes, and the tests hold them against each other.
//! Specification: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>.

use std::fmt;
use std::time::Duration;

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningParams, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use chrono::{DateTime, Utc};
use http::Method;
use secrecy::ExposeSecret;

use super::credentials::some_lifetime;
use super::encoding::{self, Decimal};
use super::key::SERVICE;
use super::shape::Shape;
use super::{BucketLocation, Credentials, Operation, SigningError};

/// A request that carries its signature. `Debug` hides the query and header values: whoever has them may send it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// The only method that it may be sent with.
    pub method: Method,
    /// The whole address, to be sent as it is.
    pub url: String,
    /// Headers to send, names in lower case; without `host` and `content-length`, which the client makes of the
    /// address and of the body.
    pub headers: Vec<(String, String)>,
    /// The only length that the body may have, where it is signed.
    pub content_length: Option<u64>,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignedRequest")
            .field("method", &self.method)
            .field("address", &self.url.split('?').next().unwrap_or_default())
            .field(
                "headers",
                &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

/// How far the signature covers the body of a request that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Not at all, as for a body that is not known beforehand; send it over TLS.
    Unsigned,
    /// There is no body.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes with this SHA-256, in 64 lower-case hex digits.
    Sha256Hex(&'a str),
}

impl<'a> Payload<'a> {
    fn signable(self) -> SignableBody<'a> {
        match self {
            Self::Unsigned => SignableBody::UnsignedPayload,
            Self::Empty => SignableBody::Bytes(&[]),
            Self::Bytes(bytes) => SignableBody::Bytes(bytes),
            Self::Sha256Hex(digest) => SignableBody::Precomputed(digest.to_owned()),
        }
    }
}

/// Signs `operation` on `key` in the query, so that whoever has the URL may send it until `now` plus
/// [`lifetime`](super::lifetime). The body is not covered.
///
/// Our own parameters come first in the URL, then those of the signature, the session token last.
///
/// # Errors
/// Whatever is wrong with the operation or the key, and [`SigningError::NoLifetime`].
pub fn presign(
    operation: Operation<'_>,
    key: &str,
    location: &BucketLocation,
    credentials: &Credentials,
    now: DateTime<Utc>,
    ttl: Duration,
) -> Result<SignedRequest, SigningError> {
    let shape = operation.shape()?;
    let mut settings = settings(SignatureLocation::QueryParams);
    settings.expires_in = Some(some_lifetime(ttl, credentials, now)?);
    let mut url = shape.url(location, key)?;
    let signer = Signer {
        settings,
        body: SignableBody::UnsignedPayload,
        service: SERVICE,
        region: location.region(),
    };

    let (_, parameters) = signer.sign_shape(&shape, &url, credentials, now)?.into_parts();

    for (name, value) in parameters {
        encoding::push_pair(&mut url, name, Some(&value));
    }
    Ok(shape.signed(url, Vec::new()))
}

/// Signs `operation` on `key` in an `Authorization` header, for a request that we send ourselves within the
/// fifteen minutes that S3 allows.
///
/// # Errors
/// Whatever is wrong with the operation or the key.
pub fn sign(
    operation: Operation<'_>,
    key: &str,
    location: &BucketLocation,
    credentials: &Credentials,
    now: DateTime<Utc>,
    payload: Payload<'_>,
) -> Result<SignedRequest, SigningError> {
    let shape = operation.shape()?;
    let mut settings = settings(SignatureLocation::Headers);
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let url = shape.url(location, key)?;
    let signer = Signer {
        settings,
        body: payload.signable(),
        service: SERVICE,
        region: location.region(),
    };

    let (headers, _) = signer.sign_shape(&shape, &url, credentials, now)?.into_parts();

    let headers = headers
        .iter()
        .map(|header| (header.name().to_owned(), header.value().to_owned()));
    Ok(shape.signed(url, headers.collect()))
}

/// Signs a form that is posted to another service than S3; gives the headers to send, `content-type` among them.
pub(super) fn sign_form(
    service: &str,
    url: &str,
    body: &str,
    region: &str,
    credentials: &Credentials,
    now: DateTime<Utc>,
) -> Result<Vec<(String, String)>, SigningError> {
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let signer = Signer {
        settings: SigningSettings::default(),
        body: SignableBody::Bytes(body.as_bytes()),
        service,
        region,
    };
    let (headers, _) = signer
        .sign(&Method::POST, std::iter::once(kind), url, credentials, now)?
        .into_parts();
    let signature = headers
        .iter()
        .map(|header| (header.name().to_owned(), header.value().to_owned()));
    let kind = (kind.0.to_owned(), kind.1.to_owned());
    Ok(std::iter::once(kind).chain(signature).collect())
}

/// S3 encodes a path once and never normalises it; the defaults are for the other services and break keys with
/// a space, `+`, `//` or `..`.
fn settings(location: SignatureLocation) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings.signature_location = location;
    settings
}

struct Signer<'a> {
    settings: SigningSettings,
    body: SignableBody<'a>,
    service: &'a str,
    region: &'a str,
}

impl<'a> Signer<'a> {
    fn sign_shape(
        self,
        shape: &Shape<'_>,
        url: &str,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Result<SigningInstructions, SigningError> {
        let length = shape.content_length.map(Decimal::new);
        let headers = length
            .iter()
            .map(|length| ("content-length", length.as_str()))
            .chain(shape.headers.iter().map(|(name, value)| (name.as_ref(), *value)));
        self.sign(&shape.method, headers, url, credentials, now)
    }

    fn sign(
        self,
        method: &'a Method,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        url: &'a str,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Result<SigningInstructions, SigningError> {
        let identity = identity(credentials);
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(now.into())
            .settings(self.settings)
            .build()
            .map_err(|cause| SigningError::Signer(cause.into()))?
            .into();
        let request = SignableRequest::new(method.as_str(), url, headers, self.body)
            .map_err(|cause| SigningError::Signer(cause.into()))?;
        let output = aws_sigv4::http_request::sign(request, &params)
            .map_err(|cause| SigningError::Signer(cause.into()))?;
        Ok(output.into_parts().0)
    }
}

fn identity(credentials: &Credentials) -> Identity {
    AwsCredentials::new(
        &credentials.access_key_id,
        credentials.secret_access_key.expose_secret(),
        credentials
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "muleteer",
    )
    .into()
}
