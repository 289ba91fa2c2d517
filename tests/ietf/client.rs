//! Somebody who speaks the protocol by hand, in one interop version or in none.
//!
//! Separate from the tests, so that they read as what somebody does and what comes back.

use muleteer::db::UploadQuery;
use muleteer::domain::{Upload, UploadId};

use super::place::Place;
use super::raw_http::{Answer, Connection, head, in_chunks};
use super::server::API_KEY;

impl Place {
    /// The holder of the key that the settings name, who names no interop version.
    pub fn client(&self) -> Client {
        Client::new(&self.base).with("X-API-Key", API_KEY)
    }

    /// The same in an interop version.
    pub fn speaking(&self, version: u64) -> Client {
        self.client().speaking(version)
    }

    /// Somebody else, with a key of their own.
    pub async fn stranger(&self) -> Client {
        let key = self.new_key("somebody.else", "upload").await;
        Client::new(&self.base).with("X-API-Key", &key)
    }

    /// What is on record of the upload at an address.
    pub async fn at(&self, path: &str) -> Upload {
        let id = path.rsplit('/').next().expect("an id");
        let id = UploadId::parse(id).expect("an id of ours");
        self.record(&id).await.expect("an upload")
    }

    /// The finished object of the upload at an address.
    pub async fn object(&self, path: &str) -> Option<Vec<u8>> {
        self.object_of(&self.at(path).await.id).await
    }

    /// How many uploads there ever were.
    pub async fn uploads(&self) -> usize {
        let db = self.database().await;
        let all = db.list_uploads(UploadQuery {
            limit: 1000,
            ..UploadQuery::default()
        });
        let all = all.await.expect("the database");
        db.close().await.expect("closed");
        all.uploads.len()
    }
}

/// One who asks.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    version: Option<u64>,
    fields: Vec<(String, String)>,
}

/// What came back for one request: the answers before the final one, and that one.
#[derive(Debug)]
pub struct Exchange {
    pub interim: Vec<Answer>,
    pub last: Answer,
}

impl Exchange {
    /// The final answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        self.last.expect(status)
    }

    /// The 104s, in their order.
    pub fn early(&self) -> Vec<&Answer> {
        self.interim
            .iter()
            .filter(|answer| answer.status == 104)
            .collect()
    }
}

/// The address of an upload that an answer tells.
#[track_caller]
pub fn location(answer: &Answer) -> String {
    let told = answer.header("location");
    let path = told
        .strip_prefix("http://")
        .map_or(told.as_str(), |rest| rest.find('/').map_or("", |at| &rest[at..]));
    assert!(path.starts_with("/files/"), "{told:?} in {answer:?}");
    path.to_owned()
}

