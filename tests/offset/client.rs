//! A client of the protocol that shows answers as they came.

use muleteer::domain::UploadId;
use serde_json::{Value, json};

use super::place::Place;
use super::raw_http::{Answer, Connection, head};
use super::server::API_KEY;

/// Somebody who talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    key: Option<String>,
}

impl Client {
    /// The holder of the key that the settings name.
    pub fn of(place: &Place) -> Self {
        Self::with_key(place, API_KEY)
    }

    pub fn with_key(place: &Place, key: &str) -> Self {
        Self {
            base: place.base.clone(),
            key: Some(key.to_owned()),
        }
    }

    pub fn nobody(place: &Place) -> Self {
        Self {
            base: place.base.clone(),
            key: None,
        }
    }

    /// The head of a request, with this client's key.
    pub fn head(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let mut fields = fields.to_vec();
        if let Some(key) = &self.key {
            fields.push(("X-API-Key", key));
        }
        head(method, path, &fields)
    }

    pub async fn connect(&self) -> Connection {
        Connection::to(&self.base).await
    }

    /// One request with a body of known length.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        fields.push(("Content-Length", &length));
        let mut connection = self.connect().await;
        connection.send(self.head(method, path, &fields)).await;
        // A request that is refused by its head may have its body cut off.
        connection.send_while_taken(body).await;
        if method == "HEAD" {
            connection.answer_to_head().await
        } else {
            connection.answer().await
        }
    }

    /// Begins a session with this JSON.
    pub async fn start_with(&self, json: &str) -> Answer {
        self.ask("PUT", "/chunk", &[], json.as_bytes()).await
    }

    /// A session that must begin.
    pub async fn start(&self, size: usize) -> String {
        let wanted = json!({ "bytes": size, "name": "a file.bin", "mime_type": "application/x-test" });
        let answer = self.start_with(&wanted.to_string()).await.expect(202).json();
        answer["session_id"].as_str().expect("a name").to_owned()
    }

    /// Sends a chunk.
    pub async fn put(&self, session: &str, offset: impl std::fmt::Display, body: &[u8]) -> Answer {
        self.ask("PUT", &at(session, offset), &[], body).await
    }

    /// Sends a chunk that must be stored; where the session stands.
    pub async fn send(&self, session: &str, offset: usize, body: &[u8]) -> u64 {
        let answer = self.put(session, offset, body).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        standing(&answer.json())
    }

    pub async fn look(&self, session: &str) -> Answer {
        self.ask("GET", &format!("/chunk?session_id={session}"), &[], &[])
            .await
    }

    pub async fn cancel(&self, session: &str) -> Answer {
        self.ask("DELETE", &format!("/chunk?session_id={session}"), &[], &[])
            .await
    }
}

/// The address of a chunk.
pub fn at(session: &str, offset: impl std::fmt::Display) -> String {
    format!("/chunk?session_id={session}&offset={offset}")
}

/// The offset that an answer tells.
#[track_caller]
pub fn standing(answer: &Value) -> u64 {
    answer["offset"]
        .as_u64()
        .unwrap_or_else(|| panic!("no offset in {answer}"))
}

/// An error, which must have this status and code.
#[track_caller]
pub fn error(answer: &Answer, status: u16, code: &str) -> Value {
    let json = answer.json();
    assert_eq!(
        (answer.status, json["code"].as_str()),
        (status, Some(code)),
        "{json}"
    );
    assert_eq!(json["status"], status);
    assert!(
        json["error"].as_str().is_some_and(|text| !text.is_empty()),
        "{json}"
    );
    json
}

/// Our own id of a session.
pub fn id_of(session: &str) -> UploadId {
    UploadId::parse_uuid_v4(session).expect("an id of ours")
}
