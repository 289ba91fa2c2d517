//! Checksums: the store refuses other bytes, ours are compared before the end, and every mistake is named.

use muleteer::config::ChecksumName;
use serde_json::{Value, json};

use super::api::{Api, id, part_of};
use super::lying::crc;
use super::s3_client::quoted_md5;
use super::{PART, on_both, on_both_with, store_of};

fn wanted(size: u64) -> Value {
    json!({ "filename": "film.mp4", "size": size, "checksums": true })
}

fn sums_of(upload: &Value, numbers: &[u64]) -> Value {
    let sums = numbers
        .iter()
        .map(|n| (n.to_string(), json!(crc(&part_of(upload, *n)))));
    Value::Object(sums.collect())
}

fn path(upload: &Value, rest: &str) -> String {
    format!("/uploads/{}{rest}", id(upload))
}

async fn put(door: &Value, bytes: Vec<u8>) -> String {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = http.put(door["url"].as_str().expect("a URL")).body(bytes);
    for (name, value) in door["headers"].as_object().expect("headers") {
        if name != "Content-Length" {
            request = request.header(name, value.as_str().expect("text"));
        }
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole answer");
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once('<'));
    format!("{status} {}", code.map_or("", |(code, _)| code))
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_door_that_is_signed_with_a_checksum_takes_these_bytes_alone() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(2 * PART + 3)).await.expect(201);
        let told = json!({ "algorithm": "crc64nvme", "header": "x-amz-checksum-crc64nvme", "signed": true });
        assert_eq!(upload["checksum"], told);
        let ask = json!({ "parts": "1-3", "checksums": sums_of(&upload, &[1, 2, 3]) });
        let signed = api.post(&path(&upload, "/signatures"), &ask).await.expect(200);
        let doors = signed["signatures"].as_array().expect("doors");
        for (door, number) in doors.iter().zip(1..) {
            let right = part_of(&upload, number);
            let mut wrong = right.clone();
            wrong[0] ^= 1;
            assert_eq!(put(door, wrong.clone()).await, "400 BadDigest");
            // Without its header, or with that of other bytes, the signature is not good.
            let mut bare = door.clone();
            bare["headers"] = json!({});
            assert_eq!(put(&bare, right.clone()).await, "403 SignatureDoesNotMatch");
            let mut other = door.clone();
            other["headers"] = json!({ "x-amz-checksum-crc64nvme": crc(&wrong) });
            assert_eq!(put(&other, wrong).await, "403 SignatureDoesNotMatch");
            assert_eq!(put(door, right).await, "200");
        }
        let done = api.complete(&upload).await.expect(200);
        assert_eq!(done["checksum"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn both_formats_sign_the_same_checksum() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(PART)).await.expect(201);
        let ask = json!({ "parts": "1", "format": "compact", "checksums": sums_of(&upload, &[1]) });
        let compact = api.post(&path(&upload, "/signatures"), &ask).await.expect(200);
        let url: String = [
            &compact["head"],
            &json!("1"),
            &compact["middle"],
            &compact["signatures"][0][1],
            &compact["tail"],
        ]
        .into_iter()
        .map(|piece| piece.as_str().expect("text"))
        .collect();
        let header = json!({ "x-amz-checksum-crc64nvme": crc(&part_of(&upload, 1)) });

        assert_eq!(
            put(&json!({ "url": url, "headers": header }), part_of(&upload, 1)).await,
            "200"
        );
    })
    .await;
}

