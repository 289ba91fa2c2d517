//! Checksums: a body with one counts whole or not at all.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::client::{BYTES, VERSION, content, location};
use super::raw_http::in_chunks;
use super::{MIB, everywhere, here};

/// The digest of `bytes` as `Upload-Checksum` has it.
pub fn checksum(algorithm: &str, bytes: &[u8]) -> String {
    let digest = match algorithm {
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        "md5" => Md5::digest(bytes).to_vec(),
        // One bit after the other, as the definition has it.
        "crc32" => {
            let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
                })
            });
            (!crc).to_be_bytes().to_vec()
        }
        other => panic!("{other}"),
    };
    format!("{algorithm} {}", STANDARD.encode(digest))
}

const ALGORITHMS: [&str; 4] = ["sha1", "sha256", "md5", "crc32"];

#[tokio::test]
async fn sum_01_the_algorithms_are_told() {
    here(async |place| {
        let answer = place.client().raw("OPTIONS", "/files", &[], b"").await;

        assert_eq!(answer.header("Tus-Checksum-Algorithm"), "sha1,sha256,md5,crc32");
        assert!(
            !answer.header("Tus-Extension").contains("checksum-trailer"),
            "SUM-11: trailers are hidden from us"
        );
    })
    .await;
}

#[tokio::test]
async fn sum_02_a_digest_is_written_in_the_standard_alphabet() {
    here(async |place| {
        let client = place.client();
        // One whose digest has a plus and a slash.
        let body = (0_u32..1_000_000)
            .map(|n| n.to_string().into_bytes())
            .find(|body| {
                let sum = checksum("sha1", body);
                sum.contains('+') && sum.contains('/')
            })
            .expect("there are many");
        let upload = client.create(body.len()).await;
        let sum = checksum("sha1", &body);

        let other = format!("sha1 {}", URL_SAFE.encode(Sha1::digest(&body)));
        client
            .patch_with(&upload, 0, &[("Upload-Checksum", &other)], &body)
            .await
            .expect(400);
        client
            .patch_with(&upload, 0, &[("Upload-Checksum", &sum)], &body)
            .await
            .expect(204);
    })
    .await;
}

#[tokio::test]
async fn sum_03_sum_04_and_sum_07_a_wrong_body_leaves_nothing_and_the_right_one_goes_in() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(4 * 1_500_000));
        let upload = client.create(file.len()).await;
        for (n, algorithm) in ALGORITHMS.into_iter().enumerate() {
            let (from, to) = (n * 1_500_000, (n + 1) * 1_500_000);
            let sum = checksum(algorithm, &file[from..to]);
            let mut wrong = file[from..to].to_vec();
            wrong[700_000] ^= 1;

            let refused = client
                .patch_with(&upload, from, &[("Upload-Checksum", &sum)], &wrong)
                .await
                .expect(460);
            assert_eq!(refused.reason, "Checksum Mismatch");
            client
                .patch_with(&upload, from, &[("Upload-Checksum", &sum)], &file[from..to - 1])
                .await
                .expect(460);
            assert_eq!(client.offset(&upload).await, from);

            let answer = client
                .patch_with(&upload, from, &[("Upload-Checksum", &sum)], &file[from..to])
                .await;
            assert_eq!(answer.expect(204).number("Upload-Offset"), to as u64);
        }
        assert!(place.object(&upload).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn sum_05_and_sum_06_what_cannot_be_compared_is_refused_before_it_comes() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        let good = checksum("sha1", b"hello");
        let digest = good.strip_prefix("sha1 ").expect("its name");
        for text in [
            "sha512 m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
            &format!("SHA1 {digest}"),
            &format!("banana {digest}"),
            "sha1",
            "sha1 !!!",
            "sha1 AAAA",
            digest,
            &format!("{good} more"),
            "",
        ] {
            let length = [
                VERSION,
                BYTES,
                ("Upload-Offset", "0"),
                ("Content-Length", "5"),
                ("Upload-Checksum", text),
            ];
            let mut connection = client.connect().await;
            // Nothing of the body.
            connection.send(client.head_of("PATCH", &upload, &length)).await;
            connection.answer().await.expect(400);
        }
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn sum_08_a_body_in_chunks_is_compared_too() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(1_200_000));
        let upload = client.create(file.len()).await;
        let sum = checksum("sha256", &file);
        for (body, status) in [(content(1_199_999), 460), (file.clone(), 204)] {
            let mut connection = client
                .begin_chunked(&upload, 0, &[("Upload-Checksum", &sum)])
                .await;
            connection.send(in_chunks(&body, 33_333)).await;
            connection.answer().await.expect(status);
        }

        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn sum_09_a_creation_with_wrong_bytes_makes_no_upload() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(1_200_000));
        let length = file.len().to_string();
        let sum = checksum("md5", &file);
        let fields = [
            BYTES,
            ("Upload-Length", length.as_str()),
            ("Upload-Checksum", &sum),
        ];
        let mut wrong = file.clone();
        wrong[5] ^= 1;

        let refused = client.ask("POST", "/files", &fields, &wrong).await.expect(460);

        assert_eq!(refused.field("Location"), None);
        assert!(place.is_clean().await);
        let made = client.ask("POST", "/files", &fields, &file).await.expect(201);
        assert!(place.object(&location(&made)).await == Some(file.clone()));
    })
    .await;
}

#[tokio::test]
async fn sum_10_a_body_that_is_cut_cannot_be_compared_and_leaves_nothing() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(3 * MIB));
        let upload = client.create(file.len()).await;
        client.send(&upload, 0, &file[..1000]).await;
        let sum = checksum("sha1", &file[1000..]);
        let length = (file.len() - 1000).to_string();
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Offset", "1000"),
            ("Content-Length", &length),
            ("Upload-Checksum", &sum),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("PATCH", &upload, &fields)).await;
        connection.send(&file[1000..2 * MIB]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;

        connection.reset();

        assert_eq!(client.offset(&upload).await, 1000);
        client
            .patch_with(&upload, 1000, &[("Upload-Checksum", &sum)], &file[1000..])
            .await
            .expect(204);
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}
