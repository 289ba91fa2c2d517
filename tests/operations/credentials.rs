//! Credentials that come and go: every place of AWS's chain, and what clients see of their renewing, their end and their
//! being taken back. The program is a real process with the variables of such a place, the store really refuses.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::api::{self, Api, file, id, part_of};
use super::exposition::Exposition;
use super::metadata::{CONTAINER_TOKEN, Giver, Mood, REGION, SESSION, SSO_TOKEN, WEB_IDENTITY};
use super::process::{Place, Process};
use super::server::API_KEY;
use super::{PART, TOKEN};

type Variables = Vec<(&'static str, String)>;

fn borrowed(variables: &Variables) -> Vec<(&'static str, &str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn serve(place: &Place, variables: &Variables) -> Process {
    place.serve(&borrowed(variables))
}

fn client(process: &Process) -> Api {
    Api::at(&process.base).with("x-api-key", API_KEY)
}

async fn scrape(process: &Process) -> Exposition {
    let reader = Api::at(&process.base).outside();
    let reader = reader.with("authorization", &format!("Bearer {TOKEN}"));
    Exposition::read(&reader.get("/metrics").await.text())
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// A place with what it takes to be found, and the word that the log has for it.
fn set_up(which: &str, giver: &Giver, folder: &Path) -> Variables {
    let mut variables = giver.without_instance();
    let mut set = |name, value: &str| variables.push((name, value.to_owned()));
    set("HOME", folder.to_str().expect("UTF-8"));
    match which {
        "the instance's role" => return giver.variables(),
        "the container's service" => {
            let token = write(folder, "pod/token", CONTAINER_TOKEN);
            set(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{}/container", giver.address),
            );
            set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token);
        }
        "the web identity" => {
            let token = write(folder, "web/token", WEB_IDENTITY);
            set("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
            set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/uploader");
            set("AWS_ENDPOINT_URL_STS", &giver.address);
        }
        "the profile" => {
            let pair = write(folder, "pair.json", &giver.issue(TimeDelta::hours(1)).json());
            let profile = format!("[profile uploads]\ncredential_process = cat {pair}\n");
            write(folder, ".aws/config", &profile);
            set("AWS_PROFILE", "uploads");
            set("PATH", "/usr/bin:/bin");
        }
        "the profile, by SSO" => {
            let start = "https://people.example/start";
            let profile = format!(
                "[profile uploads]\nsso_start_url = {start}\nsso_region = {REGION}\nsso_account_id = 123456789012\n\
                 sso_role_name = uploader\n"
            );
            write(folder, ".aws/config", &profile);
            // The file's name is the SHA-1 of the start's address.
            let name = {
                use sha1::{Digest as _, Sha1};
                hex::encode(Sha1::digest(start.as_bytes()))
            };
            let cached = json!({ "accessToken": SSO_TOKEN, "expiresAt": "2099-01-01T00:00:00Z", "region": REGION, "startUrl": start });
            write(
                folder,
                &format!(".aws/sso/cache/{name}.json"),
                &cached.to_string(),
            );
            set("AWS_PROFILE", "uploads");
            set("AWS_ENDPOINT_URL_SSO", &giver.address);
        }
        other => panic!("no place is called {other}"),
    }
    variables
}

#[tokio::test(flavor = "multi_thread")]
async fn each_place_of_the_chain_gives_credentials_that_upload_and_is_named_in_the_log() {
    let places = [
        "the instance's role",
        "the container's service",
        "the web identity",
        "the profile",
        "the profile, by SSO",
    ];
    // Starts wait for the program with the whole thread, so no request may be on its way beside them.
    let mut started = Vec::new();
    for which in places {
        let (giver, place) = (Giver::start().await, Place::new());
        let mut variables = set_up(which, &giver, place.path());
        variables.push(("MULETEER_LOG__FILTER", "trace".to_owned()));
        let process = serve(&place, &variables);
        started.push((which, giver, place, process));
    }
    for (which, giver, _place, process) in started {
        let done = client(&process).upload("film.mp4", 40).await;

        let key = done["key"].as_str().expect("a key");
        assert_eq!(giver.owner().get(key).await.status, 200, "{which}");
        let left = scrape(&process)
            .await
            .value("muleteer_store_credentials_remaining_seconds");
        assert!((3000.0..=3600.0).contains(&left), "{which}: {left}");
        let (_, log) = process.stop();
        let named = which.split(',').next().expect("a word");
        assert!(log.contains(named), "{which}: {log}");
        for secret in [CONTAINER_TOKEN, WEB_IDENTITY, SSO_TOKEN, SESSION, "secret/1+1"] {
            assert!(!log.contains(secret), "{which}: {secret} is in the log: {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_credentials_ends_soon_and_tells_what_each_place_said() {
    let giver = Giver::start().await;
    let place = Place::new();

    let nobody = place.run_with(&["serve"], &borrowed(&giver.without_instance()));

    let told = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(!nobody.status.success(), "{told}");
    for word in [
        "no credentials for S3",
        "the environment",
        "the profile",
        "the web identity",
        "the container's service",
        "the instance's role",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }

    // One that is set up and fails is the last: its words, and nobody's credentials in its stead.
    let mut variables = set_up("the container's service", &giver, place.path());
    variables.extend(giver.variables());
    giver.be(Mood::Fails);
    let failing = place.run_with(&["serve"], &borrowed(&variables));
    let told = String::from_utf8_lossy(&failing.stderr).into_owned();
    assert!(
        !failing.status.success() && told.contains("the container's service"),
        "{told}"
    );
    assert!(!told.contains("the instance's role"), "{told}");

    // `run_with` kills what serves or hangs for half a minute; then there is no such message.
    giver.be(Mood::Silent);
    let silent = place.run_with(&["serve"], &borrowed(&giver.variables()));
    let told = String::from_utf8_lossy(&silent.stderr).into_owned();
    assert!(told.contains("no credentials for S3"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_credentials_that_had_ended_does_not_call_them_missing() {
    let giver = Giver::start().await;
    let place = Place::new();
    let variables = set_up("the profile", &giver, place.path());
    let over = giver.issue(TimeDelta::seconds(-1)).json();
    write(place.path(), "pair.json", &over);

    let ended = place.run_with(&["serve"], &borrowed(&variables));

    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    let named = "the credentials for S3 had ended when they were given";
    assert!(!ended.status.success() && told.contains(named), "{told}");
    assert!(!told.contains("no credentials for S3"), "{told}");
}

/// Asks until the answer has this status, and gives it.
async fn until(status: u16, ask: impl AsyncFn() -> api::Reply) -> api::Reply {
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if answer.status == status {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_hand_serves_until_its_end_and_then_clients_are_told_to_come_again() {
    let (giver, place) = (Giver::start().await, Place::new());
    let process = serve(&place, &giver.variables());
    let api = client(&process);
    let create = async || {
        let name = format!("{}.mp4", uuid::Uuid::new_v4());
        api.post("/uploads", &file(&name, 40)).await
    };
    // However long the start has taken, these are taken over now.
    let pair = giver.rotate(TimeDelta::seconds(8));
    until(201, &create).await;
    giver.be(Mood::Fails);

    let upload = api.upload("film.mp4", 40).await;
    assert_eq!(upload["state"], "complete");
    let over = until(503, &create).await;

    assert!(Utc::now() >= pair.ends, "they were given up before their end");
    over.problem(503, "credentials-expired");
    assert_eq!(over.header("retry-after"), "1");
    let scraped = scrape(&process).await;
    assert!(scraped.value("muleteer_store_credentials_remaining_seconds") <= 0.0);
    let failed = "muleteer_store_credential_renewals_total{outcome=\"failed\"}";
    assert!(scraped.value(failed) >= 1.0);
    giver.be(Mood::Answers);
    giver.issue(TimeDelta::hours(1));
    until(201, &create).await;
    api.upload("film.mp4", 40).await;
    let (_, log) = process.stop();
    assert!(
        log.contains("cannot be renewed") && log.contains(&pair.id),
        "{log}"
    );
    assert!(!log.contains("secret/") && !log.contains("token/"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_dies_before_its_credentials_and_its_end_is_told() {
    let (giver, place) = (Giver::start().await, Place::new());
    let pair = giver.issue(TimeDelta::minutes(90));
    let mut variables = giver.variables();
    variables.push(("MULETEER_S3__URL_LIFETIME_S", "7200".into()));
    let process = serve(&place, &variables);
    let api = client(&process);
    let upload = api.create("film.mp4", 40).await;
    let path = format!("/uploads/{}/signatures", id(&upload));

    let signed = api.post(&path, &json!({ "parts": "1-3" })).await.expect(200);

    let end: DateTime<Utc> = signed["expires_at"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a time");
    assert!(end < pair.ends - TimeDelta::seconds(29), "{end} {}", pair.ends);
    assert!(end > Utc::now() + TimeDelta::minutes(80), "{end}");
    let url = signed["signatures"][0]["url"].as_str().expect("a URL");
    let life = url
        .split("X-Amz-Expires=")
        .nth(1)
        .and_then(|rest| rest.split('&').next());
    let life: i64 = life.and_then(|text| text.parse().ok()).expect("a life");
    assert!(life <= 5370, "{url}");

    // Uppy's page is told the same, as lives of an hour and more are.
    let uppy = api.outside();
    let begun = uppy
        .post(
            "/s3/multipart",
            &json!({ "filename": "a.mp4", "type": "video/mp4", "metadata": {} }),
        )
        .await
        .expect(200);
    let (its_id, key) = (
        begun["uploadId"].as_str().expect("id"),
        begun["key"].as_str().expect("key"),
    );
    let part = uppy
        .get(&format!(
            "/s3/multipart/{its_id}/1?key={}",
            key.replace('/', "%2F")
        ))
        .await
        .expect(200);
    let expires = part["expires"].as_i64().expect("seconds");
    assert!((4800..=5370).contains(&expires), "{part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_store_takes_back_is_replaced_within_the_request_that_finds_out() {
    let (giver, place) = (Giver::start().await, Place::new());
    let process = serve(&place, &giver.variables());
    let api = client(&process);
    let upload = api.create("film.mp4", 40).await;
    let stale = api.sign(&upload, json!("1-3")).await;
    let asked = giver.asked();

    giver.rotate(TimeDelta::hours(1));

    let created = api.post("/uploads", &file("other.mp4", 40)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert!(giver.asked() > asked);
    // What was signed before is dead, and the next signatures are not.
    assert_eq!(api.put_part(&stale[0], part_of(&upload, 1)).await, 403);
    api.send_parts(&upload, json!("1-3")).await;
    api.complete(&upload).await.expect(200);

    // Nothing but signatures is asked for: the client's word that one was refused is what has us look.
    let upload = api.create("third.mp4", 40).await;
    giver.rotate(TimeDelta::hours(1));
    let path = format!("/uploads/{}/signatures", id(&upload));
    let refused = json!({ "parts": "1", "refused": "InvalidAccessKeyId" });
    let signed = api.post(&path, &refused).await.expect(200);
    assert_eq!(
        api.put_part(&signed["signatures"][0], part_of(&upload, 1)).await,
        200
    );

    // No other key is there: nothing is taken for failed, and it goes on once there is one.
    api.send_parts(&upload, json!("2-3")).await;
    giver.be(Mood::Fails);
    giver.rotate(TimeDelta::hours(1));
    api.complete(&upload).await.problem(503, "credentials-expired");
    giver.be(Mood::Answers);
    until(200, async || api.complete(&upload).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_an_object_finds_out_about_a_key_that_the_store_takes_back() {
    let (giver, place) = (Giver::start().await, Place::new());
    let process = serve(&place, &giver.variables());
    let door = client(&process).outside();
    let wanted = |key: &Value| json!({ "method": "PUT", "key": key });
    let told = door.post("/s3/presign", &wanted(&json!("clip.bin"))).await;
    let told = told.expect(200);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut put = http.put(told["url"].as_str().expect("a URL")).body("the clip");
    for (name, value) in told["headers"].as_object().into_iter().flatten() {
        put = put.header(name, value.as_str().expect("text"));
    }
    assert_eq!(put.send().await.expect("an answer").status(), 200);

    giver.rotate(TimeDelta::hours(1));

    // The page asks once more, as after a lost answer. A HEAD that is refused has no words for why: what is finished is
    // found all the same, and not begun again.
    let again = door.post("/s3/presign", &wanted(&told["key"])).await.expect(200);
    assert_ne!(again["key"], told["key"]);
}

/// How one file went.
#[derive(Default)]
struct Tally {
    refused: usize,
    told_later: usize,
}

/// Sends one part again and again until it is taken; a store's refusal has new signatures asked for.
async fn send(api: &Api, upload: &Value, number: u64, is_relayed: bool, tally: &mut Tally) {
    let began = Instant::now();
    let path = format!("/uploads/{}", id(upload));
    let mut wanted = json!({ "parts": [number] });
    loop {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "part {number} of {path} is lost"
        );
        let bytes = part_of(upload, number);
        let status = if is_relayed {
            let put = api
                .raw("PUT", &format!("{path}/parts/{number}/content"), bytes)
                .await;
            put.status
        } else {
            let signed = api.post(&format!("{path}/signatures"), &wanted).await;
            match signed.status {
                200 => api.put_part(&signed.json()["signatures"][0], bytes).await,
                status => status,
            }
        };
        match status {
            200 | 201 | 204 => return,
            403 => {
                tally.refused += 1;
                wanted["refused"] = json!("InvalidAccessKeyId");
            }
            503 => tally.told_later += 1,
            other => panic!("part {number}: {other}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn send_file(api: &Api, name: &str, is_relayed: bool) -> (Value, Tally) {
    let mut tally = Tally::default();
    let begun = until(201, async || api.post("/uploads", &file(name, PART * 6)).await).await;
    let upload = begun.json();
    for number in 1..=6 {
        send(api, &upload, number, is_relayed, &mut tally).await;
    }
    let done = until(200, async || api.complete(&upload).await).await;
    (done.json(), tally)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_every_second_under_load_lose_no_part() {
    const ROTATIONS: u64 = 6;
    let (giver, place) = (Giver::start().await, Place::new());
    let process = serve(&place, &giver.variables());
    let api = client(&process);
    let (rotating, load) = tokio::join!(
        async {
            for number in 0..ROTATIONS {
                // The time between two keys is the load's own, not a wait for anything.
                tokio::time::sleep(Duration::from_secs(1)).await;
                // Some end soon by themselves, some are taken back long before.
                giver.rotate(TimeDelta::seconds(if number % 2 == 0 { 3 } else { 3600 }));
            }
            giver.asked()
        },
        async {
            let began = Instant::now();
            let clients = (0..8).map(|number| {
                let api = &api;
                async move {
                    let mut done = Vec::new();
                    while began.elapsed() < Duration::from_secs(ROTATIONS) {
                        let name = format!("{number}-{}.bin", done.len());
                        done.push(send_file(api, &name, number % 2 == 1).await);
                    }
                    done
                }
            });
            join_all(clients).await.into_iter().flatten().collect::<Vec<_>>()
        }
    );
    assert!(rotating > 6, "the giver was asked {rotating} times");
    let (mut refused, mut later) = (0, 0);
    for (done, tally) in &load {
        assert_eq!(done["state"], "complete", "{done}");
        let stored = giver.owner().get(done["key"].as_str().expect("a key")).await;
        let expected: Vec<u8> = (1..=6).flat_map(|number| part_of(done, number)).collect();
        assert!(stored.status == 200 && stored.body == expected, "{done}");
        refused += tally.refused;
        later += tally.told_later;
    }
    assert!(load.len() >= 8);
    eprintln!(
        "{} files, {refused} parts refused and signed anew, {later} told to come again",
        load.len()
    );
    let (_, log) = process.stop();
    assert!(log.contains("the store refuses the credentials"), "{log}");
}