#[tokio::test]
async fn a_bad_checksum_is_refused_by_its_part() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(3 * PART)).await.expect(201);
        let good = crc(b"x");
        for (checksums, field) in [
            (json!({ "1": good }), "checksums.2"),
            (json!({ "1": good, "2": "AAAA" }), "checksums.2"),
            (json!({ "1": good, "2": "?" }), "checksums.2"),
            (json!({ "1": good, "2": good, "3": good }), "checksums.3"),
        ] {
            let ask = json!({ "parts": "1-2", "checksums": checksums });
            let refused = api.post(&path(&upload, "/signatures"), &ask).await;
            assert_eq!(refused.bad_fields(), [field], "{checksums}");
        }
        for (checksums, field) in [
            (json!({ "crc65": good }), "checksums.crc65"),
            (json!({ "crc64nvme": "AAAA" }), "checksums.crc64nvme"),
            (json!({ "md5": good }), "checksums.md5"),
        ] {
            let one = json!({ "size": PART, "checksums": checksums });
            assert_eq!(
                api.put(&path(&upload, "/parts/1"), &one).await.bad_fields(),
                [field]
            );
            let many = json!({ "parts": [{ "number": 1, "size": PART, "checksums": checksums }] });
            assert_eq!(
                api.post(&path(&upload, "/parts"), &many).await.bad_fields(),
                [field]
            );
            let whole = json!({ "checksums": checksums });
            assert_eq!(
                api.post(&path(&upload, "/complete"), &whole).await.bad_fields(),
                [field]
            );
        }
        let two = json!({ "checksums": { "crc64nvme": good, "crc32": "AAAAAA==" } });
        let refused = api.post(&path(&upload, "/complete"), &two).await;
        assert_eq!(refused.bad_fields(), ["checksums"]);
        // Who never said that it sends checksums has an upload without.
        let plain = api.create("plain", PART).await;
        assert_eq!(plain["checksum"], Value::Null);
        let ask = json!({ "parts": "1", "checksums": { "1": good } });
        let refused = api.post(&path(&plain, "/signatures"), &ask).await;
        assert_eq!(refused.bad_fields(), ["checksums"]);
    })
    .await;
}

#[tokio::test]
async fn parts_of_other_bytes_than_were_told_are_named_and_can_be_sent_again() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(3 * PART)).await.expect(201);
        // The doors are signed without, so that the store takes anything.
        let doors = api.sign(&upload, json!("1-3")).await;
        for (door, number) in doors.iter().zip(1..) {
            let mut bytes = part_of(&upload, number);
            bytes[3] ^= u8::from(number == 2);
            assert_eq!(api.put_part(door, bytes).await, 200);
            let record =
                json!({ "size": PART, "checksums": { "crc64nvme": crc(&part_of(&upload, number)) } });
            api.put(&path(&upload, &format!("/parts/{number}")), &record)
                .await
                .expect(204);
        }

        let problem = api.complete(&upload).await.problem(409, "incomplete");

        assert_eq!(
            problem["defects"],
            json!([{ "problem": "wrong-checksum", "number": 2 }])
        );
        assert_eq!(
            problem["detail"],
            "the upload is not whole: part 2 has other bytes than were sent"
        );
        let key = upload["key"].as_str().expect("a key");
        assert_eq!(store_of(&server).get(key).await.status, 404);
        assert_eq!(api.put_part(&doors[1], part_of(&upload, 2)).await, 200);
        api.complete(&upload).await.expect(200);
        let whole: Vec<u8> = (1..=3).flat_map(|n| part_of(&upload, n)).collect();
        let object = store_of(&server)
            .ask("HEAD", key)
            .signed("x-amz-checksum-mode", "ENABLED");
        let object = object.send().await;
        assert_eq!(
            object.header("x-amz-checksum-crc64nvme"),
            Some(crc(&whole).as_str())
        );
        assert_eq!(object.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    })
    .await;
}

