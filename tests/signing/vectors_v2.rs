//! Published SigV2 signatures and the worked examples of the mule-uploader scripts, in `tests/fixtures/`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use muleteer::signing::v2::{self, StringToSign};
use muleteer::signing::{
    AddressingStyle, BucketLocation, Credentials, ObjectHeaders, Operation, SigningError, derive_signing_key,
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::vectors::read;
use super::verifier::Received;

#[derive(Deserialize)]
struct SigV2 {
    access_key_id: String,
    secret_access_key: String,
    header: Vec<V2Example>,
    query: V2Query,
}

#[derive(Deserialize)]
struct V2Example {
    name: String,
    method: String,
    bucket: String,
    path: String,
    query: String,
    #[serde(default)]
    content_md5: String,
    #[serde(default)]
    content_type: String,
    date: String,
    #[serde(default)]
    amz_headers: Vec<(String, String)>,
    signature: String,
}

#[derive(Deserialize)]
struct V2Query {
    endpoint: String,
    bucket: String,
    key: String,
    expires: i64,
    url: String,
}

#[test]
fn the_published_sigv2_examples_are_reproduced() {
    let vectors: SigV2 = read(include_str!("../fixtures/sigv2.json"));
    for example in &vectors.header {
        let query = example.query.split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| {
            pair.split_once('=')
                .map_or((pair, None), |(name, value)| (name, Some(value)))
        });
        let amz_headers: Vec<_> = example
            .amz_headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let string_to_sign = StringToSign {
            method: &example.method,
            content_md5: &example.content_md5,
            content_type: &example.content_type,
            date: &example.date,
            amz_headers: &amz_headers,
            resource: &v2::canonical_resource(&example.bucket, &example.path, query),
        };

        let signature = string_to_sign.sign(&vectors.secret_access_key.as_str().into());

        assert_eq!(signature, example.signature, "{}", example.name);
    }
}

#[test]
fn the_published_sigv2_url_is_reproduced_to_the_byte() {
    let vectors: SigV2 = read(include_str!("../fixtures/sigv2.json"));
    let V2Query {
        endpoint,
        bucket,
        key,
        expires,
        url,
    } = &vectors.query;
    let location = BucketLocation::new(endpoint, bucket, AddressingStyle::VirtualHost, "us-east-1").unwrap();
    let credentials = Credentials::long_term(&vectors.access_key_id, vectors.secret_access_key.as_str());
    let now = DateTime::from_timestamp(expires - 60, 0).unwrap();

    let operation = Operation::GetObject { range: None };
    let request = v2::presign(
        operation,
        key,
        &location,
        &credentials,
        now,
        Duration::from_mins(1),
    )
    .unwrap();

    assert_eq!(request.url, *url);
}

#[derive(Deserialize)]
struct Mule {
    access_key_id: String,
    secret_access_key: String,
    time: DateTime<Utc>,
    key: String,
    upload_id: String,
    v1: MuleV1,
    v2: MuleV2,
}

#[derive(Deserialize)]
struct MuleV1 {
    endpoint: String,
    bucket: String,
    date: String,
    acl: String,
    content_type: String,
    initiate: String,
    parts: BTreeMap<u16, String>,
    list: String,
    complete: String,
    abort: String,
}

#[derive(Deserialize)]
struct MuleV2 {
    region: String,
    signing_key: String,
    part: MuleV2Part,
}

#[derive(Deserialize)]
struct MuleV2Part {
    url: String,
    canonical_request_sha256: String,
}

impl Mule {
    fn load() -> Self {
        read(include_str!("../fixtures/mule.json"))
    }

    fn sign_v1(&self, style: AddressingStyle, operation: Operation<'_>, content_type: &str) -> String {
        let location = BucketLocation::new(&self.v1.endpoint, &self.v1.bucket, style, "us-east-1").unwrap();
        let credentials = Credentials::long_term(&self.access_key_id, self.secret_access_key.as_str());
        let signed = v2::sign(
            operation,
            &self.key,
            &location,
            &credentials,
            self.time,
            content_type,
        )
        .unwrap();
        assert_eq!(signed.date, self.v1.date);
        signed.signature
    }
}

#[test]
fn every_signature_that_mule_v1_asks_for_is_reproduced_in_both_addressing_styles() {
    let mule = Mule::load();
    let upload_id = mule.upload_id.as_str();
    let extra = [("x-amz-acl", mule.v1.acl.as_str())];
    let headers = ObjectHeaders {
        extra: &extra,
        ..ObjectHeaders::default()
    };
    for style in [AddressingStyle::Path, AddressingStyle::VirtualHost] {
        let sign = |operation, content_type| mule.sign_v1(style, operation, content_type);

        assert_eq!(
            sign(Operation::CreateMultipartUpload { headers }, ""),
            mule.v1.initiate
        );
        for (part_number, signature) in &mule.v1.parts {
            let part = Operation::UploadPart {
                upload_id,
                part_number: *part_number,
                content_length: 6_291_456,
            };
            assert_eq!(sign(part, &mule.v1.content_type), *signature);
        }
        // One signature serves every page of the list: the marker is no part of it.
        for marker in [None, Some(1000)] {
            let list = Operation::ListParts {
                upload_id,
                marker,
                max_parts: None,
            };
            assert_eq!(sign(list, ""), mule.v1.list);
        }
        let complete = Operation::CompleteMultipartUpload { upload_id };
        assert_eq!(sign(complete, &mule.v1.content_type), mule.v1.complete);
        assert_eq!(
            sign(Operation::AbortMultipartUpload { upload_id }, ""),
            mule.v1.abort
        );
    }
}

#[test]
fn sigv2_refuses_a_session_token_and_a_content_type_with_a_line_break() {
    let mule = Mule::load();
    let location = BucketLocation::aws("media", "us-east-1").unwrap();
    let long_term = Credentials::long_term("AKID", "secret");
    let temporary = Credentials {
        session_token: Some("token".into()),
        ..long_term.clone()
    };
    let sign = |credentials: &Credentials, content_type: &str| {
        v2::sign(
            Operation::HeadObject,
            &mule.key,
            &location,
            credentials,
            mule.time,
            content_type,
        )
    };

    assert!(matches!(sign(&temporary, ""), Err(SigningError::SessionToken)));
    let smuggled = "a/b\n\n\nx-amz-acl:public-read";
    assert!(matches!(
        sign(&long_term, smuggled),
        Err(SigningError::Header { .. })
    ));
}

#[test]
fn the_signing_key_that_mule_v2_gets_is_reproduced_and_signs_its_requests() {
    let mule = Mule::load();

    let key = derive_signing_key(
        &mule.secret_access_key.as_str().into(),
        mule.time,
        &mule.v2.region,
    );

    assert_eq!(hex::encode(key.expose_secret()), mule.v2.signing_key);
    let part = Received {
        method: "PUT",
        url: &mule.v2.part.url,
        headers: vec![],
        body: b"",
    };
    let verified = part.verify_query(&mule.secret_access_key).unwrap();
    assert_eq!(
        verified.canonical_request_sha256,
        mule.v2.part.canonical_request_sha256
    );
}
