//! A thousand bodies changed on their way, all from one seed: whatever becomes complete is the file.
//!
//! The lies stand between client and store, between client and server, and between server and store. The client is as the
//! kit is: it tells checksums, and sends again what is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use muleteer::domain::{Algorithm, Hasher};
use serde_json::{Value, json};

use super::api::{Api, all_parts, id, number_in};
use super::lying_proxy::{Lie, LyingProxy};
use super::{PART, TestServer, start, store_of};
use crate::server::Kind;

/// Uploads, each of two to four parts; every part is lied about once or twice.
const UPLOADS: u64 = 250;

/// At least so many bodies are changed.
const CASES: usize = 1000;

/// The seed of every run, unless `MULETEER_TEST_SEED` names another or says `random`.
const SEED: u64 = 20_261_126;

/// The way that a case's parts take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Straight to the store, signed with their checksums.
    Signed,
    /// Straight to the store without, as where CORS lets no header through; the server is told the checksums.
    Untold,
    /// Through our server, with the lie before it.
    ThroughUs,
    /// Through our server, with the lie behind it.
    BehindUs,
}

struct Scene {
    direct: Api,
    through: Api,
    behind: Api,
    to_store: LyingProxy,
    to_us: LyingProxy,
    from_us: LyingProxy,
    http: reqwest::Client,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lie_of_the_line_becomes_part_of_an_object() {
    let seed = seed();
    println!("MULETEER_TEST_SEED={seed}");
    let (to_store, to_us, from_us) = (
        LyingProxy::start().await,
        LyingProxy::start().await,
        LyingProxy::start().await,
    );
    let server = start(Kind::Sqlite, |config| {
        config.s3.public_endpoint.clone_from(&to_store.url);
    });
    let server = server.expect("SQLite is never skipped");
    to_store.lead_to(&server.store);
    to_us.lead_to(&server.base);
    from_us.lead_to(&server.store);
    let mut beside = crate::around::beside(&server);
    beside.s3.endpoint.clone_from(&from_us.url);
    let second = TestServer::start(Kind::Sqlite, |config| *config = beside).expect("SQLite is never skipped");
    let direct = Api::of(&server);
    let scene = Scene {
        through: direct.moved_to(&to_us.url),
        behind: direct.moved_to(&second.base),
        direct,
        to_store,
        to_us,
        from_us,
        http: reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client"),
    };

    let cases = stream::iter((0..UPLOADS).map(|case| run(&scene, &server, seed, case)));
    let told: usize = cases
        .buffer_unordered(8)
        .collect::<Vec<usize>>()
        .await
        .iter()
        .sum();

    assert!(told >= CASES, "{told} bodies were changed");
}

/// One upload; how many lies were told of it.
async fn run(scene: &Scene, server: &TestServer, seed: u64, case: u64) -> usize {
    let mut chance = Chance(seed.wrapping_add(case.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let way = [Way::Signed, Way::Untold, Way::ThroughUs, Way::BehindUs][chance.below(4)];
    let count = 2 + chance.below(3);
    let size = (count - 1) * usize::try_from(PART).expect("small") + 2 + chance.below(14);
    let file: Vec<u8> = (0..size).map(|_| chance.byte()).collect();
    let story = format!("seed {seed}, case {case}, {way:?}, {size} bytes");
    let begin = json!({ "filename": format!("case-{case}"), "size": size, "checksums": true });
    let upload = scene.direct.post("/uploads", &begin).await.expect(201);
    assert_eq!(upload["checksum"]["algorithm"], "crc64nvme", "{story}");
    let proxy = match way {
        Way::Signed | Way::Untold => &scene.to_store,
        Way::ThroughUs => &scene.to_us,
        Way::BehindUs => &scene.from_us,
    };
    // Where parts arrive unseen, what was changed comes out at the end, and all of it is sent again.
    let told: Vec<(u64, Vec<Lie>)> = (1..=count as u64)
        .map(|number| (number, lies(&mut chance, way)))
        .collect();
    proxy.lie(id(&upload), told);

    let done = send(scene, &upload, &file, way, &story).await;

    assert_eq!(done["state"], "complete", "{story}");
    let object = store_of(server).get(done["key"].as_str().expect("a key")).await;
    assert!(object.body == file, "{story}: the object is not the file");
    let told = proxy.told(id(&upload));
    assert!(told > 0, "{story}: nothing was changed");
    told
}

fn lies(chance: &mut Chance, way: Way) -> Vec<Lie> {
    let times = 1 + chance.below(2);
    let mut any = || chance.below(1 << 16);
    let mut lie = || match any() % 7 {
        0 => Lie::Flip(any()),
        1 => Lie::Swap(any(), any()),
        2 => Lie::OtherPart,
        3 => Lie::Hole(any(), any()),
        4 => Lie::Shorter(any()),
        5 => Lie::Broken(any()),
        // Without its header nobody but the signature could tell on these ways; on the others there is none, or it is ours.
        _ if way == Way::Signed => Lie::FlipUntold(any()),
        _ => Lie::Flip(any()),
    };
    (0..times).map(|_| lie()).collect()
}

/// A file on its way, and the addresses of its parts.
struct Sending<'a> {
    scene: &'a Scene,
    path: String,
    parts: Vec<&'a [u8]>,
    doors: Vec<Value>,
    way: Way,
    story: &'a str,
}

/// Sends a file as the kit does, and completes it.
async fn send(scene: &Scene, upload: &Value, file: &[u8], way: Way, story: &str) -> Value {
    let path = format!("/uploads/{}", id(upload));
    let parts: Vec<&[u8]> = file.chunks(usize::try_from(PART).expect("small")).collect();
    let mut ask = json!({ "parts": all_parts(upload) });
    if way == Way::Signed {
        let sums = (1..)
            .zip(&parts)
            .map(|(n, bytes)| (n.to_string(), json!(crc(bytes))));
        ask["checksums"] = Value::Object(sums.collect());
    }
    let doors = match way {
        Way::Signed | Way::Untold => {
            let signed = scene
                .direct
                .post(&format!("{path}/signatures"), &ask)
                .await
                .expect(200);
            signed["signatures"].as_array().expect("doors").clone()
        }
        Way::ThroughUs | Way::BehindUs => Vec::new(),
    };
    let sending = Sending {
        scene,
        path,
        parts,
        doors,
        way,
        story,
    };
    let mut missing: Vec<usize> = (0..sending.parts.len()).collect();
    for _ in 0..10 {
        for place in &missing {
            sending.send_part(*place).await;
        }
        sending.tell(&missing).await;
        let complete = format!("{}/complete", sending.path);
        let answer = scene.direct.post(&complete, &json!({})).await;
        if answer.status == 200 {
            return answer.json();
        }
        let problem = answer.problem(409, "incomplete");
        missing.clear();
        for defect in problem["defects"].as_array().expect("defects") {
            assert_eq!(defect["problem"], "wrong-checksum", "{story}: {problem}");
            missing.push(usize::try_from(number_in(defect, "number")).expect("small") - 1);
        }
    }
    panic!("{story}: it is never complete");
}

impl Sending<'_> {
    /// Sends one part until it is taken.
    async fn send_part(&self, place: usize) {
        for _ in 0..10 {
            let is_taken = match self.way {
                Way::Signed | Way::Untold => self.straight(place).await,
                Way::ThroughUs => self.through(&self.scene.through, place).await,
                Way::BehindUs => self.through(&self.scene.behind, place).await,
            };
            if is_taken {
                return;
            }
        }
        panic!("{}: part {} never arrives", self.story, place + 1);
    }

    async fn straight(&self, place: usize) -> bool {
        let door = &self.doors[place];
        let url = door["url"].as_str().expect("a URL");
        let mut put = self.scene.http.put(url).body(self.parts[place].to_vec());
        if let Some(value) = door["headers"]["x-amz-checksum-crc64nvme"].as_str() {
            put = put.header("x-amz-checksum-crc64nvme", value);
        }
        put.send().await.is_ok_and(|answer| answer.status() == 200)
    }

    async fn through(&self, api: &Api, place: usize) -> bool {
        let bytes = self.parts[place];
        let content = format!("{}/parts/{}/content", self.path, place + 1);
        let api = api.with("x-amz-checksum-crc64nvme", &crc(bytes));
        let answer = api.try_raw("PUT", &content, bytes.to_vec()).await;
        answer.is_some_and(|answer| answer.status == 200)
    }

    /// Tells our server of the parts that went past it.
    async fn tell(&self, places: &[usize]) {
        if self.doors.is_empty() {
            return;
        }
        let record = |place: &usize| {
            let bytes = self.parts[*place];
            json!({ "number": place + 1, "size": bytes.len(), "checksums": { "crc64nvme": crc(bytes) } })
        };
        let records: Vec<Value> = places.iter().map(record).collect();
        let told = json!({ "parts": records });
        self.scene
            .direct
            .post(&format!("{}/parts", self.path), &told)
            .await
            .expect(204);
    }
}

/// The CRC-64/NVME of these bytes, in base64.
pub fn crc(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
    hasher.update(bytes);
    hasher.finish().to_base64()
}

fn seed() -> u64 {
    match std::env::var("MULETEER_TEST_SEED").ok().as_deref() {
        Some("random") => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(SEED, |since| since.as_secs()),
        Some(text) => text.parse().expect("a number"),
        None => SEED,
    }
}

/// Numbers that a seed decides: <https://prng.di.unimi.it/splitmix64.c>.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("less than a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
