//! SigV4 signatures that AWS has published, in `tests/fixtures/sigv4.json`, each with its source address.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use muleteer::signing::{
    AddressingStyle, BucketLocation, Credentials, ObjectHeaders, Operation, Payload, v4,
};
use serde::Deserialize;

use super::verifier::Received;

pub fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("a fixture of this shape")
}

#[derive(Deserialize)]
struct SigV4 {
    aws: Aws,
    header: Vec<HeaderExample>,
    query: QueryExample,
}

#[derive(Deserialize)]
struct Aws {
    access_key_id: String,
    secret_access_key: String,
    region: String,
    endpoint: String,
    bucket: String,
    time: DateTime<Utc>,
}

#[derive(Deserialize)]
struct HeaderExample {
    name: String,
    method: String,
    key: Option<String>,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    signed_headers: String,
    signature: String,
}

#[derive(Deserialize)]
struct QueryExample {
    key: String,
    expires: u64,
    url: String,
}

impl SigV4 {
    fn load() -> Self {
        read(include_str!("../fixtures/sigv4.json"))
    }

    fn location(&self) -> BucketLocation {
        BucketLocation::new(
            &self.aws.endpoint,
            &self.aws.bucket,
            AddressingStyle::VirtualHost,
            &self.aws.region,
        )
        .unwrap()
    }

    fn credentials(&self) -> Credentials {
        Credentials::long_term(&self.aws.access_key_id, self.aws.secret_access_key.as_str())
    }

    fn authorization(&self, example: &HeaderExample) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/s3/aws4_request, SignedHeaders={}, Signature={}",
            self.aws.access_key_id,
            self.aws.time.format("%Y%m%d"),
            self.aws.region,
            example.signed_headers,
            example.signature
        )
    }
}

#[test]
fn the_published_presigned_get_is_reproduced_to_the_byte() {
    let vectors = SigV4::load();
    let QueryExample { key, expires, url } = &vectors.query;

    let request = v4::presign(
        Operation::GetObject { range: None },
        key,
        &vectors.location(),
        &vectors.credentials(),
        vectors.aws.time,
        Duration::from_secs(*expires),
    )
    .unwrap();

    assert_eq!(request.url, *url);
}

#[test]
fn the_published_object_examples_are_reproduced_in_the_authorization_header() {
    let vectors = SigV4::load();
    let mut reproduced = 0;
    for example in &vectors.header {
        let Some(key) = &example.key else { continue };
        let extra: Vec<_> = example
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let operation = match example.method.as_str() {
            "GET" => Operation::GetObject {
                range: example.headers.get("range").map(String::as_str),
            },
            _ => Operation::PutObject {
                content_length: None,
                headers: ObjectHeaders {
                    extra: &extra,
                    ..ObjectHeaders::default()
                },
            },
        };
        let payload = Payload::Bytes(example.body.as_bytes());

        let request = v4::sign(
            operation,
            key,
            &vectors.location(),
            &vectors.credentials(),
            vectors.aws.time,
            payload,
        )
        .unwrap();

        assert_eq!(request.url, example.url, "{}", example.name);
        let expected = ("authorization".to_owned(), vectors.authorization(example));
        assert!(request.headers.contains(&expected), "{}", example.name);
        reproduced += 1;
    }
    assert_eq!(reproduced, 2);
}

/// The verifier is only worth something if it agrees with AWS too.
#[test]
fn the_verifier_of_these_tests_accepts_every_published_example_and_no_other_signature() {
    let vectors = SigV4::load();
    let secret = &vectors.aws.secret_access_key;
    for example in &vectors.header {
        let mut headers: Vec<_> = example.headers.clone().into_iter().collect();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&example.body);
        headers.push(("x-amz-content-sha256".into(), hex::encode(digest)));
        headers.push((
            "x-amz-date".into(),
            vectors.aws.time.format("%Y%m%dT%H%M%SZ").to_string(),
        ));
        headers.push(("authorization".into(), vectors.authorization(example)));
        let mut request = Received {
            method: &example.method,
            url: &example.url,
            headers,
            body: example.body.as_bytes(),
        };

        request
            .verify_header(secret)
            .unwrap_or_else(|problem| panic!("{}: {problem}", example.name));

        assert!(request.verify_header("another secret").is_err());
        request.method = "DELETE";
        assert!(request.verify_header(secret).is_err());
    }
    let query = |url: &str| {
        Received {
            method: "GET",
            url,
            headers: vec![],
            body: b"",
        }
        .verify_query(secret)
        .is_ok()
    };
    assert!(query(&vectors.query.url));
    assert!(!query(&vectors.query.url.replace("test.txt", "text.txt")));
}
