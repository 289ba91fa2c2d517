//! A client of the chunk server that notes what was acknowledged, and a look into the bucket.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[path = "../support/random.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod random;
#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "these tests only look")]
mod s3_client;

pub use random::Random;

/// A part that is stored: its number and its digest.
pub type Part = (u64, String);

/// Somebody who uploads.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// Four workers under way.
pub struct Sending {
    workers: Vec<tokio::task::JoinHandle<()>>,
    acknowledged: Arc<Mutex<Vec<Part>>>,
}

impl Sending {
    /// Waits for the workers, however they fare; what was acknowledged.
    pub async fn wait(self) -> Vec<Part> {
        for worker in self.workers {
            worker.await.expect("no panic");
        }
        self.acknowledged.lock().expect("no panic").clone()
    }
}

impl Client {
    pub fn new(base: &str, key: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            base: base.to_owned(),
            key: key.to_owned(),
        }
    }

    /// One call; `None` where the server died over it.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", self.base))
            .header("X-API-Key", &self.key);
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    pub async fn begin(&self, size: usize) -> String {
        let file = json!({ "filename": "kills/file.bin", "total_size": size });
        let (status, begun) = self
            .call("POST", "/upload/init", Some(file))
            .await
            .expect("it lives");
        assert_eq!(status, 200, "{begun}");
        begun["file_id"].as_str().expect("an id").to_owned()
    }

    async fn status(&self, id: &str) -> Value {
        let (status, found) = self
            .call("GET", &format!("/upload/{id}/status"), None)
            .await
            .expect("it lives");
        assert_eq!(status, 200, "{found}");
        found
    }

    /// What the server says is stored.
    pub async fn stored(&self, id: &str) -> Vec<Part> {
        let found = self.status(id).await;
        let parts = found["parts"].as_array().expect("always there");
        parts
            .iter()
            .filter(|part| part["status"] == "uploaded")
            .map(|part| {
                let sum = part["checksum_sha256"].as_str().expect("a digest");
                (part["part"].as_u64().expect("a number"), sum.to_owned())
            })
            .collect()
    }

    /// Sends what is missing, in an order of chance, with four workers.
    pub fn send_missing(&self, id: &str, file: &[u8], random: &mut Random) -> Sending {
        let mut order: Vec<usize> = (0..file.len().div_ceil(1 << 20)).collect();
        random.shuffle(&mut order);
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let pieces: Vec<(u64, Vec<u8>)> = order
            .into_iter()
            .map(|n| (n as u64, file[n << 20..((n + 1) << 20).min(file.len())].to_vec()))
            .collect();
        let workers = (0..4)
            .map(|worker| {
                let (client, id, notes) = (self.clone(), id.to_owned(), acknowledged.clone());
                let own: Vec<_> = pieces.iter().skip(worker).step_by(4).cloned().collect();
                tokio::spawn(async move { client.work(&id, own, &notes).await })
            })
            .collect();
        Sending {
            workers,
            acknowledged,
        }
    }

    /// One worker; it ends when the server does.
    async fn work(&self, id: &str, pieces: Vec<(u64, Vec<u8>)>, acknowledged: &Mutex<Vec<Part>>) {
        let Some((200, found)) = self.call("GET", &format!("/upload/{id}/status"), None).await else {
            return;
        };
        for (number, bytes) in pieces {
            let part = &found["parts"][usize::try_from(number).expect("it fits")];
            let Some(token) = part["token"].as_str() else {
                continue;
            };
            let sum = hex::encode(Sha256::digest(&bytes));
            let sent = self
                .http
                .put(format!("{}/upload/{id}/part/{number}", self.base))
                .bearer_auth(token)
                .body(bytes)
                .send()
                .await;
            let Ok(answer) = sent else { return };
            if answer.status() == 200 {
                acknowledged.lock().expect("no panic").push((number, sum));
            }
        }
    }

    /// Asks for completion; the object's address, or `None` where the server died over it.
    pub async fn complete(self, id: String) -> Option<String> {
        let (status, done) = self.call("POST", &format!("/upload/{id}/complete"), None).await?;
        assert_eq!(status, 200, "{done}");
        Some(done["final_path"].as_str().expect("an address").to_owned())
    }

    pub async fn abandon(&self, id: &str) {
        let (status, done) = self
            .call("DELETE", &format!("/upload/{id}"), None)
            .await
            .expect("it lives");
        assert_eq!(status, 200, "{done}");
    }
}

/// A look into the store, past the program.
pub struct Bucket(s3_client::S3Client);

impl Bucket {
    pub fn new(endpoint: &str) -> Self {
        let signer = s3_client::Signer {
            access_key_id: "testaccesskey".into(),
            secret: "testsecretkey123456".into(),
            token: None,
            region: "us-east-1".into(),
        };
        Self(s3_client::S3Client::new(endpoint, "matrix-bucket", signer))
    }

    pub async fn object(&self, key: &str) -> Vec<u8> {
        let answer = self.0.get(key).await;
        assert_eq!(answer.status, 200, "{key}");
        answer.body
    }

    /// Multipart uploads under way, and small objects that wait to be gathered.
    pub async fn leftovers(&self) -> Vec<String> {
        let uploads = self.0.ask("GET", "").query("uploads", "").send().await;
        let objects = self.0.ask("GET", "").query("list-type", "2").send().await;
        let pieces = objects
            .tags("Key")
            .into_iter()
            .filter(|key| key.starts_with(".muleteer/"));
        uploads.tags("Key").into_iter().chain(pieces).collect()
    }
}
