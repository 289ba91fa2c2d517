//! Credentials that a page signs with by itself: what they open, and to whom they are given.
//!
//! What they open is proved at an STS that is not ours, where `S3_STS_ENDPOINT`, `S3_STS_ROLE`, `S3_KEY` and `S3_SECRET` name
//! one; `scripts/test` names one in a full run. How they are kept is proved with answers that are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use muleteer::config::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::client::{Client, Remembered};
use super::{bytes, key_for, on_one_with, page_of, store_of};
use crate::s3_client::{Ask, S3Client, Signer};
use crate::server::{Kind, TestServer};
use crate::time_line::{assert_tells, assert_tells_nothing, page_of_upload};

const REGION: &str = "us-east-1";

struct Outside {
    server: TestServer,
    store: S3Client,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A server on a new bucket of a store with an STS; `None` where there is none.
async fn outside() -> Option<Outside> {
    let Some(endpoint) = variable("S3_STS_ENDPOINT") else {
        eprintln!("without an STS: S3_STS_ENDPOINT is not set");
        return None;
    };
    let [id, secret, role] = ["S3_KEY", "S3_SECRET", "S3_STS_ROLE"].map(|name| variable(name).expect(name));
    let signer = Signer {
        access_key_id: id.clone(),
        secret: secret.clone(),
        token: None,
        region: REGION.to_owned(),
    };
    let store = S3Client::new(&endpoint, &fresh_bucket(&endpoint, &signer).await, signer);
    let server = TestServer::start(Kind::Sqlite, |config| {
        config.s3.bucket.clone_from(&store.bucket);
        config.s3.endpoint = endpoint;
        config.s3.access_key_id = id;
        config.s3.secret_access_key = Secret::new(secret);
        config.protocols.uppy.sts.role_arn = role;
    })?;
    Some(Outside { server, store })
}

async fn fresh_bucket(endpoint: &str, signer: &Signer) -> String {
    let name = format!("uppy-{}", uuid::Uuid::new_v4().simple());
    let made = S3Client::new(endpoint, &name, signer.clone())
        .ask("PUT", "")
        .send()
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    name
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The store as a page sees it that has these credentials.
fn with_credentials(store: &S3Client, given: &Value) -> S3Client {
    let keys = &given["credentials"];
    let signer = Signer {
        access_key_id: text(&keys["AccessKeyId"]),
        secret: text(&keys["SecretAccessKey"]),
        token: Some(text(&keys["SessionToken"])),
        region: text(&given["region"]),
    };
    S3Client::new(&store.endpoint, &text(&given["bucket"]), signer)
}

/// What anna's keys begin with, one of them, and one of ben's.
const PREFIX: &str = "sts/anna/";
const OWN: &str = "sts/anna/clip é.mp4";
const OTHERS: &str = "sts/ben/secret.txt";

fn put(client: &S3Client, key: &str) -> Ask {
    client.ask("PUT", key).body(b"x")
}

/// What her credentials must not do; `bens` is an upload that ben has begun.
fn beyond(lent: &S3Client, elsewhere: &S3Client, bens: &str) -> Vec<(&'static str, Ask)> {
    vec![
        ("another's put", put(lent, "sts/ben/new")),
        ("a longer name", put(lent, "sts/anna2/x")),
        ("above", put(lent, "sts/anna")),
        ("our keys", put(lent, "uploads/x")),
        ("another's get", lent.ask("GET", OTHERS)),
        ("own get", lent.ask("GET", OWN)),
        ("own head", lent.ask("HEAD", OWN)),
        ("list", lent.ask("GET", "").query("list-type", "2")),
        (
            "list below",
            lent.ask("GET", "")
                .query("list-type", "2")
                .query("prefix", PREFIX),
        ),
        ("list uploads", lent.ask("GET", "").query("uploads", "")),
        (
            "another's begin",
            lent.ask("POST", "sts/ben/other").query("uploads", ""),
        ),
        (
            "another's part",
            lent.part_request("sts/ben/large", bens, 1).body(b"x"),
        ),
        (
            "another's parts",
            lent.ask("GET", "sts/ben/large").query("uploadId", bens),
        ),
        (
            "copy of another's",
            lent.ask("PUT", &format!("{PREFIX}copy"))
                .signed("x-amz-copy-source", &format!("/{}/{OTHERS}", lent.bucket)),
        ),
        ("own acl", lent.ask("GET", OWN).query("acl", "")),
        ("the bucket's acl", lent.ask("GET", "").query("acl", "")),
        ("another bucket's put", put(elsewhere, OWN)),
        ("another bucket's list", elsewhere.ask("GET", "")),
        (
            "another's abort",
            lent.ask("DELETE", "sts/ben/large").query("uploadId", bens),
        ),
        ("own delete", lent.ask("DELETE", OWN)),
        ("another's delete", lent.ask("DELETE", OTHERS)),
    ]
}

#[tokio::test]
async fn credentials_put_below_their_owners_prefix_and_do_nothing_else() {
    let Some(Outside { server, store }) = outside().await else {
        return;
    };
    let given = page_of(&server, "anna")
        .await
        .ask("GET", "/s3/sts", None)
        .await
        .good();
    let prefix = text(&given["prefix"]);
    assert_eq!(prefix, PREFIX);
    assert_eq!(
        text(&given["s3Endpoint"]),
        format!("{}/{}", store.endpoint, store.bucket)
    );
    let ends: chrono::DateTime<chrono::Utc> =
        text(&given["credentials"]["Expiration"]).parse().expect("a time");
    assert!(ends > server.clock.now());
    let lent = with_credentials(&store, &given);

    // What an uploader does.
    let whole = lent.put(OWN, b"whole").await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let large = format!("{prefix}large.mp4");
    let id = lent.begin(&large).await;
    let one = lent.part(&large, &id, 1, &bytes(5 << 20)).await;
    let two = lent.part(&large, &id, 2, b"rest").await;
    let listed = lent.parts(&large, &id).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let done = lent.complete(&large, &id, &[(1, &one), (2, &two)]).await;
    assert_eq!(done.status, 200, "{done:?}");
    let dropped = lent.begin(OWN).await;
    let aborted = lent.ask("DELETE", OWN).query("uploadId", &dropped).send().await;
    assert_eq!(aborted.status, 204, "{aborted:?}");

    // All else, each as the store's own key could do it.
    assert_eq!(store.put(OTHERS, b"ben's").await.status, 200);
    let bens = store.begin("sts/ben/large").await;
    let other_bucket = fresh_bucket(&store.endpoint, &store.signer).await;
    let elsewhere = S3Client::new(&store.endpoint, &other_bucket, lent.signer.clone());
    let refused = beyond(&lent, &elsewhere, &bens);
    for (what, ask) in refused.clone() {
        let answer = ask.send().await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
    }
    for token in [None, Some("Zm9yZ2Vk".to_owned())] {
        let answer = put(&lent, OWN).by(|signer| signer.token = token).send().await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(store.get(OTHERS).await.body, b"ben's");
    assert_eq!(store.get(OWN).await.body, b"whole");
    // Each is refused for who asks, and not for what it is.
    for (what, ask) in refused {
        let answer = ask.by(|signer| *signer = store.signer.clone()).send().await;
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_signs_parts_of_an_upload_that_begins_and_ends_here() {
    let Some(Outside { server, store }) = outside().await else {
        return;
    };
    let anna = page_of(&server, "anna").await;
    let given = anna.ask("GET", "/s3/sts", None).await.good();
    let lent = with_credentials(&store, &given);
    let file = json!({ "filename": "clip.mp4", "type": "video/mp4", "metadata": {} });
    let begun = anna.ask("POST", "/s3/multipart", Some(&file)).await.good();
    let upload = Remembered {
        key: text(&begun["key"]),
        id: text(&begun["uploadId"]),
    };
    assert!(upload.key.starts_with("sts/anna/uploads/"), "{upload:?}");

    let (first, rest) = (bytes(5 << 20), bytes(77));
    let one = lent.part(&upload.key, &upload.id, 1, &first).await;
    // A client without credentials goes on with the same id.
    let two = anna.send(&upload, 2, &rest).await;
    let listed = anna.list(&upload).await.good();
    assert_eq!(listed.as_array().expect("a list").len(), 2);
    let ben = page_of(&server, "ben").await;
    ben.list(&upload).await.refusal(404, "not-found");
    anna.complete(&upload, &[(1, &one), (2, &two)]).await.good();

    assert_eq!(store.get(&upload.key).await.body, [first, rest].concat());
    let record = super::record_of_key(&server, &upload.key).await;
    assert_eq!(record.state, muleteer::domain::State::Complete);
    // Who comes without a credential has no part of the bucket.
    Client::new(&server, &server.base)
        .ask("GET", "/s3/sts", None)
        .await
        .refusal(401, "unauthenticated");
}

/// An STS whose answers are counted; `refuses` makes them all refusals.
struct CountedSts {
    endpoint: String,
    asked: Arc<AtomicUsize>,
}

impl CountedSts {
    async fn start(refuses: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, number, refuses));
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A second server on the store of the first, with this STS.
    fn beside(&self, first: &TestServer) -> TestServer {
        TestServer::start(Kind::Sqlite, |config| {
            let own = config.clone();
            *config = super::beside(first);
            config.database.url = own.database.url;
            config.data_dir = own.data_dir;
            config.protocols.uppy.sts.role_arn = "arn:aws:iam::123456789012:role/uploader".into();
            config.protocols.uppy.sts.endpoint.clone_from(&self.endpoint);
            config.protocols.uppy.sts.external_id = Secret::new("the external id");
        })
        .expect("SQLite is never skipped")
    }
}

/// Answers one request and closes.
async fn answer(mut stream: TcpStream, number: usize, refuses: bool) {
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("ExternalId=the+external+id") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.expect("a request");
        assert!(read > 0, "{}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&piece[..read]);
    }
    // Two who ask at once must find the first one's request under way.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let ends = chrono::Utc::now() + TimeDelta::hours(1);
    let (status, body) = if refuses {
        let reason = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>arn:aws:iam::123456789012:user/main \
                      is not authorized</Message></Error></ErrorResponse>";
        ("403 Forbidden", reason.to_owned())
    } else {
        let body = format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>KEY{number}</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>{}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            ends.to_rfc3339()
        );
        ("200 OK", body)
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .expect("an answer");
}

#[tokio::test]
async fn an_owners_credentials_are_asked_for_once_until_little_is_left_of_them() {
    on_one_with(
        |_| {},
        async |first| {
            let sts = CountedSts::start(false).await;
            let server = sts.beside(&first);
            let (anna, ben) = (page_of(&server, "anna").await, page_of(&server, "ben").await);
            let id = async |page: &Client| {
                let given = page.ask("GET", "/s3/sts", None).await.good();
                text(&given["credentials"]["AccessKeyId"])
            };

            let (one, other) = tokio::join!(id(&anna), id(&anna));
            assert_eq!(one, other);
            assert_eq!(sts.asked(), 1);
            assert_ne!(id(&ben).await, one);
            assert_eq!(sts.asked(), 2);
            server.advance(TimeDelta::minutes(44));
            assert_eq!(id(&anna).await, one);
            server.advance(TimeDelta::minutes(2));
            assert_ne!(id(&anna).await, one);
            assert_eq!(sts.asked(), 3);
        },
    )
    .await;
}

#[tokio::test]
async fn they_are_given_to_somebody_who_may_begin_uploads_alone() {
    on_one_with(
        |_| {},
        async |first| {
            let sts = CountedSts::start(false).await;
            let server = sts.beside(&first);
            let nobody = Client::new(&server, &server.base);
            nobody
                .ask("GET", "/s3/sts", None)
                .await
                .refusal(401, "unauthenticated");
            let stranger = nobody.clone().with_header("cookie", "muleteer_visitor=forged");
            stranger
                .ask("GET", "/s3/sts", None)
                .await
                .refusal(401, "unauthenticated");
            // Their uploads stay out of everybody's reach.
            let upload = nobody.begin("clip.mp4").await;
            assert!(upload.key.starts_with("uploads/"), "{upload:?}");
            let key = key_for(&server, "anna").await;
            let begun = server_upload_token(&server, &key).await;
            nobody
                .clone()
                .with_key(&begun)
                .ask("GET", "/s3/sts", None)
                .await
                .refusal(403, "forbidden");
            assert_eq!(sts.asked(), 0);
        },
    )
    .await;
}

/// The token of one upload, made by the native API.
async fn server_upload_token(server: &TestServer, key: &str) -> String {
    let made = Client::new(server, &server.base)
        .with_key(key)
        .ask(
            "POST",
            "/api/v1/uploads",
            Some(&json!({ "filename": "a", "size": 9 })),
        )
        .await;
    text(&made.json()["token"])
}

#[tokio::test]
async fn a_refusal_of_the_sts_tells_nothing_of_its_reason() {
    on_one_with(
        |_| {},
        async |first| {
            let sts = CountedSts::start(true).await;
            let server = sts.beside(&first);
            let refused = page_of(&server, "anna").await.ask("GET", "/s3/sts", None).await;

            let message = refused.refusal(502, "store-refused");
            assert_eq!(message, "the store refused the request: NoTemporaryCredentials");
            assert!(!refused.text.contains("1234"), "{refused:?}");
            assert_eq!(sts.asked(), 1, "asking again would not help");
        },
    )
    .await;
}

#[tokio::test]
async fn without_a_role_there_are_none() {
    on_one_with(
        |_| {},
        async |server| {
            let anna = page_of(&server, "anna").await;
            let message = anna.ask("GET", "/s3/sts", None).await.refusal(403, "forbidden");
            assert!(message.contains("protocols.uppy.sts.role_arn"), "{message}");
            let upload = anna.begin("clip.mp4").await;
            assert!(upload.key.starts_with("uploads/"), "{upload:?}");
            assert_eq!(store_of(&server).parts(&upload.key, &upload.id).await.status, 404);
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_refused_of_an_upload_that_goes_by_the_stores_id_is_in_its_time_line() {
    on_one_with(
        |_| {},
        async |first| {
            let sts = CountedSts::start(false).await;
            let server = sts.beside(&first);
            let (anna, ben) = (page_of(&server, "anna").await, page_of(&server, "ben").await);
            let upload = anna.begin("clip.mp4").await;
            let id = super::record_of_key(&server, &upload.key).await.id;
            assert_ne!(upload.id, id.as_str(), "the page knows the store's id alone");
            let time_line = async || page_of_upload(&server.base, id.as_str()).await;

            // What a stranger tries is no matter of this upload.
            ben.complete(&upload, &[(1, "\"x\"")])
                .await
                .refusal(404, "not-found");
            assert_tells_nothing(&time_line().await);

            let early = anna.complete(&upload, &[(1, "\"x\"")]).await;
            let problem = text(&early.json()["error"]);
            assert_tells(&time_line().await, &problem, "POST /s3/multipart/{id}/complete");
            anna.abort(&upload).await.good();
            let late = anna.about(&upload, "GET", "{}/1", None).await;
            late.refusal(409, "wrong-state");
            assert_tells(&time_line().await, "wrong-state", "GET /s3/multipart/{id}/1");
        },
    )
    .await;
}
