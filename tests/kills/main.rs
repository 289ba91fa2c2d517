//! The program is killed, again and again, at moments that a seed decides: while parts come in, and while an upload is
//! completed. Nothing that was acknowledged may be lost, every upload ends in its exact bytes, and one sweep leaves
//! nothing behind.
//!
//! `MULETEER_TEST_SEED` sets the seed; each test prints the one that it used.

#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "these tests only start and kill it")]
mod process;
mod upload;

use std::time::Duration;

use muleteer::dev_s3::{self, DevS3, DevS3Config, MIN_PART_SIZE};
use process::{Place, Process};
use upload::{Client, Random};

const KEY: &str = "a-key-for-kills-0123456789";

/// Where the seed may stand.
const SEED: &str = "MULETEER_TEST_SEED";

/// Uploads in one test, each through several kills.
const UPLOADS: usize = 3;

/// Starts the program again after a kill.
struct Victim {
    place: Place,
    variables: Vec<(String, String)>,
    running: Option<Process>,
}

impl Victim {
    fn new(settings: &[(&str, &str)]) -> Self {
        let common = [
            ("API_KEY", KEY),
            ("CHUNK_SIZE_MB", "1"),
            ("MULETEER_UPLOADS__ORPHAN_GRACE_HOURS", "0"),
            ("MULETEER_LOG__FILTER", "warn"),
        ];
        let variables = common.iter().chain(settings);
        let mut victim = Self {
            place: Place::new(),
            variables: variables
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            running: None,
        };
        victim.start();
        victim
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect()
    }

    fn start(&mut self) {
        self.running = Some(self.place.serve(&self.variables()));
    }

    fn ensure_alive(&mut self) {
        if self.running.is_none() {
            self.start();
        }
    }

    fn client(&self) -> Client {
        let base = &self.running.as_ref().expect("it runs").base;
        Client::new(base, KEY)
    }

    /// Dropping a process kills it with SIGKILL.
    fn kill(&mut self) {
        self.running = None;
    }

    /// One sweep with nobody else about; what it said.
    fn sweep(&mut self) -> String {
        self.kill();
        let output = self.place.run_with(&["sweep"], &self.variables());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Takes one file through `victim` with kills on the way; its address and its bytes.
async fn one_upload(victim: &mut Victim, random: &mut Random) -> (String, Vec<u8>) {
    let file = random.bytes(6 << 20, 12 << 20);
    let id = victim.client().begin(file.len()).await;
    let mut acknowledged = Vec::new();
    loop {
        let sending = victim.client().send_missing(&id, &file, random);
        if random.below(4) > 0 {
            tokio::time::sleep(Duration::from_millis(random.below(250))).await;
            victim.kill();
        }
        acknowledged.extend(sending.wait().await);
        victim.ensure_alive();
        let stored = victim.client().stored(&id).await;
        for part in &acknowledged {
            assert!(
                stored.contains(part),
                "part {part:?} was acknowledged and is lost"
            );
        }
        if stored.len() == file.len().div_ceil(1 << 20) {
            break;
        }
    }
    loop {
        let completing = tokio::spawn(victim.client().complete(id.clone()));
        if random.below(3) > 0 {
            tokio::time::sleep(Duration::from_micros(random.below(25_000))).await;
            victim.kill();
            victim.start();
        }
        if let Some(address) = completing.await.expect("no panic") {
            assert_eq!(
                victim.client().complete(id).await.as_ref(),
                Some(&address),
                "asked again"
            );
            return (address, file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_on_a_local_disk() {
    let mut random = Random::seeded("local", SEED, 20_261_125);
    let mut victim = Victim::new(&[("STORAGE_BACKEND", "local"), ("LOCAL_STORAGE_PATH", "files")]);
    let folder = victim.place.path().join("files");
    for _ in 0..UPLOADS {
        let (address, file) = one_upload(&mut victim, &mut random).await;
        let stored = std::fs::read(victim.place.path().join(address)).expect("the file is there");
        assert!(stored == file, "the file has exactly its bytes");
    }
    let abandoned = victim.client().begin(3 << 20).await;
    victim.client().abandon(&abandoned).await;

    victim.sweep();

    let left: Vec<_> = std::fs::read_dir(folder.join(".muleteer"))
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "a sweep leaves {left:?}");
}

/// An S3 server that outlives the program's kills, with a folder of its own.
async fn store(folder: &std::path::Path) -> DevS3 {
    let settings = DevS3Config {
        root: folder.into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 0,
        access_key_id: "testaccesskey".into(),
        secret_access_key: "testsecretkey123456".into(),
        session_token: None,
        parts_only: None,
        region: "us-east-1".into(),
        bucket: "matrix-bucket".into(),
        min_part_size: MIN_PART_SIZE,
        allow_remote: false,
        max_upload_age: Duration::from_hours(1),
    };
    dev_s3::start(settings).await.expect("it starts")
}

/// Parts of 1 MiB, which S3 does not take as they are: so they are killed while they wait and while they are gathered.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_in_a_bucket() {
    let mut random = Random::seeded("s3", SEED, 20_261_126);
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let endpoint = store.endpoint();
    let mut victim = Victim::new(&[
        ("S3_ENDPOINT", &endpoint),
        ("S3_BUCKET", "matrix-bucket"),
        ("AWS_ACCESS_KEY_ID", "testaccesskey"),
        ("AWS_SECRET_ACCESS_KEY", "testsecretkey123456"),
    ]);
    let bucket = upload::Bucket::new(&endpoint);
    for _ in 0..UPLOADS {
        let (address, file) = one_upload(&mut victim, &mut random).await;
        let key = address.strip_prefix("s3://matrix-bucket/").expect("its key");
        assert!(
            bucket.object(key).await == file,
            "the object has exactly its bytes"
        );
    }

    victim.sweep();

    assert_eq!(bucket.leftovers().await, Vec::<String>::new());
    store.stop().await;
}
