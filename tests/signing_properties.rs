//! What must hold for every signature: the batch signer agrees with `aws-sigv4` to the byte, and everything we
//! sign passes a verifier that was written apart from it.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as loudly as the tests"
)]

use std::time::Duration;

use chrono::DateTime;
use muleteer::signing::{
    BucketLocation, Credentials, MultipartUpload, ObjectHeaders, Operation, PartSigner, Payload,
    SignedRequest, SigningKeys, v4,
};
use proptest::prelude::*;

#[path = "signing/case.rs"]
mod case;
#[path = "signing/vectors.rs"]
mod vectors;
#[path = "signing/vectors_v2.rs"]
mod vectors_v2;
#[path = "signing/verifier.rs"]
mod verifier;

use case::{Case, case};
use verifier::Received;

fn received<'a>(request: &'a SignedRequest, body: &'a [u8]) -> Received<'a> {
    let mut headers = request.headers.clone();
    headers.extend(
        request
            .content_length
            .map(|length| ("content-length".to_owned(), length.to_string())),
    );
    Received {
        method: request.method.as_str(),
        url: &request.url,
        headers,
        body,
    }
}

/// Values that a signer has to fold, quote or leave alone.
const HEADERS: ObjectHeaders<'static> = ObjectHeaders {
    content_type: Some("video/mp4; codecs=\"avc1\""),
    content_disposition: Some("attachment; filename*=UTF-8''caf%C3%A9.mp4"),
    extra: &[
        ("x-amz-meta-title", "a  b, c;d=\"e\""),
        ("X-Amz-Acl", "private"),
        ("cache-control", "no-store"),
    ],
};