impl Client {
    /// One without any credential, who names no version.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            version: None,
            fields: Vec::new(),
        }
    }

    /// The same with a field in every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.fields.push((name.to_owned(), value.to_owned()));
        other
    }

    /// The same without one.
    pub fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.fields.retain(|(own, _)| own != name);
        other
    }

    /// The same in an interop version.
    pub fn speaking(&self, version: u64) -> Self {
        let mut other = self
            .without("Upload-Draft-Interop-Version")
            .with("Upload-Draft-Interop-Version", &version.to_string());
        other.version = Some(version);
        other
    }

    /// One who knows the version but does not name it.
    pub fn quietly(&self) -> Self {
        self.without("Upload-Draft-Interop-Version")
    }

    /// The field by which this version says whether something is complete.
    pub fn completeness(&self) -> &'static str {
        if self.version == Some(3) {
            "upload-incomplete"
        } else {
            "upload-complete"
        }
    }

    /// Its value.
    pub fn says(&self, is_complete: bool) -> &'static str {
        if is_complete == (self.version != Some(3)) {
            "?1"
        } else {
            "?0"
        }
    }

    /// Whether an answer says that the upload is complete; `None` where it says nothing.
    pub fn is_complete(&self, answer: &Answer) -> Option<bool> {
        let value = answer.field(self.completeness())?;
        Some(value == self.says(true))
    }

    /// A head with this client's fields and these.
    pub fn head_of(&self, method: &str, path: &str, extra: &[(&str, &str)]) -> String {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.fields {
            fields.push((name, value));
        }
        fields.extend_from_slice(extra);
        head(method, path, &fields)
    }

    /// A connection on which nothing was sent.
    pub async fn connect(&self) -> Connection {
        Connection::to(&self.base).await
    }

    /// A request as it stands, and what comes back.
    pub async fn raw(&self, request: &[u8]) -> Exchange {
        let mut connection = self.connect().await;
        connection.send_while_taken(request).await;
        finish(&mut connection).await
    }

    /// A request with these fields besides this client's, and a body of known length.
    pub async fn ask(&self, method: &str, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Exchange {
        let length = body.len().to_string();
        let mut fields = extra.to_vec();
        fields.push(("Content-Length", &length));
        let head = self.head_of(method, path, &fields);
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// The same with a body in chunks.
    pub async fn ask_in_chunks(
        &self,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Exchange {
        let mut fields = extra.to_vec();
        fields.push(("Transfer-Encoding", "chunked"));
        let head = self.head_of(method, path, &fields);
        self.raw(&[head.as_bytes(), &in_chunks(body, 10_000)].concat())
            .await
    }

    /// Makes an upload with this content.
    pub async fn create(&self, is_last: bool, body: &[u8]) -> Exchange {
        self.create_with(is_last, &[], body).await
    }

    /// The same with further fields.
    pub async fn create_with(&self, is_last: bool, extra: &[(&str, &str)], body: &[u8]) -> Exchange {
        let mut fields = vec![(self.completeness(), self.says(is_last))];
        fields.extend_from_slice(extra);
        self.ask("POST", "/files", &fields, body).await
    }

    /// The address of a new upload that has these first bytes.
    pub async fn begin(&self, body: &[u8]) -> String {
        location(&self.create(false, body).await.expect(201))
    }

    /// The fields of a PATCH.
    pub fn appending(&self, offset: &str, is_last: bool) -> Vec<(String, String)> {
        [
            ("Content-Type", "application/partial-upload"),
            ("Upload-Offset", offset),
            (self.completeness(), self.says(is_last)),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Appends.
    pub async fn append(&self, path: &str, offset: usize, is_last: bool, body: &[u8]) -> Exchange {
        self.append_with(path, offset, is_last, &[], body).await
    }

    /// The same with further fields.
    pub async fn append_with(
        &self,
        path: &str,
        offset: usize,
        is_last: bool,
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Exchange {
        let own = self.appending(&offset.to_string(), is_last);
        let mut fields = borrowed(&own);
        fields.extend_from_slice(extra);
        self.ask("PATCH", path, &fields, body).await
    }

    /// A PATCH of which the head and these first bytes have been sent. `extra` must say how long it is.
    pub async fn half_append(
        &self,
        path: &str,
        offset: usize,
        is_last: bool,
        extra: &[(&str, &str)],
        first: &[u8],
    ) -> Connection {
        let own = self.appending(&offset.to_string(), is_last);
        let mut fields = borrowed(&own);
        fields.extend_from_slice(extra);
        self.half("PATCH", path, &fields, first).await
    }

    /// Any request of which the head and these first bytes have been sent.
    pub async fn half(&self, method: &str, path: &str, extra: &[(&str, &str)], first: &[u8]) -> Connection {
        let mut connection = self.connect().await;
        connection.send(self.head_of(method, path, extra)).await;
        connection.send(first).await;
        connection
    }

    /// Where an upload stands, as it is told.
    pub async fn look(&self, path: &str) -> Answer {
        self.look_with(path, &[]).await
    }

    /// The same with further fields.
    pub async fn look_with(&self, path: &str, extra: &[(&str, &str)]) -> Answer {
        let mut connection = self.connect().await;
        connection.send(self.head_of("HEAD", path, extra)).await;
        connection.answer_to_head().await
    }

    /// The offset of an upload that is there.
    pub async fn offset(&self, path: &str) -> usize {
        let answer = self.look(path).await.expect(204);
        usize::try_from(answer.number("upload-offset")).expect("a small file")
    }

    /// Cancels an upload.
    pub async fn cancel(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], b"").await.last
    }
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Everything up to the final answer.
pub async fn finish(connection: &mut Connection) -> Exchange {
    let mut interim = Vec::new();
    loop {
        let answer = connection.answer().await;
        if answer.status >= 200 {
            return Exchange {
                interim,
                last: answer,
            };
        }
        interim.push(answer);
    }
}

/// The problem type of an answer, without what all of ours begin with.
#[track_caller]
pub fn problem(answer: &Answer) -> String {
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer:?}"
    );
    let document = answer.json();
    assert_eq!(document["status"], answer.status, "{document}");
    document["type"].as_str().expect("a type").to_owned()
}

/// A problem type of the draft.
pub fn registered(slug: &str) -> String {
    format!("https://iana.org/assignments/http-problem-types#{slug}")
}
