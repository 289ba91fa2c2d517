//! One table of requests, at every door that there is, and what an answer tells.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PART;
use super::api::{Api, Reply};

/// One request about an upload; `{…}` stands for an id of Anna's.
pub struct Row(pub &'static str, pub &'static str, &'static str);

/// Where uploads are made by the IETF's protocol; without the slash it is tus that is asked.
const IETF: &str = "/files/";

/// Method, address, and body of each; what ends an upload comes last.
pub const ABOUT_AN_UPLOAD: &[Row] = &[
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
    Row("HEAD", "/files/{ietf}", ""),
    Row("PATCH", "/files/{ietf}", "01234"),
    Row("DELETE", "/files/{ietf}", ""),
    Row("GET", "/chunk?session_id={offset}", ""),
    Row("HEAD", "/chunk?session_id={offset}", ""),
    Row("PUT", "/chunk?session_id={offset}&offset=0", "01234"),
    Row("DELETE", "/chunk?session_id={offset}", ""),
    Row(
        "GET",
        "/upload-backend/get_all_signatures/?num_chunks=1&signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/get_chunk_signature/?chunk=1&signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/get_list_signature/?signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/get_end_signature/?signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/get_delete_signature/?signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/chunk_loaded/?chunk=1&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row(
        "GET",
        "/upload-backend/upload_finished/?signature_version=4&key={mule_key}&upload_id={mule}",
        "",
    ),
    Row("GET", "/upload/{chunks}/status", ""),
    Row("POST", "/upload/{chunks}/complete", ""),
    Row("DELETE", "/upload/{chunks}", ""),
    Row("GET", "/s3/multipart/{uppy}?key={key}", ""),
    Row("GET", "/s3/multipart/{uppy}/1?key={key}", ""),
    Row("GET", "/s3/multipart/{uppy}/batch?key={key}&partNumbers=1", ""),
    Row("DELETE", "/s3/multipart/{uppy}?key={key}", ""),
];

/// How mule-uploader begins.
const MULE: &str = "/upload-backend/get_init_signature/?key=a.bin&mime_type=text%2Fplain&filename=a.bin&filesize=40\
                    &last_modified=1777975200000&signature_version=4";

/// Requests that are about the caller, not about one upload: nobody gets an answer whom we do not know.
pub const ABOUT_THE_CALLER: &[Row] = &[
    Row("GET", "/api/v1/uploads", ""),
    Row("POST", "/api/v1/uploads", r#"{"filename":"a","size":5}"#),
    Row("GET", "/api/v1/webhooks", ""),
    Row("POST", "/api/v1/webhooks/{id}/replay", ""),
    Row("POST", "/files", ""),
    Row("POST", IETF, ""),
    Row("PUT", "/chunk", r#"{"bytes":5,"name":"a"}"#),
    Row("GET", MULE, ""),
    Row("POST", "/upload/init", r#"{"filename":"a","total_size":5}"#),
    Row(
        "POST",
        "/s3/multipart",
        r#"{"filename":"a","type":"text/plain","metadata":{}}"#,
    ),
    Row("POST", "/s3/token", "{}"),
    Row("GET", "/s3/params?filename=a&type=text/plain", ""),
    Row("GET", "/s3/sts", ""),
    Row("POST", "/s3/presign", r#"{"method":"POST","key":"a.png"}"#),
    Row("POST", "/galileo/ticket", "{}"),
    Row(
        "GET",
        "/evaporate/sign?to_sign=x&canonical_request=y&datetime=z",
        "",
    ),
    Row("POST", "/fineuploader/signature", r#"{"headers":"x"}"#),
    Row("POST", "/fineuploader/success", "key=a&bucket=uploads"),
    Row("GET", "/evaporate/settings", ""),
    Row("GET", "/fineuploader/settings", ""),
    Row("GET", "/fineuploader/session", ""),
    Row("GET", "/metrics", ""),
];

/// Requests that only the token of a question is good for: no credential is, not even the owner's.
pub const BY_ITS_TOKEN: &[Row] = &[Row(
    "POST",
    "/api/v1/uploads/{id}/verdict",
    r#"{"verdict":"accept"}"#,
)];

/// Routes of the API that are nobody's alone.
pub const OPEN: &[&str] = &["GET /session", "GET /receipts/key"];

pub type Ids = BTreeMap<&'static str, String>;

impl Row {
    pub async fn ask(&self, who: &Api, ids: &Ids) -> Reply {
        let Self(method, path, body) = self;
        let path = filled(path, ids);
        self.fit_out(who)
            .raw(method, &path, body.as_bytes().to_vec())
            .await
    }

    /// With the headers without which a door does not know what is asked.
    fn fit_out(&self, who: &Api) -> Api {
        let Self(method, path, body) = self;
        let who = who.outside();
        let of_ietf = *path == IETF || path.contains("{ietf}");
        let kind = |text: &str| who.with("content-type", text);
        match *method {
            "POST" if of_ietf => speaking_ietf(&who).with("upload-complete", "?0"),
            "PATCH" if of_ietf => speaking_ietf(&kind("application/partial-upload"))
                .with("upload-complete", "?0")
                .with("upload-offset", "0"),
            _ if of_ietf => speaking_ietf(&who),
            "POST" if path.starts_with("/files") => speaking_tus(&who).with("upload-length", "10"),
            "PATCH" => speaking_tus(&kind("application/offset+octet-stream")).with("upload-offset", "0"),
            _ if path.starts_with("/files") => speaking_tus(&who),
            _ if body.starts_with('{') => kind("application/json"),
            _ if body.starts_with("key=") => kind("application/x-www-form-urlencoded"),
            _ => who,
        }
    }

    /// Whether this is asked at Uppy's door, which can be reached with a token in the address.
    pub fn is_of_uppy(&self) -> bool {
        self.1.starts_with("/s3/")
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.0, self.1)
    }
}

fn speaking_ietf(who: &Api) -> Api {
    who.with("upload-draft-interop-version", "6")
}

fn speaking_tus(who: &Api) -> Api {
    who.with("tus-resumable", "1.0.0")
}

fn filled(path: &str, ids: &Ids) -> String {
    ids.iter().fold(path.to_owned(), |path, (name, id)| {
        path.replace(&format!("{{{name}}}"), id)
    })
}

/// All that an answer tells, without the ids that were asked for and what differs from request to request.
pub fn told(reply: &Reply, ids: &Ids) -> (u16, Vec<(String, String)>, String) {
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
pub async fn begin_everywhere(anna: &Api) -> Ids {
    let outside = anna.outside();
    let native = anna.create("film.mp4", 3 * PART).await;
    let last = |made: &Reply| {
        let location = made.header("location").rsplit('/').next();
        location.unwrap_or_default().to_owned()
    };
    let tus = Row("POST", "/files", "").ask(anna, &Ids::new()).await;
    let ietf = Row("POST", IETF, "").ask(anna, &Ids::new()).await;
    let session = json!({ "bytes": 10, "name": "a.bin" });
    let offset = outside.put("/chunk", &session).await.expect(202);
    let mule = outside.get(MULE).await.expect(200);
    let new = json!({ "filename": "a", "total_size": 5 });
    let chunks = outside.post("/upload/init", &new).await.json();
    let new = json!({ "filename": "a.bin", "type": "text/plain", "metadata": {} });
    let uppy = outside.post("/s3/multipart", &new).await.expect(200);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let ids = Ids::from([
        ("id", text(&native["id"])),
        ("tus", last(&tus)),
        ("ietf", last(&ietf)),
        ("offset", text(&offset["session_id"])),
        ("mule", text(&mule["upload_id"])),
        ("mule_key", text(&mule["key"])),
        ("chunks", text(&chunks["file_id"])),
        ("uppy", text(&uppy["uploadId"])),
        ("key", text(&uppy["key"])),
    ]);
    assert!(ids.values().all(|id| id.len() > 10), "{ids:?}");
    ids
}

/// Ids of the same form, of nothing.
pub fn of_nothing(ids: &Ids) -> Ids {
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
