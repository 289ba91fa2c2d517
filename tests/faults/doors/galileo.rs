//! GalileoSend, protocol 2: a file over a WebSocket, and again over another one where that breaks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::job::{End, Job, Outcome};
use super::super::socket::frame;
use super::super::{KEY, PART, REQUEST};

/// How one connection ends.
enum Ended {
    Complete,
    Left,
    Broken,
}

pub async fn upload(job: &mut Job) -> Outcome {
    let mut upload = None;
    loop {
        match connect(job, &mut upload).await? {
            Ended::Complete => return Ok(End::Complete),
            Ended::Left => return Ok(End::Left),
            Ended::Broken => job.again("the connection broke").await?,
        }
    }
}

/// One connection; `upload` is the id to go on with.
async fn connect(job: &mut Job, upload: &mut Option<String>) -> Result<Ended, String> {
    let address = job.instance();
    let Some(mut socket) = Socket::open(address.trim_start_matches("http://")).await else {
        return Ok(Ended::Broken);
    };
    let mut hello = json!({ "name": job.name, "size": job.len(), "protocol": 2 });
    if let Some(id) = upload {
        hello["resume"] = id.clone().into();
    }
    let mut next = frame(0x81, hello.to_string().as_bytes());
    let mut position = None;
    loop {
        if socket.send(&next).await.is_none() {
            return Ok(Ended::Broken);
        }
        let Some(signal) = socket.signal().await else {
            return Ok(Ended::Broken);
        };
        if signal["close"] == true {
            return Ok(Ended::Complete);
        }
        if signal["ready"] != true {
            let is_passing = [
                "superseded",
                "unavailable",
                "busy",
                "stopping",
                "idle",
                "store_refused",
            ];
            if is_passing.iter().any(|code| signal["code"] == *code) {
                return Ok(Ended::Broken);
            }
            return Err(format!("{signal}"));
        }
        *upload = signal["upload"].as_str().map(str::to_owned);
        let number = |name: &str| {
            signal[name]
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
        };
        let stored = number("offset").ok_or_else(|| format!("no offset in {signal}"))?;
        job.stands_at(stored)?;
        if job.leaves() && stored < job.len() {
            return Ok(Ended::Left);
        }
        let at = position.unwrap_or(stored);
        if at == job.len() {
            next = frame(0x81, br#"{"finished":true}"#);
            continue;
        }
        let end = job.len().min(at + number("chunksize").unwrap_or(PART));
        job.sends(end - at);
        next = frame(0x82, &job.bytes[at..end]);
        position = Some(end);
    }
}

/// A connection that may break at any time.
struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    async fn open(address: &str) -> Option<Self> {
        let stream = timeout(REQUEST, TcpStream::connect(address)).await.ok()?.ok()?;
        let mut socket = Self {
            stream,
            buffer: Vec::new(),
        };
        let head = format!(
            "GET /galileo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-API-Key: {KEY}\r\n\r\n"
        );
        socket.send(head.as_bytes()).await?;
        let end = loop {
            if let Some(end) = socket.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            socket.read().await?;
        };
        let is_open = socket.buffer.starts_with(b"HTTP/1.1 101 ");
        socket.buffer.drain(..end);
        is_open.then_some(socket)
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        // Pauses between the pieces, so that faults meet them on the way.
        for piece in bytes.chunks(32 << 10) {
            tokio::time::sleep(Duration::from_millis(3)).await;
            timeout(REQUEST, self.stream.write_all(piece)).await.ok()?.ok()?;
        }
        Some(())
    }

    async fn read(&mut self) -> Option<()> {
        let read = timeout(REQUEST, self.stream.read_buf(&mut self.buffer))
            .await
            .ok()?
            .ok()?;
        (read > 0).then_some(())
    }

    /// The next text; `None` where the connection ends before one.
    async fn signal(&mut self) -> Option<Value> {
        loop {
            while let Some((kind, bytes)) = self.parse() {
                match kind {
                    1 => return serde_json::from_slice(&bytes).ok(),
                    8 => return None,
                    _ => {}
                }
            }
            self.read().await?;
        }
    }

    /// The next frame in the buffer: its opcode, and what it holds. A signal is short.
    fn parse(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.buffer.first()?, *self.buffer.get(1)?);
        let (start, length) = match second {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?)),
            ),
            short => (2, usize::from(short)),
        };
        let bytes = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some((first & 0x0f, bytes))
    }
}
