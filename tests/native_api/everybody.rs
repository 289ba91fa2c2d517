//! Everybody at every door: one table of requests, tried by whoever should not get anything.
//!
//! A stranger learns nothing: another's upload answers as one that never was, header by header and byte by byte but for the
//! ids that were asked for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use muleteer::config::{Anonymous, Secret};
use serde_json::{Value, json};

use super::access::key;
use super::api::{Api, Reply};
use super::issuer::{OTHER_ED, SECRET, sign};
use super::{Kind, PART, TestServer, start};

/// One request about an upload; `{…}` stands for an id of Anna's.
struct Row(&'static str, &'static str, &'static str);

/// Method, address, and body of each; what ends an upload comes last.
const ABOUT_AN_UPLOAD: &[Row] = &[
    Row("GET", "/api/v1/uploads/{id}", ""),
    Row("POST", "/api/v1/uploads/{id}/signatures", r#"{"parts":"1"}"#),
    Row("PUT", "/api/v1/uploads/{id}/parts/1", r#"{"size":16}"#),
    Row(
        "POST",
        "/api/v1/uploads/{id}/parts",
        r#"{"parts":[{"number":1,"size":16}]}"#,
    ),
    Row("PUT", "/api/v1/uploads/{id}/parts/1/content", "0123456789abcdef"),
    Row("POST", "/api/v1/uploads/{id}/complete", "{}"),
    Row("GET", "/api/v1/uploads/{id}/receipt", ""),
    Row("DELETE", "/api/v1/uploads/{id}", ""),
    Row("HEAD", "/files/{tus}", ""),
    Row("PATCH", "/files/{tus}", "01234"),
    Row("DELETE", "/files/{tus}", ""),
    Row("GET", "/upload/{chunks}/status", ""),
    Row("POST", "/upload/{chunks}/complete", ""),
    Row("DELETE", "/upload/{chunks}", ""),
    Row("GET", "/s3/multipart/{uppy}?key={key}", ""),
    Row("GET", "/s3/multipart/{uppy}/1?key={key}", ""),
    Row("GET", "/s3/multipart/{uppy}/batch?key={key}&partNumbers=1", ""),
    Row("DELETE", "/s3/multipart/{uppy}?key={key}", ""),
];

/// Requests that are about the caller, not about one upload: nobody gets an answer whom we do not know.
const ABOUT_THE_CALLER: &[Row] = &[
    Row("GET", "/api/v1/uploads", ""),
    Row("POST", "/api/v1/uploads", r#"{"filename":"a","size":5}"#),
    Row("GET", "/api/v1/webhooks", ""),
    Row("POST", "/api/v1/webhooks/{id}/replay", ""),
    Row("POST", "/files", ""),
    Row("POST", "/upload/init", r#"{"filename":"a","total_size":5}"#),
    Row(
        "POST",
        "/s3/multipart",
        r#"{"filename":"a","type":"text/plain","metadata":{}}"#,
    ),
    Row("POST", "/s3/token", "{}"),
    Row("GET", "/s3/params?filename=a&type=text/plain", ""),
    Row("POST", "/galileo/ticket", "{}"),
    Row("GET", "/evaporate/settings", ""),
    Row("GET", "/fineuploader/settings", ""),
    Row("GET", "/fineuploader/session", ""),
    Row("GET", "/metrics", ""),
];

/// Requests that only the token of a question is good for: no credential is, not even the owner's.
const BY_ITS_TOKEN: &[Row] = &[Row(
    "POST",
    "/api/v1/uploads/{id}/verdict",
    r#"{"verdict":"accept"}"#,
)];

/// Routes of the API that are nobody's alone.
const OPEN: &[&str] = &["GET /session", "GET /receipts/key"];

type Ids = BTreeMap<&'static str, String>;

impl Row {
    async fn ask(&self, who: &Api, ids: &Ids) -> Reply {
        let Self(method, path, body) = self;
        let path = filled(path, ids);
        let mut who = who.outside();
        if path.starts_with("/files") {
            who = who.with("tus-resumable", "1.0.0");
            who = match *method {
                "POST" => who.with("upload-length", "10"),
                "PATCH" => who
                    .with("upload-offset", "0")
                    .with("content-type", "application/offset+octet-stream"),
                _ => who,
            };
        } else if body.starts_with('{') {
            who = who.with("content-type", "application/json");
        }
        who.raw(method, &path, body.as_bytes().to_vec()).await
    }

    fn name(&self) -> String {
        format!("{} {}", self.0, self.1)
    }
}

fn filled(path: &str, ids: &Ids) -> String {
    ids.iter().fold(path.to_owned(), |path, (name, id)| {
        path.replace(&format!("{{{name}}}"), id)
    })
}

/// All that an answer tells, without the ids that were asked for and what differs from request to request.
fn told(reply: &Reply, ids: &Ids) -> (u16, Vec<(String, String)>, String) {
    let bare = |text: &str| {
        ids.values()
            .fold(text.to_owned(), |text, id| text.replace(id.as_str(), "ID"))
    };
    // Whether a refused body had come by then is a matter of chance.
    let own = ["date", "x-request-id", "traceparent", "connection"];
    let fields = reply
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()));
    let mut fields: Vec<(String, String)> = fields
        .map(|(name, value)| (name.to_string(), bare(value.to_str().unwrap_or("?"))))
        .collect();
    fields.sort();
    let body = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::Object(mut members)) => {
            members.remove("request_id");
            Value::Object(members).to_string()
        }
        _ => reply.text(),
    };
    (reply.status, fields, bare(&body))
}

/// One upload of hers at each kind of door.
async fn begin_everywhere(anna: &Api) -> Ids {
    let outside = anna.outside();
    let native = anna.create("film.mp4", 3 * PART).await;
    let tus = Row("POST", "/files", "").ask(anna, &Ids::new()).await;
    let tus = tus
        .header("location")
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let new = json!({ "filename": "a", "total_size": 5 });
    let chunks = outside.post("/upload/init", &new).await.json();
    let new = json!({ "filename": "a.bin", "type": "text/plain", "metadata": {} });
    let uppy = outside.post("/s3/multipart", &new).await.expect(200);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let ids = Ids::from([
        ("id", text(&native["id"])),
        ("tus", tus),
        ("chunks", text(&chunks["file_id"])),
        ("uppy", text(&uppy["uploadId"])),
        ("key", text(&uppy["key"])),
    ]);
    assert!(ids.values().all(|id| id.len() > 10), "{ids:?}");
    ids
}

/// Ids of the same form, of nothing.
fn of_nothing(ids: &Ids) -> Ids {
    let other = |text: &String| {
        let turned = text.bytes().map(|byte| match byte {
            b'0'..=b'8' | b'b'..=b'e' => byte + 1,
            _ => byte,
        });
        String::from_utf8(turned.collect()).expect("text")
    };
    let mut nothing: Ids = ids.iter().map(|(name, id)| (*name, other(id))).collect();
    // A key is asked for together with an id; it stays a key that there could be.
    nothing.insert("key", ids["key"].replace("a.bin", "b.bin"));
    nothing
}

fn server(anonymous: Anonymous) -> TestServer {
    let started = start(Kind::Sqlite, |config| {
        config.auth.anonymous = anonymous;
        config.auth.jwt.secret = Secret::new(SECRET);
        config.auth.jwt.issuer = "https://id.example".into();
    });
    started.expect("SQLite is never skipped")
}

fn token(server: &TestServer, others: Value) -> Api {
    let mut claims = json!({
        "sub": "ben",
        "iss": "https://id.example",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
    });
    let others = others.as_object().expect("an object").clone();
    claims.as_object_mut().expect("an object").extend(others);
    let token = sign(Algorithm::HS256, SECRET, None, &claims);
    Api::nobody(server).with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn anothers_upload_is_none_at_every_door() {
    for anonymous in [Anonymous::Off, Anonymous::On] {
        let server = server(anonymous);
        let anna = key(&server, "anna", "upload").await;
        let ids = begin_everywhere(&anna).await;
        let nothing = of_nothing(&ids);
        let mut strangers = vec![
            key(&server, "ben", "upload").await,
            token(&server, json!({})),
            token(&server, json!({ "sub": "anna" })),
        ];
        if anonymous == Anonymous::On {
            strangers.push(super::visitors::visitor(&server).await);
        }
        for row in ABOUT_AN_UPLOAD {
            for (number, stranger) in strangers.iter().enumerate() {
                // The chunk server's door has no visitors.
                if number == 3 && row.1.starts_with("/upload/") {
                    continue;
                }
                let (real, none) = (row.ask(stranger, &ids).await, row.ask(stranger, &nothing).await);
                let name = row.name();
                assert_eq!(real.status, 404, "{name} by {number}: {}", real.text());
                assert_eq!(told(&real, &ids), told(&none, &nothing), "{name} by {number}");
            }
            let own = row.ask(&anna, &ids).await;
            let is_hers = ![401, 403, 404].contains(&own.status);
            assert!(is_hers, "{}: {} {}", row.name(), own.status, own.text());
        }
    }
}

#[tokio::test]
async fn nobody_is_let_in_whom_we_do_not_know() {
    let server = server(Anonymous::Off);
    let anna = key(&server, "anna", "upload").await;
    let ids = begin_everywhere(&anna).await;
    let nothing = of_nothing(&ids);
    let claims = json!({ "sub": "anna", "exp": 4_000_000_000_u32, "iss": "https://id.example" });
    let forged = sign(Algorithm::EdDSA, OTHER_ED, None, &claims);
    let nobody = Api::nobody(&server);
    let strangers = [
        ("nobody", nobody.clone()),
        ("a key that never was", nobody.with("x-api-key", "mule_wrong")),
        ("an expired token", token(&server, json!({ "exp": 1 }))),
        (
            "a token of another issuer",
            token(&server, json!({ "iss": "https://evil.example" })),
        ),
        ("a token for others", token(&server, json!({ "aud": "billing" }))),
        (
            "a forged token",
            nobody.with("authorization", &format!("Bearer {forged}")),
        ),
        (
            "a cookie of nobody",
            nobody.with("cookie", "muleteer_visitor=x.y; sid=1"),
        ),
    ];
    let by_its_token = BY_ITS_TOKEN.iter();
    for row in by_its_token.clone().chain(ABOUT_AN_UPLOAD).chain(ABOUT_THE_CALLER) {
        for (who, stranger) in &strangers {
            let (real, none) = (row.ask(stranger, &ids).await, row.ask(stranger, &nothing).await);
            let name = row.name();
            assert_eq!(real.status, 401, "{name} by {who}: {}", real.text());
            assert_eq!(told(&real, &ids), told(&none, &nothing), "{name} by {who}");
        }
    }
    for row in by_its_token {
        assert_eq!(row.ask(&anna, &ids).await.status, 401, "{}", row.name());
    }
    let admin = key(&server, "root", "admin").await;
    for row in ABOUT_THE_CALLER
        .iter()
        .filter(|row| row.0 == "POST" && !row.1.contains("replay"))
    {
        let refused = row.ask(&admin, &ids).await;
        assert_eq!(refused.status, 403, "{}: {}", row.name(), refused.text());
    }
}

#[tokio::test]
async fn the_table_has_every_route_of_the_api() {
    let server = server(Anonymous::Off);
    let document = Api::nobody(&server)
        .outside()
        .get("/api/openapi.json")
        .await
        .expect(200);
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let path = path.replace("{number}", "1");
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert!(routes.len() > 8, "{routes:?}");
    let rows = ABOUT_AN_UPLOAD.iter().chain(ABOUT_THE_CALLER).chain(BY_ITS_TOKEN);
    let listed: BTreeSet<String> = rows.map(|row| row.name().replace("/api/v1", "")).collect();
    let missing: Vec<&String> = routes
        .iter()
        .filter(|route| !listed.contains(*route) && !OPEN.contains(&route.as_str()))
        .collect();
    assert!(missing.is_empty(), "not tried: {missing:?}");
}
