//! A page as Fine Uploader runs it: writes, asks, sends, and says that it is done.

use serde_json::{Value, json};

use crate::page::{
    EMPTY, KEY_ID, Reply, Written, element, hash_of, http, joining, key_for, reply, store_of, v4_date,
};
use crate::server::TestServer;

/// One person's page.
pub struct Page<'a> {
    pub server: &'a TestServer,
    pub api_key: String,
    pub owner: &'static str,
}

impl<'a> Page<'a> {
    pub async fn of(server: &'a TestServer, owner: &'static str) -> Self {
        Self {
            server,
            api_key: key_for(server, owner).await,
            owner,
        }
    }

    pub fn bucket(&self) -> &str {
        &self.server.config.dev_s3.bucket
    }

    /// A key of this person's.
    pub fn key(&self, name: &str) -> String {
        format!("pages/{}/{name}", self.owner)
    }

    /// What the client takes for the host where the bucket stands in the path.
    pub fn host(&self) -> String {
        let (_, address) = self.server.store.split_once("://").expect("an address");
        format!("{address}/{}", self.bucket())
    }

    pub fn url(&self, call: &str) -> String {
        format!("{}/fineuploader/{call}", self.server.base)
    }

    /// A request in SigV4 as the client writes it: the bucket behind the host, the hash among the headers.
    pub fn write(&self, method: &'static str, key: &str, query: &str, payload: &str) -> Written {
        let now = self.server.clock.now();
        let written = Written::new(method, &self.host(), &format!("/{key}"), query, payload, now);
        written.with("x-amz-content-sha256", payload)
    }

    pub fn begin(&self, key: &str) -> Written {
        self.write("POST", key, "uploads=", EMPTY)
            .with("x-amz-acl", "private")
            .with("x-amz-meta-qqfilename", "film%20(1).mp4")
    }

    pub fn part(&self, key: &str, id: &str, number: u16, bytes: &[u8]) -> Written {
        let hash = hash_of(bytes);
        self.write("PUT", key, &format!("partNumber={number}&uploadId={id}"), &hash)
    }

    /// `POST /signature` with any body.
    pub async fn ask(&self, body: &Value) -> Reply {
        let request = http()
            .post(self.url("signature?v4=true"))
            .header("x-api-key", &self.api_key);
        let request = request.header("content-type", "application/json; charset=UTF-8");
        reply(request.body(body.to_string())).await
    }

    pub async fn sign(&self, written: &Written) -> Reply {
        self.ask(&json!({ "headers": written.to_sign(&written.canonical()) }))
            .await
    }

    /// Has it signed and sends it to where the bucket really is.
    pub async fn send(&self, written: &Written, body: &[u8]) -> Reply {
        let signed = self.sign(written).await;
        assert_eq!(signed.status, 200, "{written:?}: {signed:?}");
        let url = format!("{}/{}{}", self.server.store, self.bucket(), written.path);
        written
            .send(&url, KEY_ID, &member(&signed, "signature"), body.to_vec())
            .await
    }

    /// Sends a file in parts, and completes it at the store.
    pub async fn send_whole(&self, key: &str, parts: &[&[u8]]) -> String {
        let begun = self.send(&self.begin(key), b"").await;
        let id = element(&begun.text, "UploadId").to_owned();
        let mut tags = Vec::new();
        for (number, bytes) in (1..).zip(parts) {
            let sent = self.send(&self.part(key, &id, number, bytes), bytes).await;
            assert_eq!(sent.status, 200, "{sent:?}");
            tags.push(sent.header("etag").to_owned());
        }
        let xml = joining(&tags);
        let hash = hash_of(&xml);
        let complete = self.write("POST", key, &format!("uploadId={id}"), &hash);
        let done = self.send(&complete, xml.as_bytes()).await;
        assert_eq!(done.status, 200, "{done:?}");
        id
    }

    /// A policy as the client writes it in SigV4, for a file without a type.
    pub fn policy(&self, key: &str) -> Value {
        let now = self.server.clock.now();
        let (date, end) = (v4_date(now), now + chrono::TimeDelta::minutes(5));
        json!({ "expiration": end.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), "conditions": [
            { "acl": "private" },
            { "bucket": self.bucket() },
            { "success_action_status": "200" },
            { "x-amz-algorithm": "AWS4-HMAC-SHA256" },
            { "key": key },
            { "x-amz-credential": format!("{KEY_ID}/{}/us-east-1/s3/aws4_request", &date[..8]) },
            { "x-amz-date": date },
            { "x-amz-meta-qqfilename": "film.mp4" },
        ] })
    }

    /// Posts a form with the fields of this policy and the answer's, as a browser does.
    pub async fn post(&self, policy: &Value, signed: &Reply, bytes: &[u8]) -> Reply {
        let mut fields: Vec<(String, String)> = Vec::new();
        for condition in policy["conditions"].as_array().expect("conditions") {
            let pair = condition
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| *name != "bucket");
            fields.extend(pair.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())));
        }
        fields.push(("policy".into(), member(signed, "policy")));
        fields.push(("x-amz-signature".into(), member(signed, "signature")));
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .into_bytes(),
            );
        }
        body.extend(b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
        body.extend(bytes);
        body.extend(b"\r\n--b--\r\n");
        let request = http().post(format!("{}/{}", self.server.store, self.bucket()));
        reply(
            request
                .header("content-type", "multipart/form-data; boundary=b")
                .body(body),
        )
        .await
    }

    /// `POST /success`.
    pub async fn success(&self, key: &str) -> Reply {
        self.tell(
            "success",
            &[
                ("key", key),
                ("uuid", "u-1"),
                ("name", "film.mp4"),
                ("bucket", self.bucket()),
                ("etag", "\"x\""),
            ],
        )
        .await
    }

    /// Posts a form.
    pub async fn tell(&self, call: &str, fields: &[(&str, &str)]) -> Reply {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = http().post(self.url(call)).header("x-api-key", &self.api_key);
        reply(
            request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form),
        )
        .await
    }

    /// `GET /session`.
    pub async fn session(&self) -> Value {
        let told = reply(
            http()
                .get(self.url("session?qqtimestamp=1"))
                .header("x-api-key", &self.api_key),
        )
        .await;
        assert_eq!(told.status, 200, "{told:?}");
        serde_json::from_str(&told.text).expect("JSON")
    }

    /// What the native API lists for this person, finished or not.
    pub async fn recorded(&self) -> Value {
        let url = format!("{}/api/v1/uploads", self.server.base);
        let listed = reply(http().get(url).header("x-api-key", &self.api_key)).await;
        serde_json::from_str::<Value>(&listed.text).expect("JSON")["uploads"].clone()
    }

    pub async fn stored(&self, key: &str) -> Vec<u8> {
        store_of(self.server).get(key).await.body.clone()
    }
}

/// A member of an answer in JSON.
pub fn member(reply: &Reply, name: &str) -> String {
    let answer: Value = serde_json::from_str(&reply.text).unwrap_or_else(|_| panic!("no JSON: {reply:?}"));
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {reply:?}"))
        .to_owned()
}

/// Asserts that the client takes this for a refusal with a reason, and that nothing was signed.
pub fn assert_refused(reply: &Reply, what: &str) {
    reply.assert_signs_nothing(what);
    assert!(!member(reply, "error").is_empty(), "{what}: {reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store", "{what}");
}
