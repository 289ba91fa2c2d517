//! HTTP/1.1 by hand: bytes on a socket, sent when the test says so, and answers as they came.
//!
//! Separate from every client library, because only here can a request be left half sent, reset, sent in chunks of the
//! test's choosing, or carry fields that no library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The head of a request, up to and with the empty line. `Host` is added where `fields` has none.
pub fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: raw.test\r\n");
    }
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

/// One chunk of a body in chunks.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// What ends a body in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A whole body in chunks of `each` bytes.
pub fn in_chunks(bytes: &[u8], each: usize) -> Vec<u8> {
    let mut framed: Vec<u8> = bytes.chunks(each).flat_map(chunk).collect();
    framed.extend_from_slice(LAST_CHUNK);
    framed
}

/// An answer as it came; one with a status below 200 is an answer too.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// The fields in their order, names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(1000)];
        write!(f, "{}", String::from_utf8_lossy(shown))
    }
}

impl Answer {
    /// A field's value, if it is there; several are joined by `, `.
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// A field's value; empty where it is missing.
    pub fn header(&self, name: &str) -> String {
        self.field(name).unwrap_or_default()
    }

    /// A field that must be there and be a whole number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let value = self.header(name);
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value:?} in {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    /// What was read beyond the last answer.
    ahead: Vec<u8>,
}

impl Connection {
    /// To `host:port`, or to `http://host:port`.
    pub async fn to(address: &str) -> Self {
        let address = address.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
        self.stream.flush().await.expect("sent");
    }

    /// Sends for as long as the other side takes it, and each piece within half a second; how many bytes that were.
    pub async fn send_while_taken(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        for piece in bytes.chunks(16 << 10) {
            match tokio::time::timeout(Duration::from_millis(500), self.stream.write_all(piece)).await {
                Ok(Ok(())) => sent += piece.len(),
                _ => break,
            }
        }
        sent
    }

    /// Resets the connection (RST), as a client does whose machine dies.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("an option");
    }

    /// Ends our side of the connection (FIN); the other side may still answer.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Whether the other side says nothing for that long.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        if !self.ahead.is_empty() {
            return false;
        }
        let mut byte = [0];
        tokio::time::timeout(time, self.stream.peek(&mut byte))
            .await
            .is_err()
    }

    /// Waits until the other side has closed or reset the connection; what it still said.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.ahead);
        let mut piece = [0; 4096];
        let drained = async {
            while let Ok(read @ 1..) = self.stream.read(&mut piece).await {
                rest.extend_from_slice(&piece[..read]);
            }
        };
        tokio::time::timeout(PATIENCE, drained)
            .await
            .expect("an end in time");
        rest
    }

    /// The next answer to a request that is not HEAD.
    #[track_caller]
    pub fn answer(&mut self) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            match tokio::time::timeout(PATIENCE, self.read(true)).await {
                Ok(Some(answer)) => answer,
                Ok(None) => panic!("the connection ended without an answer, at {place}"),
                Err(_) => panic!("no answer in time, at {place}"),
            }
        }
    }

    /// The next answer to a HEAD request.
    pub async fn answer_to_head(&mut self) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.read(false)).await;
        answer.expect("an answer in time").expect("an answer")
    }

    /// The next answer, or `None` where the connection is closed or reset without one.
    pub async fn answer_or_end(&mut self) -> Option<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.read(true)).await;
        answer.expect("an answer or an end in time")
    }

    async fn read(&mut self, has_body: bool) -> Option<Answer> {
        let ends = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_some().await?;
        };
        let head: Vec<u8> = self.ahead.drain(..ends).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().expect("a first line").splitn(3, ' ');
        let status = first.nth(1).and_then(|text| text.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            reason: first.next().unwrap_or_default().to_owned(),
            fields: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if has_body && answer.status >= 200 && !matches!(answer.status, 204 | 304) {
            answer.body = if answer.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
                self.read_chunks().await?
            } else if let Some(length) = answer.field("content-length") {
                self.read_exactly(length.parse().expect("a length")).await?
            } else {
                self.rest().await
            };
        }
        Some(answer)
    }

    async fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let ends = loop {
                if let Some(at) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                self.read_some().await?;
            };
            let line: Vec<u8> = self.ahead.drain(..ends + 2).collect();
            let digits = String::from_utf8_lossy(&line[..ends]).into_owned();
            let size = usize::from_str_radix(digits.trim(), 16).expect("a chunk's size");
            body.extend(self.read_exactly(size).await?);
            self.read_exactly(2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < length {
            self.read_some().await?;
        }
        Some(self.ahead.drain(..length).collect())
    }

    async fn read_some(&mut self) -> Option<()> {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece).await {
            Ok(read @ 1..) => {
                self.ahead.extend_from_slice(&piece[..read]);
                Some(())
            }
            _ => None,
        }
    }
}
