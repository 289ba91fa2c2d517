//! Receipts: who gets one, what it says, and that `muleteer verify` believes nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use muleteer::config::Secret;
use muleteer::signing::ReceiptKey;
use serde_json::{Value, json};

use super::api::{Api, id, part_of};
use super::around::key_for;
use super::lying::crc;
use super::{PART, TestServer, on_both, on_both_with};

/// A complete upload of three parts with its checksums told, and the bytes of its file.
async fn complete(api: &Api) -> (Value, Vec<u8>) {
    let begin = json!({ "filename": "film.mp4", "size": 3 * PART, "checksums": true, "resume": false });
    let upload = api.post("/uploads", &begin).await.expect(201);
    api.send_parts(&upload, json!("1-3")).await;
    for number in 1..=3 {
        let sums = json!({ "crc64nvme": crc(&part_of(&upload, number)) });
        let record = json!({ "size": PART, "checksums": sums });
        let path = format!("/uploads/{}/parts/{number}", id(&upload));
        api.put(&path, &record).await.expect(204);
    }
    api.complete(&upload).await.expect(200);
    let bytes = (1..=3).flat_map(|number| part_of(&upload, number)).collect();
    (upload, bytes)
}

async fn receipt_of(api: &Api, upload: &Value) -> Value {
    api.get(&format!("/uploads/{}/receipt", id(upload)))
        .await
        .expect(200)
}