#[tokio::test]
async fn what_the_client_says_of_the_whole_is_compared() {
    on_both(async |server| {
        let api = Api::of(&server);
        for is_told in [true, false] {
            let mut begin = wanted(2 * PART);
            begin["resume"] = json!(false);
            let upload = api.post("/uploads", &begin).await.expect(201);
            api.send_parts(&upload, json!("1-2")).await;
            if is_told {
                for number in 1..=2 {
                    let record =
                        json!({ "size": PART, "checksums": { "crc64nvme": crc(&part_of(&upload, number)) } });
                    api.put(&path(&upload, &format!("/parts/{number}")), &record)
                        .await
                        .expect(204);
                }
            }
            let whole: Vec<u8> = (1..=2).flat_map(|n| part_of(&upload, n)).collect();
            let complete = path(&upload, "/complete");
            if is_told {
                let other = json!({ "checksums": { "crc64nvme": crc(b"other") } });
                api.post(&complete, &other)
                    .await
                    .problem(409, "checksum-mismatch");
                assert_eq!(api.show(&upload).await["state"], "open", "it can still be mended");
            }
            let stated = json!({ "checksums": { "crc64nvme": crc(&whole) } });
            assert_eq!(
                api.post(&complete, &stated).await.expect(200)["state"],
                "complete"
            );
            assert_eq!(
                api.post(&complete, &stated).await.expect(200)["state"],
                "complete"
            );
            let other = json!({ "checksums": { "crc64nvme": crc(b"other") } });
            api.post(&complete, &other)
                .await
                .problem(409, "checksum-mismatch");
        }
        // Where nothing is known of the parts, the object itself is read.
        let upload = api.post("/uploads", &wanted(PART + 1)).await.expect(201);
        api.send_parts(&upload, json!("1-2")).await;
        let other = json!({ "checksums": { "crc64nvme": crc(b"other") } });
        let refused = api.post(&path(&upload, "/complete"), &other).await;
        refused.problem(409, "checksum-mismatch");
        let key = upload["key"].as_str().expect("a key");
        assert_eq!(store_of(&server).get(key).await.status, 404);
        assert_eq!(api.show(&upload).await["state"], "failed");
    })
    .await;
}

#[tokio::test]
async fn a_part_through_us_is_held_against_the_checksum_that_came_with_it() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(PART)).await.expect(201);
        let content = path(&upload, "/parts/1/content");
        let (right, mut wrong) = (part_of(&upload, 1), part_of(&upload, 1));
        wrong[0] ^= 1;
        let md5 = |bytes: &[u8]| quoted_md5(bytes).trim_matches('"').to_owned();
        let md5_of = |bytes: &[u8]| {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(hex::decode(md5(bytes)).expect("hex"))
        };
        for (name, value) in [
            ("x-amz-checksum-crc64nvme", crc(&right)),
            ("content-md5", md5_of(&right)),
        ] {
            let claiming = api.with(name, &value);
            let refused = claiming.raw("PUT", &content, wrong.clone()).await;
            refused.problem(409, "checksum-mismatch");
            let taken = claiming.raw("PUT", &content, right.clone()).await.expect(200);
            assert_eq!(taken["crc64nvme"], crc(&right));
            let unreadable = api.with(name, "AAAA").raw("PUT", &content, right.clone()).await;
            assert!(unreadable.bad_fields()[0].eq_ignore_ascii_case(name));
        }
    })
    .await;
}

#[tokio::test]
async fn the_setting_names_the_checksum() {
    for (name, algorithm, header, signed) in [
        (ChecksumName::Crc32c, "crc32c", "x-amz-checksum-crc32c", true),
        (ChecksumName::Md5, "md5", "content-md5", false),
    ] {
        on_both_with(
            |config| config.s3.checksum = name,
            async |server| {
                let upload = Api::of(&server).post("/uploads", &wanted(PART)).await.expect(201);
                let told = json!({ "algorithm": algorithm, "header": header, "signed": signed });
                assert_eq!(upload["checksum"], told);
            },
        )
        .await;
    }
    on_both_with(
        |config| config.s3.checksum = ChecksumName::None,
        async |server| {
            let upload = Api::of(&server).post("/uploads", &wanted(PART)).await.expect(201);
            assert_eq!(upload["checksum"], Value::Null);
        },
    )
    .await;
}

/// An upload of one part, of which a store that compares nothing has other bytes; and where that part is sent.
async fn with_an_altered_part(api: &Api) -> (Value, Value) {
    let upload = api.post("/uploads", &wanted(PART)).await.expect(201);
    let door = api.sign(&upload, json!("1")).await.remove(0);
    let mut wrong = part_of(&upload, 1);
    wrong[0] ^= 1;
    assert_eq!(api.put_part(&door, wrong).await, 200);
    (upload, door)
}

