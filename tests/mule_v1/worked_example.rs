//! The signatures of the description's worked example, byte for byte, out of the running server.

use chrono::{DateTime, Utc};
use muleteer::config::Secret;
use muleteer::domain::{
    Backend, Cut, FileName, Fingerprint, MediaType, ObjectKey, Owner, State, Transfer, Upload, UploadId,
};
use serde_json::{Value, json};

use crate::server::TestServer;
use crate::{get, on_both_with};

fn example() -> Value {
    serde_json::from_str(include_str!("../fixtures/mule.json")).expect("the fixture is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Records the example's upload as if it had been begun here.
async fn record(server: &TestServer, example: &Value) {
    let now: DateTime<Utc> = server.clock.now();
    let filename = FileName::new("clip.mp4").expect("the example is possible");
    let upload = Upload {
        id: UploadId::generate(now),
        owner: Owner::recorded("default".to_owned()),
        state: State::Open,
        transfer: Transfer::Direct,
        protocol: "mule-v1".to_owned(),
        size: 15_728_640,
        fingerprint: Fingerprint::new(None, &filename, 15_728_640, None),
        filename,
        content_type: MediaType::new(&text(&example["v1"]["content_type"])).expect("the example is possible"),
        last_modified: None,
        metadata: std::collections::BTreeMap::new(),
        bucket: text(&example["v1"]["bucket"]),
        key: ObjectKey::new(&text(&example["key"])).expect("the example is possible"),
        multipart_id: Some(text(&example["upload_id"])),
        part_size: 6_291_456,
        etag: None,
        storage: Backend::S3,
        sha256: None,
        webhook_url: None,
        appending: None,
        cut: Cut::default(),
        client_ip: None,
        bounds: muleteer::domain::Bounds::default(),
        created_at: now,
        updated_at: now,
        expires_at: now + chrono::TimeDelta::days(7),
    };
    let db = muleteer::app::open_database(&server.config)
        .await
        .expect("the example is possible");
    db.insert_upload(upload, muleteer::db::Room::default())
        .await
        .expect("the example is possible");
    db.close().await.expect("the example is possible");
}

#[tokio::test]
async fn every_signature_of_the_worked_example_comes_out_byte_for_byte() {
    let example = example();
    let adjust = |config: &mut muleteer::config::Config| {
        config.protocols.mule.chunk_size = 6_291_456;
        config.dev_s3.bucket = text(&example["v1"]["bucket"]);
        config.dev_s3.access_key_id = text(&example["access_key_id"]);
        config.dev_s3.secret_access_key = Secret::new(text(&example["secret_access_key"]));
        config.dev_s3.min_part_size = 5 << 20;
    };
    on_both_with(adjust, async |server| {
        let then: DateTime<Utc> = text(&example["time"]).parse().unwrap();
        record(&server, &example).await;
        let (key, id, v1) = (text(&example["key"]), text(&example["upload_id"]), &example["v1"]);
        let about = format!("upload_id={id}&key={key}");
        let mut asked = vec![
            ("get_list_signature", about.clone(), &v1["list"]),
            ("get_end_signature", about.clone(), &v1["complete"]),
            ("get_delete_signature", about.clone(), &v1["abort"]),
        ];
        for (number, signature) in v1["parts"].as_object().unwrap() {
            asked.push((
                "get_chunk_signature",
                format!("chunk={number}&{about}"),
                signature,
            ));
        }
        for (action, query, signature) in asked {
            // Anew for each request, so that a slow machine never reaches the next second.
            server.advance(then - server.clock.now());
            let reply = get(&server, action, &query).await;
            assert_eq!(
                reply.json(),
                json!({ "signature": signature, "date": v1["date"] }),
                "{action} {query}"
            );
        }
    })
    .await;
}