/// Runs `muleteer verify`; its exit code, and what it says.
fn verify(server: &TestServer, file: &Path, receipt: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muleteer"));
    command.arg("verify").arg(file).arg(receipt).args(more);
    command
        .env_clear()
        .env("MULETEER_URL", &server.base)
        .current_dir(server.folder());
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn written(server: &TestServer, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = server.folder().join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

#[tokio::test]
async fn a_receipt_tells_what_was_stored_and_stays_the_same() {
    on_both(async |server| {
        let api = Api::of(&server);
        let (upload, bytes) = complete(&api).await;
        let signed = receipt_of(&api, &upload).await;

        let receipt = &signed["receipt"];
        for (name, told) in [
            ("version", json!(1)),
            ("upload_id", upload["id"].clone()),
            ("owner", json!("default")),
            ("filename", json!("film.mp4")),
            ("size", json!(3 * PART)),
            ("checksums", json!({ "crc64nvme": crc(&bytes) })),
            ("checked_by", json!("store")),
            ("key", upload["key"].clone()),
            ("bucket", upload["bucket"].clone()),
        ] {
            assert_eq!(receipt[name], told, "{name}");
        }
        assert!(receipt["completed_at"].as_str() >= receipt["created_at"].as_str());
        let key = Api::nobody(&server).get("/receipts/key").await.expect(200);
        assert_eq!(key["kid"], signed["signature"]["key_id"]);
        server.advance(chrono::TimeDelta::days(1));
        assert_eq!(receipt_of(&api, &upload).await, signed);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_its_owners_and_of_a_complete_upload_alone() {
    on_both(async |server| {
        let api = Api::of(&server);
        let (upload, _) = complete(&api).await;
        let path = format!("/uploads/{}/receipt", id(&upload));
        let other = key_for(&server, "somebody-else").await;
        let other = Api::nobody(&server).with("x-api-key", &other);
        other.get(&path).await.problem(404, "not-found");
        Api::nobody(&server)
            .get(&path)
            .await
            .problem(401, "unauthenticated");
        let theirs = other.upload("theirs", PART).await;
        receipt_of(&other, &theirs).await;
        // An admin sees everybody's.
        receipt_of(&api, &theirs).await;
        let open = api.create("open", PART).await;
        let refused = api.get(&format!("/uploads/{}/receipt", id(&open))).await;
        assert_eq!(refused.problem(409, "wrong-state")["state"], "open");
    })
    .await;
}

#[tokio::test]
async fn what_passed_through_us_has_a_checksum_though_its_client_told_none() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", PART + 3).await;
        for number in 1..=2 {
            let path = format!("/uploads/{}/parts/{number}/content", id(&upload));
            api.raw("PUT", &path, part_of(&upload, number)).await.expect(200);
        }
        api.complete(&upload).await.expect(200);
        let bytes: Vec<u8> = (1..=2).flat_map(|number| part_of(&upload, number)).collect();
        let told = receipt_of(&api, &upload).await["receipt"]["checksums"].clone();
        assert_eq!(told, json!({ "crc64nvme": crc(&bytes) }));
    })
    .await;
}

/// A complete upload with its receipt, both as files.
struct Kept {
    bytes: Vec<u8>,
    signed: Value,
    file: PathBuf,
    receipt: PathBuf,
    /// The public key in base64.
    key: String,
}

async fn kept(server: &TestServer) -> Kept {
    let api = Api::of(server);
    let (upload, bytes) = complete(&api).await;
    let signed = receipt_of(&api, &upload).await;
    let jwk = api.get("/receipts/key").await.expect(200);
    written(server, "key.jwk", jwk.to_string());
    Kept {
        file: written(server, "film.mp4", &bytes),
        receipt: written(server, "receipt.json", signed.to_string()),
        key: jwk["x"].as_str().expect("a key").to_owned(),
        bytes,
        signed,
    }
}

/// A key that is nobody's.
fn strange_key() -> ReceiptKey {
    ReceiptKey::new(&"07".repeat(32)).expect("a key")
}

#[tokio::test]
async fn verify_believes_the_right_file() {
    on_both(async |server| {
        let kept = kept(&server).await;
        let pretty = serde_json::to_string_pretty(&kept.signed).expect("JSON");
        let pretty = written(&server, "pretty.json", pretty);
        for (receipt, more) in [
            (&kept.receipt, vec![]),
            (&pretty, vec!["--server", &server.base]),
            (&kept.receipt, vec!["--key", &kept.key]),
            (&kept.receipt, vec!["--key", "key.jwk"]),
        ] {
            let (code, said) = verify(&server, &kept.file, receipt, &more);
            assert_eq!(code, Some(0), "{more:?}: {said}");
            assert!(
                said.contains(&format!("crc64nvme: {}", crc(&kept.bytes))),
                "{said}"
            );
        }
        let (code, said) = verify(&server, &kept.file, &kept.receipt, &["--json"]);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((code, &said["verified"]), (Some(0), &json!(true)));
    })
    .await;
}

#[tokio::test]
async fn verify_believes_no_other_file_no_other_receipt_and_no_other_key() {
    on_both(async |server| {
        let kept = kept(&server).await;
        let mut other = kept.bytes.clone();
        other[5] ^= 1;
        let changed = written(&server, "changed", &other);
        let shorter = written(&server, "shorter", &kept.bytes[1..]);
        let tampered = |member: &str, value: Value| {
            let mut document = kept.signed.clone();
            document["receipt"][member] = value;
            written(&server, &format!("tampered-{member}.json"), document.to_string())
        };
        let other_sum = tampered("checksums", json!({ "crc64nvme": crc(&other) }));
        let other_size = tampered("size", json!(47));
        let mut forged = strange_key().sign(&kept.signed["receipt"]);
        forged["signature"]["key_id"] = kept.signed["signature"]["key_id"].clone();
        let forged = written(&server, "forged.json", forged.to_string());
        let other_key = strange_key().public().jwk().to_string();
        let not_signed = "the signature is not that of this receipt";
        for (file, receipt, more, why) in [
            (&changed, &kept.receipt, vec![], "the file's crc64nvme is"),
            (
                &shorter,
                &kept.receipt,
                vec![],
                "the file has 47 bytes, and the receipt is of 48",
            ),
            (&changed, &other_sum, vec![], not_signed),
            (&kept.file, &other_size, vec![], not_signed),
            (&kept.file, &forged, vec![], not_signed),
            (
                &kept.file,
                &kept.receipt,
                vec!["--key", &other_key],
                "was signed with the key",
            ),
        ] {
            let (code, said) = verify(&server, file, receipt, &more);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(why), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn verify_says_what_it_cannot_read() {
    on_both(async |server| {
        let Kept {
            file, receipt, key, ..
        } = kept(&server).await;
        let text = written(&server, "text", "no receipt");
        let missing = server.folder().join("missing");
        let nobody = "http://127.0.0.1:9";
        for (file, receipt, more) in [
            (&file, &text, vec![]),
            (&missing, &receipt, vec![]),
            (&file, &missing, vec![]),
            (&file, &receipt, vec!["--key", "what?"]),
            (&file, &receipt, vec!["--server", nobody]),
            (&file, &receipt, vec!["--server", nobody, "--key", &key]),
        ] {
            let (code, said) = verify(&server, file, receipt, &more);
            assert_eq!(code, Some(2), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_settings_may_name_the_key() {
    on_both_with(
        |config| config.receipts.private_key = Secret::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="),
        async |server| {
            let key = Api::of(&server).get("/receipts/key").await.expect(200);
            assert_eq!(key, strange_key().public().jwk());
        },
    )
    .await;
}

#[tokio::test]
async fn receipts_of_a_key_that_was_changed_go_on_being_verified() {
    let public = strange_key().public().jwk()["x"]
        .as_str()
        .expect("a key")
        .to_owned();
    on_both_with(
        |config| config.receipts.previous_keys = vec![public.clone()],
        async |server| {
            let kept = kept(&server).await;
            let before = strange_key().sign(&kept.signed["receipt"]);
            let before = written(&server, "before.json", before.to_string());
            for more in [vec![], vec!["--key", "key.jwk"]] {
                for receipt in [&before, &kept.receipt] {
                    let (code, said) = verify(&server, &kept.file, receipt, &more);
                    assert_eq!(code, Some(0), "{said}");
                }
            }
            let (code, said) = verify(&server, &kept.file, &before, &["--key", &kept.key]);
            assert_eq!(code, Some(1), "{said}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_file_whose_client_told_nothing_is_not_called_verified() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.upload("film.mp4", PART).await;
        let signed = receipt_of(&api, &upload).await;
        assert_eq!(signed["receipt"]["checksums"], json!({}));
        assert_eq!(signed["receipt"]["checked_by"], Value::Null);
        let receipt = written(&server, "receipt.json", signed.to_string());
        let file = written(&server, "film.mp4", part_of(&upload, 1));
        let (code, said) = verify(&server, &file, &receipt, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the receipt has no checksum"), "{said}");
    })
    .await;
}
