//! A thousand uploads over lines that change bytes, all from one seed: whatever becomes complete is the file.
//!
//! The lies stand between client and store, between client and server, and between server and store. The client is as the
//! kit is: it tells checksums, and sends again what is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use muleteer::domain::{Algorithm, Hasher};
use serde_json::{Value, json};

use super::api::{Api, id, number_in};
use super::lying_proxy::{Lie, LyingProxy};
use super::{PART, TestServer, start, store_of};
use crate::server::Kind;

const CASES: u64 = 1000;

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

    let cases = stream::iter((0..CASES).map(|case| run(&scene, &server, seed, case)));
    let told: usize = cases
        .buffer_unordered(8)
        .collect::<Vec<usize>>()
        .await
        .iter()
        .sum();

    assert!(told >= CASES as usize, "{told} lies in {CASES} cases");
}

/// One upload; how many lies were told of it.
async fn run(scene: &Scene, server: &TestServer, seed: u64, case: u64) -> usize {
    let mut chance = Chance(seed.wrapping_add(case.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let way = [Way::Signed, Way::Untold, Way::ThroughUs, Way::BehindUs][chance.below(4)];
    let count = 1 + chance.below(4);
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
    let mut told = Vec::new();
    for number in 1..=count as u64 {
        if number == 1 || chance.below(2) == 0 {
            told.push((number, lies(&mut chance, way)));
        }
    }
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

/// Sends a file as the kit does, and completes it.
async fn send(scene: &Scene, upload: &Value, file: &[u8], way: Way, story: &str) -> Value {
    let path = format!("/uploads/{}", id(upload));
    let mut missing: Vec<u64> = (1..=number_in(upload, "part_count")).collect();
    for _ in 0..10 {
        for number in std::mem::take(&mut missing) {
            let start = usize::try_from((number - 1) * PART).expect("small");
            let end = file.len().min(start + usize::try_from(PART).expect("small"));
            send_part(scene, upload, number, &file[start..end], way, story).await;
        }
        let answer = scene.direct.post(&format!("{path}/complete"), &json!({})).await;
        if answer.status == 200 {
            return answer.json();
        }
        let problem = answer.problem(409, "incomplete");
        for defect in problem["defects"].as_array().expect("defects") {
            assert_eq!(defect["problem"], "wrong-checksum", "{story}: {problem}");
            missing.push(number_in(defect, "number"));
        }
    }
    panic!("{story}: it is never complete");
}

async fn send_part(scene: &Scene, upload: &Value, number: u64, bytes: &[u8], way: Way, story: &str) {
    let sum = crc(bytes);
    let path = format!("/uploads/{}", id(upload));
    for _ in 0..10 {
        let is_taken = match way {
            Way::Signed | Way::Untold => {
                let mut ask = json!({ "parts": [number] });
                if way == Way::Signed {
                    ask["checksums"] = json!({ number.to_string(): sum });
                }
                let signed = scene
                    .direct
                    .post(&format!("{path}/signatures"), &ask)
                    .await
                    .expect(200);
                let door = &signed["signatures"][0];
                let mut put = scene
                    .http
                    .put(door["url"].as_str().expect("a URL"))
                    .body(bytes.to_vec());
                if let Some(value) = door["headers"]["x-amz-checksum-crc64nvme"].as_str() {
                    put = put.header("x-amz-checksum-crc64nvme", value);
                }
                put.send().await.is_ok_and(|answer| answer.status() == 200)
            }
            Way::ThroughUs | Way::BehindUs => {
                let api = if way == Way::ThroughUs {
                    &scene.through
                } else {
                    &scene.behind
                };
                let api = api.with("x-amz-checksum-crc64nvme", &sum);
                let content = format!("{path}/parts/{number}/content");
                api.try_raw("PUT", &content, bytes.to_vec())
                    .await
                    .is_some_and(|answer| answer.status == 200)
            }
        };
        if is_taken {
            let record = json!({ "size": bytes.len(), "checksums": { "crc64nvme": sum } });
            scene
                .direct
                .put(&format!("{path}/parts/{number}"), &record)
                .await
                .expect(204);
            return;
        }
    }
    panic!("{story}: part {number} never arrives");
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
