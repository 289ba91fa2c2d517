//! A page as Evaporate runs it: writes, asks, sends.

use crate::page::{EMPTY, KEY_ID, Reply, Written, element, hash_of, http, joining, reply, store_of, v2_date};
use crate::server::TestServer;

/// One person's page.
pub struct Page<'a> {
    pub server: &'a TestServer,
    pub api_key: String,
}

impl<'a> Page<'a> {
    pub fn of(server: &'a TestServer, api_key: &str) -> Self {
        Self {
            server,
            api_key: api_key.to_owned(),
        }
    }

    /// The store's host as the released client writes it: without the port.
    pub fn host(&self) -> String {
        let (_, address) = self.server.store.split_once("://").expect("an address");
        address.rsplit_once(':').expect("a port").0.to_owned()
    }

    pub fn bucket(&self) -> &str {
        &self.server.config.dev_s3.bucket
    }

    /// A request as the client writes it; `key` is encoded already.
    pub fn write(&self, method: &'static str, key: &str, query: &str, payload: &str) -> Written {
        let path = format!("/{}/{key}", self.bucket());
        Written::new(
            method,
            &self.host(),
            &path,
            query,
            payload,
            self.server.clock.now(),
        )
    }

    pub fn begin(&self, key: &str) -> Written {
        self.write("POST", key, "uploads=", EMPTY)
    }

    pub fn part(&self, key: &str, upload_id: &str, number: u16) -> Written {
        let query = format!("partNumber={number}&uploadId={upload_id}");
        self.write("PUT", key, &query, "UNSIGNED-PAYLOAD")
    }

    /// Asks for a signature with these parameters.
    pub async fn ask(&self, parameters: &[(&str, &str)]) -> Reply {
        let url = format!("{}/evaporate/sign?{}", self.server.base, encoded(parameters));
        reply(http().get(url).header("x-api-key", &self.api_key)).await
    }

    /// The query with which the released client asks.
    pub fn query(written: &Written) -> String {
        let canonical = written.canonical();
        encoded(&[
            ("to_sign", &written.to_sign(&hash_of(&canonical))),
            ("datetime", &written.date),
            ("canonical_request", &canonical),
        ])
    }

    /// Asks as the released client does.
    pub async fn sign(&self, written: &Written) -> Reply {
        let url = format!("{}/evaporate/sign?{}", self.server.base, Self::query(written));
        reply(http().get(url).header("x-api-key", &self.api_key)).await
    }

    /// Asks for SigV2.
    pub async fn sign_v2(&self, to_sign: &str) -> Reply {
        self.ask(&[
            ("to_sign", to_sign),
            ("datetime", &v2_date(self.server.clock.now())),
        ])
        .await
    }

    /// Has it signed and sends it to the store.
    pub async fn send(&self, written: &Written, body: &[u8]) -> Reply {
        let signed = self.sign(written).await;
        assert_eq!(signed.status, 200, "{written:?}: {signed:?}");
        let url = format!("{}{}", self.server.store, written.path);
        written.send(&url, KEY_ID, &signed.text, body.to_vec()).await
    }

    /// Begins an upload; its id.
    pub async fn begun(&self, key: &str) -> String {
        let begun = self.send(&self.begin(key), b"").await;
        assert_eq!(begun.status, 200, "{begun:?}");
        element(&begun.text, "UploadId").to_owned()
    }

    /// Sends a part; its tag.
    pub async fn sent(&self, key: &str, upload_id: &str, number: u16, bytes: &[u8]) -> String {
        let sent = self.send(&self.part(key, upload_id, number), bytes).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        sent.header("etag").to_owned()
    }

    /// The completing request for these tags, and its body.
    pub fn complete(&self, key: &str, upload_id: &str, tags: &[String]) -> (Written, String) {
        let xml = joining(tags);
        let query = format!("uploadId={upload_id}");
        let hash = hash_of(&xml);
        let written = self.write("POST", key, &query, &hash);
        (
            written.with("content-type", "application/xml; charset=UTF-8"),
            xml,
        )
    }

    /// The ids of all uploads that the store has begun.
    pub async fn in_the_store(&self) -> Vec<String> {
        let answer = store_of(self.server)
            .ask("GET", "")
            .query("uploads", "")
            .send()
            .await;
        answer.tags("UploadId").clone()
    }

    /// What the native API lists for this person.
    pub async fn recorded(&self) -> serde_json::Value {
        let url = format!("{}/api/v1/uploads", self.server.base);
        let listed = reply(http().get(url).header("x-api-key", &self.api_key)).await;
        serde_json::from_str::<serde_json::Value>(&listed.text).expect("JSON")["uploads"].clone()
    }
}

fn encoded(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}
