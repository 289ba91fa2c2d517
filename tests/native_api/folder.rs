//! A folder and no bucket: what the page, the kit and `muleteer upload` send ends there, as everything else does.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "smb")]
use muleteer::config::Secret;
use muleteer::config::{BackendName, Config};
use muleteer::domain::{Algorithm, Hasher};
#[cfg(feature = "smb")]
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::api::{Api, Reply, file, id, listed, part_of};
use super::process::Place;
use super::{PART, TestServer, on_both, on_both_with};

fn in_a_folder(config: &mut Config) {
    config.storage.backend = BackendName::Local;
    config.storage.local.path = format!("{}/files", config.data_dir);
}

/// Sends one part through the server.
async fn send(api: &Api, upload: &Value, number: u64) -> Reply {
    let path = format!("/uploads/{}/parts/{number}/content", id(upload));
    api.raw("PUT", &path, part_of(upload, number)).await
}

/// The files of a folder and of those in it, without those of unfinished uploads.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.retain(|path| !path.to_string_lossy().contains("/.muleteer/"));
    found
}

fn bytes_of(upload: &Value) -> Vec<u8> {
    let count = upload["part_count"].as_u64().expect("a count");
    (1..=count).flat_map(|number| part_of(upload, number)).collect()
}

fn folder_of(server: &TestServer) -> PathBuf {
    server.folder().join("files")
}

#[tokio::test]
async fn an_upload_of_the_api_passes_through_us_and_ends_as_a_file() {
    on_both_with(in_a_folder, async |server| {
        let api = Api::of(&server);
        let session = api.get("/session").await.expect(200);
        assert_eq!(session["limits"]["transfer"], "relay", "{session}");

        let upload = api.create("film.mp4", 3 * PART + 5).await;
        assert_eq!(upload["transfer"], "relay", "{upload}");
        assert_eq!(
            (&upload["bucket"], &upload["upload_id"]),
            (&json!(""), &Value::Null)
        );
        let path = format!("/uploads/{}/signatures", id(&upload));
        let refused = api.post(&path, &json!({ "parts": [1] })).await;
        refused.problem(403, "forbidden");
        let told = api
            .put(
                &format!("/uploads/{}/parts/1", id(&upload)),
                &json!({ "size": PART }),
            )
            .await;
        assert_eq!(
            told.status,
            403,
            "nobody else says what has arrived: {}",
            told.text()
        );
        for number in [3, 1, 4] {
            send(&api, &upload, number).await.expect(200);
        }
        let lacking = api.complete(&upload).await.problem(409, "incomplete");
        assert_eq!(lacking["defects"][0]["number"], 2, "{lacking}");
        assert_eq!(files(&folder_of(&server)), Vec::<PathBuf>::new());
        send(&api, &upload, 2).await.expect(200);

        let done = api.complete(&upload).await.expect(200);

        let location = done["location"].as_str().expect("a path");
        assert!(
            location.ends_with(upload["key"].as_str().expect("a key")),
            "{done}"
        );
        assert_eq!(files(&folder_of(&server)), [PathBuf::from(location)]);
        assert!(fs::read(location).expect("a file") == bytes_of(&upload));
        assert!(server.store.is_empty(), "there is no embedded S3");
        assert!(!server.folder().join("s3").exists());
        api.get(&format!("/uploads/{}/receipt", id(&upload)))
            .await
            .expect(200);
    })
    .await;
}

#[cfg(feature = "smb")]
#[tokio::test(flavor = "multi_thread")]
async fn a_share_alone_takes_everything_too() {
    let Some(samba) = super::samba::Samba::start("") else {
        return;
    };
    let settings = samba.settings("files");
    let in_a_share = |config: &mut Config| {
        let smb = &mut config.storage.smb;
        smb.host.clone_from(&settings.host);
        smb.port = settings.port;
        smb.user.clone_from(&settings.user);
        smb.password = Secret::new(settings.password.expose_secret());
        smb.share.clone_from(&settings.share);
        smb.path.clone_from(&settings.path);
        config.storage.backend = BackendName::Smb;
    };
    on_both_with(in_a_share, async |server| {
        let api = Api::of(&server);
        let page = api.outside().get("/").await;
        assert!(
            page.text().contains("Into a file share, through the server"),
            "{}",
            page.text()
        );
        api.outside().get("/health/ready").await.expect(200);
        let upload = api.create("film.mp4", 2 * PART + 5).await;
        assert_eq!(upload["transfer"], "relay", "{upload}");
        for number in [3, 1, 2] {
            send(&api, &upload, number).await.expect(200);
        }

        let done = api.complete(&upload).await.expect(200);

        let key = done["key"].as_str().expect("a key");
        let file = samba.share().join("files").join(key);
        assert!(fs::read(file).expect("a file") == bytes_of(&upload), "{done}");
        assert!(server.store.is_empty(), "there is no embedded S3");
    })
    .await;
}

