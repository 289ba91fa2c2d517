//! A client that is no library: bytes on a socket, sent when the test says so.
//!
//! Separate, because only here can a request be left half sent, reset or answered before its end.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Upload;
use super::server::TestServer;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub struct Wire(TcpStream);

/// An answer off the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Wire {
    pub async fn to(server: &TestServer) -> Self {
        let address = server.base.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// A connection on which a part has begun: its head with this length, further headers and these first bytes.
    pub async fn begin(server: &TestServer, head: &str, first: &[u8]) -> Self {
        let mut wire = Self::to(server).await;
        wire.send(head.as_bytes()).await;
        wire.send(first).await;
        wire
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// Sends for as long as the other side takes it; how many bytes that were.
    pub async fn send_on(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        for piece in bytes.chunks(16 << 10) {
            match tokio::time::timeout(Duration::from_millis(500), self.0.write_all(piece)).await {
                Ok(Ok(())) => sent += piece.len(),
                _ => break,
            }
        }
        sent
    }

    /// Resets the connection, as a client does whose machine dies.
    pub fn reset(self) {
        self.0.set_zero_linger().expect("an option");
    }

    /// Whether the other side says anything within that time.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        tokio::time::timeout(time, self.0.peek(&mut byte)).await.is_err()
    }

    /// Waits until the other side is through with this connection, whatever it says.
    pub async fn has_ended(&mut self) {
        let mut piece = [0; 4096];
        let drained = async { while matches!(self.0.read(&mut piece).await, Ok(1..)) {} };
        tokio::time::timeout(PATIENCE, drained)
            .await
            .expect("an end in time");
    }

    /// What else comes until the other side ends the connection.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        end.expect("an end in time").expect("an end, no reset");
        String::from_utf8(bytes).expect("text")
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("an answer in time")
    }

    async fn read(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let head_ends = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_some(&mut bytes).await;
        };
        let head = String::from_utf8(bytes[..head_ends].to_vec()).expect("a head in ASCII");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .expect("a status");
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse::<usize>().expect("a length"));
        while bytes.len() < head_ends + length {
            self.read_some(&mut bytes).await;
        }
        let body = String::from_utf8(bytes[head_ends..].to_vec()).expect("text");
        Answer { status, head, body }
    }

    async fn read_some(&mut self, bytes: &mut Vec<u8>) {
        let mut piece = [0; 4096];
        // One byte at a time up to the head's end, so that nothing of the next answer is swallowed.
        let most = if bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            piece.len()
        } else {
            1
        };
        let read = self
            .0
            .read(&mut piece[..most])
            .await
            .expect("an answer, no reset");
        assert!(
            read > 0,
            "the connection ended after {:?}",
            String::from_utf8_lossy(bytes)
        );
        bytes.extend_from_slice(&piece[..read]);
    }
}

/// The head of a part's request, with its token and these further header lines.
pub fn part_head(upload: &Upload, part: usize, headers: &[&str]) -> String {
    let token = format!("Authorization: Bearer {}", upload.tokens[part]);
    let mut lines = vec![token.as_str()];
    lines.extend_from_slice(headers);
    head("PUT", &upload.part_path(part), &lines)
}

/// The head of any request.
pub fn head(method: &str, path: &str, headers: &[&str]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: chunks.test\r\n");
    for line in headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}
