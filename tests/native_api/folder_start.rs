//! A start with a folder and no bucket: which doors are closed, and what the log, the pages, health and the commands say of
//! it.

use std::fs;

use serde_json::{Value, json};

use super::api::{Api, id};
use super::folder::{folder_of, in_a_folder};
use super::process::Place;
use super::{on_both, on_both_with};

/// Doors that can do nothing but sign for a bucket, and one address of each.
const BUCKET_DOORS: [(&str, &str); 5] = [
    ("GET", "/upload-backend/get_init_signature/"),
    ("GET", "/evaporate/time"),
    ("GET", "/fineuploader/settings"),
    ("GET", "/s3/params?filename=a.txt&type=text/plain"),
    ("GET", "/s3/sts"),
];

#[tokio::test]
async fn doors_that_only_sign_are_closed_and_the_others_open() {
    on_both_with(in_a_folder, async |server| {
        let anybody = Api::of(&server).outside();
        for (method, path) in BUCKET_DOORS {
            let answer = anybody.raw(method, path, Vec::new()).await;
            answer.problem(404, "not-found");
        }
        let alive = anybody.get("/health").await.expect(200);
        assert_eq!(
            alive["protocols"],
            json!(["native", "galileo", "tus", "chunks", "offset"]),
            "{alive}"
        );
        assert_eq!(
            (&alive["embedded_store"], &alive["storage"]["backend_type"]),
            (&json!(false), &json!("local"))
        );
    })
    .await;
    on_both(async |server| {
        let anybody = Api::of(&server).outside();
        for (method, path) in BUCKET_DOORS {
            let answer = anybody.raw(method, path, Vec::new()).await;
            assert_ne!(answer.status, 404, "{path}: {}", answer.text());
        }
    })
    .await;
}

#[tokio::test]
async fn pages_and_health_know_where_files_go() {
    on_both_with(in_a_folder, async |server| {
        let anybody = Api::of(&server).outside();
        let ready = anybody.get("/health/ready").await.expect(200);
        assert_eq!(
            (&ready["status"], &ready["store"]),
            (&json!("ready"), &json!("ok"))
        );
        assert_eq!(ready["embedded_store"], false);

        let page = anybody.get("/").await;
        assert!(page.text().contains("Into a folder on the server, part by part"));
        assert!(!page.text().contains("built-in store"), "{}", page.text());
        let policy = page.header("content-security-policy");
        assert!(policy.ends_with("connect-src 'self'"), "{policy}");
        let doctor = anybody.get("/doctor").await;
        assert!(
            doctor.text().contains("Do files get through"),
            "{}",
            doctor.text()
        );
        assert!(
            !doctor.text().contains("straight to the store"),
            "{}",
            doctor.text()
        );
    })
    .await;
    on_both(async |server| {
        let anybody = Api::of(&server).outside();
        let page = anybody.get("/").await;
        assert!(
            page.text().contains("Files go to the built-in store"),
            "{}",
            page.text()
        );
        assert!(page.header("content-security-policy").contains(&server.store));
        assert_eq!(
            Api::of(&server).get("/session").await.expect(200)["limits"]["transfer"],
            "direct"
        );
    })
    .await;
}

#[tokio::test]
async fn it_is_not_ready_while_the_folder_cannot_be_used() {
    on_both_with(in_a_folder, async |server| {
        let folder = folder_of(&server);
        fs::remove_dir_all(&folder).expect("removed");
        fs::write(&folder, "no folder any more").expect("written");

        let refused = Api::of(&server).outside().get("/health/ready").await;

        let told = refused.problem(503, "unavailable");
        assert_eq!(
            (&told["database"], &told["store"]),
            (&json!("ok"), &json!("unavailable"))
        );
    })
    .await;
}

const FOLDER: [(&str, &str); 3] = [
    ("STORAGE_BACKEND", "local"),
    ("LOCAL_STORAGE_PATH", "files"),
    ("API_KEY", super::server::API_KEY),
];

