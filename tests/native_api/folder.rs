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
use super::{PART, TestServer, on_both_with};

pub fn in_a_folder(config: &mut Config) {
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

pub fn folder_of(server: &TestServer) -> PathBuf {
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