/// Every operation, with all that can be chosen about it.
fn for_each_operation(case: &Case, number: u16, length: u64, mut check: impl FnMut(Operation<'_>)) {
    let upload_id = case.upload_id.as_str();
    let headers = HEADERS;
    let listing = Operation::ListMultipartUploads {
        prefix: Some("u/ é&="),
        key_marker: Some(&case.key),
        upload_id_marker: Some(upload_id),
        max_uploads: Some(1000),
    };
    for operation in [
        Operation::CreateMultipartUpload { headers },
        Operation::CreateMultipartUpload {
            headers: ObjectHeaders::default(),
        },
        Operation::UploadPart {
            upload_id,
            part_number: number,
            content_length: length,
        },
        Operation::ListParts {
            upload_id,
            marker: None,
            max_parts: None,
        },
        Operation::ListParts {
            upload_id,
            marker: Some(number),
            max_parts: Some(1000),
        },
        Operation::CompleteMultipartUpload { upload_id },
        Operation::AbortMultipartUpload { upload_id },
        Operation::PutObject {
            content_length: Some(length),
            headers,
        },
        Operation::PutObject {
            content_length: None,
            headers: ObjectHeaders::default(),
        },
        Operation::GetObject {
            range: Some("bytes=0-9"),
        },
        Operation::HeadObject,
        Operation::DeleteObject,
        listing,
        Operation::HeadBucket,
        Operation::CreateBucket,
        Operation::GetBucketCors,
        Operation::PutBucketCors {
            content_md5: "1B2M2Y8AsgTpgAmY7PhCfg==",
        },
    ] {
        check(operation);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_part_url_equals_what_aws_sigv4_makes_of_the_same_request(
        case in case(),
        number in 1..=10_000_u16,
        length in prop_oneof![0..10_u64, 0..=5_368_709_120_u64, Just(u64::MAX)],
    ) {
        let signer = case.signer(&SigningKeys::new());

        let url = signer.url(number, length);

        prop_assert_eq!(&url, &case.part_url_of_aws(number, length));
        let operation =
            Operation::UploadPart { upload_id: &case.upload_id, part_number: number, content_length: length };
        prop_assert_eq!(&url, &case.presign(operation).url);
        let signature = signer.sign(number, length);
        let assembled = format!("{}{number}{}{signature}{}", signer.head(), signer.middle(), signer.tail());
        prop_assert_eq!(&url, &assembled);
        let whole_second = DateTime::from_timestamp(case.now.timestamp(), 0).unwrap();
        prop_assert_eq!(signer.expires_at(), whole_second + case.ttl);
    }

    #[test]
    fn a_part_url_for_any_length_equals_what_aws_sigv4_makes_of_the_same_request(
        case in case(),
        number in 1..=10_000_u16,
        length in 0..10_u64,
    ) {
        let upload = MultipartUpload { key: &case.key, upload_id: &case.upload_id };
        let signer = PartSigner::of_any_length(
            &SigningKeys::new(), &case.location, &case.credentials, upload, case.now, case.ttl,
        ).unwrap();

        let operation = Operation::UploadAnyPart { upload_id: &case.upload_id, part_number: number };
        prop_assert_eq!(&signer.url(number, length), &case.presign(operation).url);
    }

    #[test]
    fn a_part_url_is_good_for_its_length_alone(
        case in case(),
        number in 1..=10_000_u16,
        length in 0..5_368_709_120_u64,
    ) {
        let url = case.signer(&SigningKeys::new()).url(number, length);
        let sent = |length: u64| Received {
            method: "PUT",
            url: &url,
            headers: vec![("content-length".into(), length.to_string())],
            body: b"",
        };

        let verified = sent(length).verify_query(case.secret()).unwrap();

        prop_assert_eq!(verified.signed_headers, ["content-length", "host"]);
        prop_assert_eq!(verified.expires, Some(case.ttl.as_secs()));
        prop_assert!(sent(length + 1).verify_query(case.secret()).is_err());
    }

    #[test]
    fn one_cache_of_keys_serves_many_uploads_without_mixing_them_up(cases in prop::collection::vec(case(), 2..12)) {
        let keys = SigningKeys::new();
        for case in cases.iter().chain(&cases) {
            prop_assert_eq!(case.signer(&keys).url(1, 1), case.signer(&SigningKeys::new()).url(1, 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_operation_signed_in_the_query_passes_an_independent_verifier(
        case in case(),
        number in 1..=10_000_u16,
        length in 0..=5_368_709_120_u64,
    ) {
        for_each_operation(&case, number, length, |operation| {
            let request = case.presign(operation);
            let verified = received(&request, b"").verify_query(case.secret());
            let verified = verified.unwrap_or_else(|problem| panic!("{operation:?}: {problem}"));
            assert_eq!(verified.expires, Some(case.ttl.as_secs()));
            assert_eq!(request.url.contains("X-Amz-Security-Token="), case.credentials.session_token.is_some());
        });
    }

    #[test]
    fn every_operation_signed_in_headers_passes_an_independent_verifier(
        case in case(),
        number in 1..=10_000_u16,
        body in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&body));
        for_each_operation(&case, number, body.len() as u64, |operation| {
            for (payload, body) in [
                (Payload::Unsigned, &body[..]),
                (Payload::Empty, b""),
                (Payload::Bytes(&body), &body),
                (Payload::Sha256Hex(&digest), &body),
            ] {
                let request =
                    v4::sign(operation, &case.key, &case.location, &case.credentials, case.now, payload).unwrap();
                let verified = received(&request, body).verify_header(case.secret());
                verified.unwrap_or_else(|problem| panic!("{operation:?}, {payload:?}: {problem}"));
            }
        });
    }
}

#[test]
fn ten_thousand_parts_of_one_upload_have_as_many_signatures_and_the_last_equals_aws_sigv4() {
    let case = Case {
        location: BucketLocation::aws("media", "eu-west-1").unwrap(),
        credentials: Credentials::long_term("AKID", "secret"),
        key: "u/clip.mp4".into(),
        upload_id: "upload".into(),
        now: DateTime::from_timestamp(1_777_975_200, 0).unwrap(),
        ttl: Duration::from_hours(1),
    };
    let signer = case.signer(&SigningKeys::new());

    let signatures: std::collections::HashSet<_> = (1..=10_000)
        .map(|number| signer.sign(number, 6_291_456).as_str().to_owned())
        .collect();

    assert_eq!(signatures.len(), 10_000);
    assert_eq!(signer.url(10_000, 1), case.part_url_of_aws(10_000, 1));
}

#[test]
fn a_signer_without_key_upload_or_lifetime_is_refused() {
    let location = BucketLocation::aws("media", "eu-west-1").unwrap();
    let credentials = Credentials::long_term("AKID", "secret");
    let now = DateTime::from_timestamp(1_777_975_200, 0).unwrap();
    let signer = |key, upload_id, ttl| {
        let upload = MultipartUpload { key, upload_id };
        PartSigner::new(
            &SigningKeys::new(),
            &location,
            &credentials,
            upload,
            now,
            Duration::from_secs(ttl),
        )
    };

    assert!(signer("k", "u", 1).is_ok());
    assert!(signer("", "u", 1).is_err());
    assert!(signer("k", "", 1).is_err());
    assert!(signer("k", "u&x=y", 1).is_err());
    assert!(signer("k", "u", 0).is_err());
}

#[test]
fn what_is_logged_of_a_signed_request_cannot_be_sent() {
    let location = BucketLocation::aws("media", "eu-west-1").unwrap();
    let credentials = Credentials {
        session_token: Some("the-token".into()),
        ..Credentials::long_term("AKID", "secret")
    };
    let now = DateTime::from_timestamp(1_777_975_200, 0).unwrap();
    let url = v4::presign(
        Operation::HeadObject,
        "k",
        &location,
        &credentials,
        now,
        Duration::from_secs(9),
    )
    .unwrap();
    let own = v4::sign(
        Operation::HeadObject,
        "k",
        &location,
        &credentials,
        now,
        Payload::Empty,
    )
    .unwrap();
    let upload = MultipartUpload {
        key: "k",
        upload_id: "u",
    };
    let signer = PartSigner::new(
        &SigningKeys::new(),
        &location,
        &credentials,
        upload,
        now,
        Duration::from_secs(9),
    )
    .unwrap();

    let logged = format!("{url:?} {own:?} {signer:?} {:?}", signer.sign(1, 1));

    assert!(logged.contains("amazonaws.com/k"));
    for secret in [
        "the-token",
        "X-Amz-Signature",
        "Signature=",
        signer.sign(1, 1).as_str(),
    ] {
        assert!(!logged.contains(secret), "{logged}");
    }
}
