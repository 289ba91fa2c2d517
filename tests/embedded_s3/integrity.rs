//! Bytes that are not what the client said they would be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::Running;

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn a_content_md5_is_held_against_the_bytes() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let put = async |md5: &str| {
        let ask = s3
            .client
            .part_request("key", &upload, 1)
            .header("content-md5", md5)
            .body(b"abc");
        ask.send().await.outcome()
    };

    assert_eq!(put(&STANDARD.encode(Md5::digest("abd"))).await, "400 BadDigest");
    assert_eq!(put("no md5").await, "400 InvalidDigest");
    assert!(
        s3.client
            .parts("key", &upload)
            .await
            .tags("PartNumber")
            .is_empty()
    );
    assert_eq!(s3.files_in("segments"), 0);
    assert_eq!(put(&STANDARD.encode(Md5::digest("abc"))).await, "200");
}

#[tokio::test]
async fn each_checksum_is_verified_and_echoed() {
    let s3 = Running::start().await;
    // The published check values of the digits 1 to 9.
    let known = [
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", &sha256(b"123456789")),
    ];
    for (name, value) in known {
        let put = async |body: &[u8]| {
            s3.client
                .ask("PUT", "key")
                .signed(name, value)
                .body(body)
                .send()
                .await
        };

        let right = put(b"123456789").await;
        let wrong = put(b"123456788").await;

        assert_eq!(
            (right.outcome().as_str(), right.header(name)),
            ("200", Some(value)),
            "{name}"
        );
        assert_eq!(wrong.outcome(), "400 BadDigest", "{name}");
    }
    assert_eq!(s3.client.get("key").await.body, b"123456789");
}

#[tokio::test]
async fn a_signed_payload_hash_is_held_against_the_bytes() {
    let s3 = Running::start().await;
    let hash = hex::encode(Sha256::digest("what was signed"));
    let put = async |body: &[u8]| {
        let ask = s3
            .client
            .ask("PUT", "key")
            .signed("x-amz-content-sha256", &hash)
            .body(body);
        ask.send().await.outcome()
    };

    assert_eq!(put(b"what was sent..").await, "400 XAmzContentSHA256Mismatch");
    assert_eq!(put(b"what was signed").await, "200");
}

#[tokio::test]
async fn a_key_for_encryption_is_refused_and_not_ignored() {
    let s3 = Running::start().await;
    let begin = s3.client.ask("POST", "key").query("uploads", "");

    let answer = begin
        .signed("x-amz-server-side-encryption-customer-algorithm", "AES256")
        .send()
        .await;

    assert_eq!(answer.outcome(), "400 InvalidRequest");
}

#[tokio::test]
async fn a_composite_checksum_needs_those_of_the_parts_and_covers_them() {
    let s3 = Running::start().await;
    let begun = s3
        .client
        .ask("POST", "key")
        .query("uploads", "")
        .signed("x-amz-checksum-algorithm", "SHA256");
    let upload = begun.send().await.tag("UploadId").expect("an id");
    let etag = s3.client.part("key", &upload, 1, b"the only part").await;
    let part = sha256(b"the only part");
    let whole = format!("{}-1", sha256(&Sha256::digest("the only part")));
    let complete = async |in_list: &str, claimed: &str| {
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{in_list}</Part></CompleteMultipartUpload>"
        );
        let ask = s3
            .client
            .ask("POST", "key")
            .query("uploadId", &upload)
            .body(list.as_bytes());
        ask.signed("x-amz-checksum-sha256", claimed).send().await
    };
    let listed = format!("<ChecksumSHA256>{part}</ChecksumSHA256>");
    let false_list = format!("<ChecksumSHA256>{}</ChecksumSHA256>", sha256(b"other"));

    assert_eq!(
        s3.client.parts("key", &upload).await.tag("ChecksumSHA256"),
        Some(part)
    );
    assert_eq!(complete("", &whole).await.outcome(), "400 InvalidRequest");
    assert_eq!(complete(&false_list, &whole).await.outcome(), "400 InvalidPart");
    assert_eq!(
        complete(&listed, &format!("{}-1", sha256(b"other")))
            .await
            .outcome(),
        "400 BadDigest"
    );
    assert_eq!(complete(&listed, &whole).await.tag("ChecksumSHA256"), Some(whole));
}

#[tokio::test]
async fn a_full_object_crc_follows_from_the_parts() {
    let s3 = Running::start().await;
    let begun = s3.client.ask("POST", "key").query("uploads", "");
    let begun = begun
        .signed("x-amz-checksum-algorithm", "CRC32C")
        .signed("x-amz-checksum-type", "FULL_OBJECT");
    let upload = begun.send().await.tag("UploadId").expect("an id");
    let first = s3.client.part("key", &upload, 1, b"12345678").await;
    let last = s3.client.part("key", &upload, 2, b"9").await;

    let done = s3
        .client
        .complete("key", &upload, &[(1, &first), (2, &last)])
        .await;

    assert_eq!(done.tag("ChecksumCRC32C").as_deref(), Some("4waSgw=="));
    let head = s3
        .client
        .ask("HEAD", "key")
        .signed("x-amz-checksum-mode", "ENABLED")
        .send()
        .await;
    assert_eq!(head.header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
}
