//! A client of the protocol that shows answers as they came, and adds nothing that a test has not said.
//!
//! Separate from the tests, so that they read as what somebody does and what comes back.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use muleteer::domain::UploadId;

use super::place::Place;
use super::raw_http::{Answer, Connection, head};

/// The type of a body that is a piece of a file.
pub const BYTES: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

/// The version that is spoken.
pub const VERSION: (&str, &str) = ("Tus-Resumable", "1.0.0");

/// Somebody who talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    pub base: String,
    fields: Vec<(String, String)>,
}

impl Client {
    pub fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            fields: Vec::new(),
        }
    }

    /// The same with another field in every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.fields.push((name.to_owned(), value.to_owned()));
        other
    }

    pub async fn connect(&self) -> Connection {
        Connection::to(&self.base).await
    }

    /// The head of a request with exactly these fields and this client's own.
    pub fn head_of(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let own = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(fields.iter().copied()).collect();
        head(method, path, &all)
    }

    /// A request with exactly these fields, this client's own, and the length of its body.
    pub async fn raw(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        if !body.is_empty() || matches!(method, "POST" | "PATCH") {
            fields.push(("Content-Length", &length));
        }
        let mut connection = self.connect().await;
        connection.send(self.head_of(method, path, &fields)).await;
        connection.send_until_answered(body).await;
        let answer = if method == "HEAD" {
            connection.answer_to_head().await
        } else {
            connection.answer().await
        };
        check(path, &answer);
        answer
    }

    /// A request that speaks the protocol.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = vec![VERSION];
        all.extend_from_slice(fields);
        self.raw(method, path, &all, body).await
    }

    pub async fn post(&self, fields: &[(&str, &str)]) -> Answer {
        self.ask("POST", "/files", fields, b"").await
    }

    /// The path of a new upload, which must be made.
    pub async fn create_with(&self, fields: &[(&str, &str)]) -> String {
        location(&self.post(fields).await.expect(201))
    }

    pub async fn create(&self, length: usize) -> String {
        self.create_with(&[("Upload-Length", &length.to_string())]).await
    }

    pub async fn create_deferred(&self) -> String {
        self.create_with(&[("Upload-Defer-Length", "1")]).await
    }

    pub async fn look(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[], b"").await
    }

    /// Where an upload stands, which must be there.
    pub async fn offset(&self, path: &str) -> usize {
        let answer = self.look(path).await.expect(200);
        usize::try_from(answer.number("Upload-Offset")).expect("a small file")
    }

    pub async fn patch(&self, path: &str, offset: usize, body: &[u8]) -> Answer {
        self.patch_with(path, offset, &[], body).await
    }

    pub async fn patch_with(
        &self,
        path: &str,
        offset: usize,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let offset = offset.to_string();
        let mut all = vec![BYTES, ("Upload-Offset", offset.as_str())];
        all.extend_from_slice(fields);
        self.ask("PATCH", path, &all, body).await
    }

    /// Sends bytes, which must be taken.
    pub async fn send(&self, path: &str, offset: usize, body: &[u8]) {
        let answer = self.patch(path, offset, body).await.expect(204);
        assert_eq!(answer.number("Upload-Offset"), (offset + body.len()) as u64);
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], b"").await
    }

    /// A connection on which a PATCH with this length has begun with these first bytes.
    pub async fn begin_patch(&self, path: &str, offset: usize, length: usize, first: &[u8]) -> Connection {
        let (offset, length) = (offset.to_string(), length.to_string());
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Offset", offset.as_str()),
            ("Content-Length", length.as_str()),
        ];
        let mut connection = self.connect().await;
        connection.send(self.head_of("PATCH", path, &fields)).await;
        connection.send(first).await;
        connection
    }

    /// The same with a body in chunks, of which the test sends each by itself.
    pub async fn begin_chunked(&self, path: &str, offset: usize, fields: &[(&str, &str)]) -> Connection {
        let offset = offset.to_string();
        let mut all = vec![
            VERSION,
            BYTES,
            ("Upload-Offset", offset.as_str()),
            ("Transfer-Encoding", "chunked"),
        ];
        all.extend_from_slice(fields);
        let mut connection = self.connect().await;
        connection.send(self.head_of("PATCH", path, &all)).await;
        connection
    }
}

impl Place {
    /// Somebody without any credential.
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// The finished object of the upload at this address.
    pub async fn object(&self, path: &str) -> Option<Vec<u8>> {
        let id = path.rsplit('/').next().expect("an id");
        self.object_of(&UploadId::parse(id).expect("an id of ours")).await
    }
}

/// What is true of every answer at these addresses, whatever was asked.
#[track_caller]
pub fn check(path: &str, answer: &Answer) {
    if path.starts_with("/api/") {
        return;
    }
    assert_eq!(answer.header("Tus-Resumable"), "1.0.0", "{path} {answer:?}");
    assert_eq!(answer.header("Cache-Control"), "no-store", "{path} {answer:?}");
    assert!(answer.status < 500, "{path} {answer:?}");
    if matches!(answer.status, 404 | 410) {
        assert_eq!(answer.field("Upload-Offset"), None, "{answer:?}");
    }
    if answer.status >= 400 && !answer.body.is_empty() {
        assert_eq!(answer.header("Content-Type"), "application/problem+json");
        assert_eq!(answer.json()["status"], answer.status, "{}", answer.text());
    }
}

/// The path in `Location`, which must be there.
#[track_caller]
pub fn location(answer: &Answer) -> String {
    let location = answer.header("Location");
    assert!(
        location.starts_with('/') || location.starts_with("http"),
        "{answer:?}"
    );
    location
}

/// The first `size` bytes of the one file that all tests send. It repeats after a prime number of bytes, so that no
/// piece looks like another.
pub fn content(size: usize) -> Vec<u8> {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let block = BLOCK.get_or_init(|| {
        let rounds = (0_u32..2048).flat_map(|round| Sha256::digest(round.to_be_bytes()));
        rounds.take(65_521).collect()
    });
    let mut bytes = Vec::with_capacity(size + block.len());
    while bytes.len() < size {
        bytes.extend_from_slice(block);
    }
    bytes.truncate(size);
    bytes
}

/// Pairs as `Upload-Metadata` has them.
pub fn metadata(pairs: &[(&str, &[u8])]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key} {}", STANDARD.encode(value)))
        .collect();
    pairs.join(",")
}

/// Our own id of the upload at this path.
pub fn id_of(upload: &str) -> UploadId {
    UploadId::parse(upload.rsplit('/').next().expect("an id")).expect("an id of ours")
}
