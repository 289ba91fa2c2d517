//! Requests to sign, with all the oddities that keys, endpoints and credentials can have, and what `aws-sigv4`
//! makes of them.

use std::time::Duration;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode,
};
use chrono::{DateTime, Utc};
use muleteer::signing::{
    AddressingStyle, BucketLocation, Credentials, MultipartUpload, Operation, PartSigner, SignedRequest,
    SigningKeys, v4,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

/// Who signs what, where and when.
#[derive(Debug, Clone)]
pub struct Case {
    pub location: BucketLocation,
    pub credentials: Credentials,
    pub key: String,
    pub upload_id: String,
    pub now: DateTime<Utc>,
    pub ttl: Duration,
}

/// Pieces of keys that somebody has got wrong before.
const ODD: &[&str] = &[
    "a//b",
    "../x",
    "./.",
    "/",
    "a b+c",
    "é",
    "日本",
    "%41",
    "?",
    "#",
    "a?uploads",
    "&=;",
    "~'\"(*)",
    "\u{7f}\n",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(ODD).prop_map(str::to_owned),
        prop::collection::vec(prop::sample::select(ODD), 1..6).prop_map(|pieces| pieces.concat()),
        "[a-zA-Z0-9/._-]{1,60}",
        "\\PC{1,40}",
    ]
}

fn location() -> impl Strategy<Value = BucketLocation> {
    let endpoint = prop::sample::select(vec![
        "https://s3.eu-west-1.amazonaws.com",
        "http://localhost:9000",
        "https://store.example:8443",
        "https://store.example:443",
        "http://store.example:80",
        "http://store.example:443",
        "https://GW.example/s3/v1",
        "http://localhost:7480/base%20path/",
    ]);
    let style = prop::sample::select(vec![AddressingStyle::Path, AddressingStyle::VirtualHost]);
    let region = prop::sample::select(vec!["us-east-1", "eu-west-1", "garage", "auto"]);
    (
        endpoint,
        "[a-z0-9][a-z0-9-]{1,20}[a-z0-9](\\.[a-z0-9]{1,5})?",
        style,
        region,
    )
        .prop_map(|(endpoint, bucket, style, region)| {
            BucketLocation::new(endpoint, &bucket, style, region).unwrap()
        })
}

fn credentials() -> impl Strategy<Value = Credentials> {
    let token = prop::option::of("[A-Za-z0-9+/]{1,400}={0,2}");
    ("[A-Z0-9]{20}|[ -~]{1,30}", "[A-Za-z0-9/+]{1,100}", token).prop_map(|(id, secret, token)| Credentials {
        session_token: token.map(Into::into),
        ..Credentials::long_term(id.replace(['/', ' ', ','], "-"), secret)
    })
}

pub fn case() -> impl Strategy<Value = Case> {
    let upload_id = "[A-Za-z0-9._~+/=-]{1,140}|[!-~]{1,40}";
    // From 2000 to 2096, with parts of a second, which are not signed.
    let now = 946_684_800_000_i64..4_000_000_000_000;
    (location(), credentials(), key(), upload_id, now, 1..=604_800_u64).prop_map(
        |(location, credentials, key, upload_id, now, ttl)| Case {
            location,
            credentials,
            key,
            upload_id: upload_id.replace(['&', '?', '#'], "_"),
            now: DateTime::from_timestamp_millis(now).unwrap(),
            ttl: Duration::from_secs(ttl),
        },
    )
}

impl Case {
    pub fn signer(&self, keys: &SigningKeys) -> PartSigner {
        let upload = MultipartUpload {
            key: &self.key,
            upload_id: &self.upload_id,
        };
        PartSigner::new(
            keys,
            &self.location,
            &self.credentials,
            upload,
            self.now,
            self.ttl,
        )
        .unwrap()
    }

    pub fn presign(&self, operation: Operation<'_>) -> SignedRequest {
        v4::presign(
            operation,
            &self.key,
            &self.location,
            &self.credentials,
            self.now,
            self.ttl,
        )
        .unwrap()
    }

    pub fn secret(&self) -> &str {
        self.credentials.secret_access_key.expose_secret()
    }

    /// The URL of a part as `aws-sigv4` itself makes it, applying its own instructions.
    pub fn part_url_of_aws(&self, number: u16, length: u64) -> String {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(self.ttl);
        let token = self
            .credentials
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned());
        let identity = aws_credential_types::Credentials::new(
            &self.credentials.access_key_id,
            self.secret(),
            token,
            None,
            "test",
        )
        .into();
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(self.location.region())
            .name("s3")
            .time(self.now.into())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let id: String = form_encoded(&self.upload_id);
        let url = format!(
            "{}?partNumber={number}&uploadId={id}",
            self.location.url(&self.key)
        );
        let length = length.to_string();
        let headers = std::iter::once(("content-length", length.as_str()));
        let request = SignableRequest::new("PUT", &url, headers, SignableBody::UnsignedPayload).unwrap();
        let (instructions, _) = aws_sigv4::http_request::sign(request, &params)
            .unwrap()
            .into_parts();
        let mut request = http::Request::put(&url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request.uri().to_string()
    }
}

fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