#[tokio::test]
async fn an_empty_file_is_one_too_and_an_upload_that_is_given_up_leaves_nothing() {
    on_both_with(in_a_folder, async |server| {
        let api = Api::of(&server);
        let dropped = api.create("dropped.bin", 2 * PART).await;
        send(&api, &dropped, 1).await.expect(200);
        assert_eq!(
            api.delete(&format!("/uploads/{}", id(&dropped))).await.status,
            204
        );

        let empty = api.create("empty.txt", 0).await;
        let done = api.complete(&empty).await.expect(200);

        let location = done["location"].as_str().expect("a path");
        assert_eq!(fs::metadata(location).expect("a file").len(), 0);
        assert_eq!(files(&folder_of(&server)), [PathBuf::from(location)]);
        let work = fs::read_dir(folder_of(&server).join(".muleteer"));
        assert_eq!(work.map(Iterator::count).unwrap_or_default(), 0);
    })
    .await;
}

/// The header of a part's checksum, which is that of its bytes.
fn claim(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
    hasher.update(bytes);
    hasher.finish().to_base64()
}

#[tokio::test]
async fn a_part_that_was_damaged_on_its_way_counts_for_nothing() {
    on_both_with(in_a_folder, async |server| {
        let api = Api::of(&server);
        let wanted = json!({ "filename": "film.mp4", "size": 2 * PART, "checksums": true });
        let upload = api.post("/uploads", &wanted).await.expect(201);
        let header = "x-amz-checksum-crc64nvme";
        assert_eq!(
            upload["checksum"],
            json!({ "algorithm": "crc64nvme", "header": header, "signed": false })
        );
        let (first, second) = (part_of(&upload, 1), part_of(&upload, 2));
        let path = |number: u32| format!("/uploads/{}/parts/{number}/content", id(&upload));

        let damaged = api
            .with(header, &claim(&first))
            .raw("PUT", &path(1), second.clone())
            .await;

        damaged.problem(409, "checksum-mismatch");
        assert_eq!(listed(&api.show(&upload).await), Vec::<u64>::new());
        for (number, bytes) in [(1, &first), (2, &second)] {
            let sent = api
                .with(header, &claim(bytes))
                .raw("PUT", &path(number), bytes.clone())
                .await;
            assert_eq!(sent.expect(200)["crc64nvme"], claim(bytes));
        }
        let shown = api.show(&upload).await;
        assert_eq!(
            shown["parts"][0]["is_summed"], true,
            "nobody has to tell us once more"
        );
        api.complete(&upload).await.expect(200);
        let receipt = api
            .get(&format!("/uploads/{}/receipt", id(&upload)))
            .await
            .expect(200);
        let whole = [first, second].concat();
        assert!(
            receipt["receipt"].to_string().contains(&claim(&whole)),
            "{receipt}"
        );
    })
    .await;
}

#[tokio::test]
async fn it_goes_on_after_a_restart_with_what_is_there() {
    on_both_with(in_a_folder, async |server| {
        let api = Api::of(&server);
        let begun = api.create("film.mp4", 3 * PART).await;
        send(&api, &begun, 2).await.expect(200);

        let server = server.restart();
        let api = Api::of(&server);
        let again = api
            .post("/uploads", &file("film.mp4", 3 * PART))
            .await
            .expect(200);

        assert_eq!(again["id"], begun["id"]);
        assert_eq!(again["transfer"], "relay");
        assert_eq!(listed(&again), [2]);
        for number in [1, 3] {
            send(&api, &again, number).await.expect(200);
        }
        let done = api.complete(&again).await.expect(200);
        let location = done["location"].as_str().expect("a path");
        assert!(fs::read(location).expect("a file") == bytes_of(&begun));
    })
    .await;
}

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