#[tokio::test]
async fn an_md5_is_held_against_the_stores_tag() {
    on_both_with(
        |config| config.s3.checksum = ChecksumName::Md5,
        async |server| {
            let api = Api::of(&server);
            let (upload, door) = with_an_altered_part(&api).await;
            let tag = quoted_md5(&part_of(&upload, 1));
            let md5 = in_base64(&tag);
            let record = json!({ "size": PART, "checksums": { "md5": md5 } });
            api.put(&path(&upload, "/parts/1"), &record).await.expect(204);

            let problem = api.complete(&upload).await.problem(409, "incomplete");

            assert_eq!(problem["defects"][0]["problem"], "wrong-checksum");
            let mut claimed = door.clone();
            claimed["headers"] = json!({ "content-md5": md5 });
            assert_eq!(put(&claimed, b"0123456789abcdef".to_vec()).await, "400 BadDigest");
            assert_eq!(put(&claimed, part_of(&upload, 1)).await, "200");
            api.complete(&upload).await.expect(200);
        },
    )
    .await;
}

/// A tag of the store's, as headers have an MD5.
fn in_base64(tag: &str) -> String {
    use base64::Engine as _;
    let bytes = hex::decode(tag.trim_matches('"')).expect("hex");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn a_receipt_names_the_store_only_for_what_the_store_has_compared() {
    // The MD5 is right, so the store has the file; the CRC is of another file, and nobody can have compared that.
    on_both_with(
        |config| config.s3.checksum = ChecksumName::Md5,
        async |server| {
            let api = Api::of(&server);
            let upload = api.post("/uploads", &wanted(PART)).await.expect(201);
            api.send_parts(&upload, json!("1")).await;
            let md5 = in_base64(&quoted_md5(&part_of(&upload, 1)));
            let sums = json!({ "md5": md5, "crc64nvme": crc(b"another file") });
            let record = json!({ "size": PART, "checksums": sums });
            api.put(&path(&upload, "/parts/1"), &record).await.expect(204);
            api.complete(&upload).await.expect(200);

            let signed = api.get(&path(&upload, "/receipt")).await.expect(200);

            assert_eq!(signed["receipt"]["checked_by"], "client", "{signed}");
        },
    )
    .await;
    // What the store has compared is vouched for, and what was told besides is not.
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.post("/uploads", &wanted(PART)).await.expect(201);
        api.send_parts(&upload, json!("1")).await;
        let right = crc(&part_of(&upload, 1));
        let sums = json!({ "crc64nvme": right, "crc32c": "AAAAAA==" });
        let record = json!({ "size": PART, "checksums": sums });
        api.put(&path(&upload, "/parts/1"), &record).await.expect(204);
        api.complete(&upload).await.expect(200);

        let signed = api.get(&path(&upload, "/receipt")).await.expect(200);

        assert_eq!(signed["receipt"]["checked_by"], "store", "{signed}");
        assert_eq!(signed["receipt"]["checksums"], json!({ "crc64nvme": right }));
    })
    .await;
}

#[tokio::test]
async fn a_whole_that_is_known_by_its_clients_word_alone_is_read_before_it_counts() {
    on_both_with(
        |config| config.s3.checksum = ChecksumName::Md5,
        async |server| {
            let api = Api::of(&server);
            let (upload, _) = with_an_altered_part(&api).await;
            // No MD5, and the store makes no CRC: nothing that it says can tell.
            let told = json!({ "crc64nvme": crc(&part_of(&upload, 1)) });
            let record = json!({ "size": PART, "checksums": told });
            api.put(&path(&upload, "/parts/1"), &record).await.expect(204);

            let refused = api
                .post(&path(&upload, "/complete"), &json!({ "checksums": told }))
                .await;

            refused.problem(409, "checksum-mismatch");
            let key = upload["key"].as_str().expect("a key");
            assert_eq!(store_of(&server).get(key).await.status, 404);
        },
    )
    .await;
}