#[test]
fn a_start_tells_where_files_go_and_what_is_closed() {
    let place = Place::new();

    let (printed, log) = place.serve(&FOLDER).stop();

    assert!(
        printed.contains("files go to    files   (all of them"),
        "{printed}"
    );
    assert!(!printed.contains("embedded S3"), "{printed}");
    let closed = log.lines().filter(|line| line.contains("protocols.uppy.enabled"));
    let closed: Vec<&str> = closed.collect();
    assert_eq!(closed.len(), 1, "{log}");
    for door in ["mule", "evaporate", "fine_uploader"] {
        let name = format!("protocols.{door}.enabled");
        assert!(closed[0].contains(&name), "{name}: {log}");
    }

    let (printed, log) = Place::new().serve(&[]).stop();
    assert!(
        printed.contains("embedded S3") && !printed.contains("files go to"),
        "{printed}"
    );
    assert!(!log.contains("enabled"), "{log}");
}

#[test]
fn a_door_that_somebody_wants_and_that_has_no_bucket_stops_the_start() {
    for (variable, setting) in [
        ("MULETEER_PROTOCOLS__UPPY__ENABLED", "protocols.uppy.enabled: "),
        (
            "MULETEER_PROTOCOLS__MULE__SIGNATURE_V2",
            "protocols.mule.signature_v2: ",
        ),
    ] {
        let wanted = [&FOLDER[..], &[(variable, "true")]].concat();

        let output = Place::new().run_with(&["serve", "--port", "0"], &wanted);

        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(
            complaint.contains(setting) && complaint.contains("s3.bucket"),
            "{complaint}"
        );
    }
}

#[tokio::test]
async fn what_was_begun_in_the_embedded_store_is_told_and_the_file_begins_anew_in_the_folder() {
    let place = Place::new();
    let key = FOLDER[2];
    let server = place.serve(&[key]);
    let api = Api::at(&server.base).with("x-api-key", key.1);
    let size = 6_000_000;
    let before = api.create("film.mp4", size).await;
    assert_eq!(before["transfer"], "direct");
    server.stop();

    let server = place.serve(&FOLDER);
    let api = Api::at(&server.base).with("x-api-key", key.1);
    let anew = api.create("film.mp4", size).await;

    assert_eq!(anew["transfer"], "relay");
    assert_ne!(anew["id"], before["id"]);
    let there = api.get(&format!("/uploads/{}", id(&before))).await;
    there.problem(503, "unavailable");
    assert_eq!(api.delete(&format!("/uploads/{}", id(&before))).await.status, 204);
    let (_, log) = server.stop();
    assert!(
        log.contains("unfinished uploads are in a bucket") && log.contains("left=1"),
        "{log}"
    );

    // It has been given up, so nothing is left to tell of; and of one in the folder there is nothing to tell.
    let (_, log) = place.serve(&FOLDER).stop();
    assert!(!log.contains("unfinished uploads are in a bucket"), "{log}");
}

#[test]
fn doctor_looks_at_the_folder_and_commands_about_a_bucket_say_that_there_is_none() {
    let place = Place::new();
    let examined = place.run_with(&["doctor", "--json"], &FOLDER);
    assert_eq!(examined.status.code(), Some(0), "{examined:?}");
    let told: Value = serde_json::from_slice(&examined.stdout).expect("JSON");
    assert_eq!(told["findings"], json!([]), "{told}");
    assert_eq!(told["facts"][0]["name"], "storage", "{told}");
    assert!(
        !place.path().join("data/s3").exists(),
        "no embedded S3 was started for it"
    );

    for arguments in [&["cors", "show"][..], &["cors", "apply"], &["policy"]] {
        let output = place.run_with(arguments, &FOLDER);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {complaint}");
        assert!(
            complaint.contains("there is no bucket"),
            "{arguments:?}: {complaint}"
        );
    }
    let swept = place.run_with(&["sweep", "--json"], &FOLDER);
    assert_eq!(swept.status.code(), Some(0), "{swept:?}");

    fs::remove_dir_all(place.path().join("files")).expect("removed");
    fs::write(place.path().join("files"), "no folder").expect("written");
    let examined = place.run_with(&["doctor", "--json"], &FOLDER);
    assert_eq!(examined.status.code(), Some(1), "{examined:?}");
    let told: Value = serde_json::from_slice(&examined.stdout).expect("JSON");
    assert_eq!(told["findings"][0]["id"], "storage-unusable", "{told}");
    assert_eq!(told["findings"].as_array().map(Vec::len), Some(1), "{told}");
}
