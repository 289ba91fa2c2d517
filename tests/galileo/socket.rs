//! A WebSocket client by hand, so that it can do everything that the rules forbid, and at any moment.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::TestServer;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Chromium cuts a Blob into.
pub const CHROMIUM_FRAME: usize = 131_000;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a handshake says.
#[derive(Debug, Clone)]
pub struct Handshake {
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Handshake {
    /// A right one, without any credential.
    pub fn new(path: &str) -> Self {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        Self {
            path: path.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        }
    }

    /// With this header, in place of one of that name.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Asks for a connection; the status and the whole answer where there is none.
    pub async fn ask(&self, server: &TestServer) -> Result<Socket, (u16, String)> {
        let host = server.base.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut head = format!("GET {} HTTP/1.1\r\n", self.path);
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            head.extend(["Host: ", host, "\r\n"]);
        }
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .expect("sent");
        let mut buffer = Vec::new();
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let read = timeout(PATIENCE, stream.read_buf(&mut buffer))
                .await
                .expect("an answer in time");
            assert_ne!(
                read.expect("an answer"),
                0,
                "an answer: {}",
                String::from_utf8_lossy(&buffer)
            );
        };
        let head = String::from_utf8(buffer[..end].to_vec()).expect("text");
        let status: u16 = head
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .expect("a status");
        buffer.drain(..end);
        if status != 101 {
            let mut rest = [0; 4096];
            while let Ok(Ok(1..)) = timeout(Duration::from_millis(200), stream.read(&mut rest)).await {}
            return Err((status, head));
        }
        let accept = STANDARD.encode(Sha1::digest(format!("{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
        assert!(
            head.to_ascii_lowercase()
                .contains(&format!("sec-websocket-accept: {}", accept.to_ascii_lowercase())),
            "{head}"
        );
        Ok(Socket { stream, buffer, head })
    }

    /// A connection that must come about.
    pub async fn open(&self, server: &TestServer) -> Socket {
        self.ask(server)
            .await
            .unwrap_or_else(|(status, head)| panic!("{status}: {head}"))
    }

    /// The status of a handshake that must be refused.
    pub async fn status(&self, server: &TestServer) -> u16 {
        match self.ask(server).await {
            Err((status, _)) => status,
            Ok(_) => 101,
        }
    }
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Text(Value),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The connection is over.
    Gone,
}

/// A connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The head of the answer to the handshake.
    pub head: String,
}

/// A masked frame: its first byte, and what it holds.
pub fn frame(first: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = head(first, bytes.len() as u64);
    frame.extend(
        bytes
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The head of a masked frame.
pub fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(0x80 | u8::try_from(length).expect("short")),
        126..=0xffff => {
            head.push(0xfe);
            head.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        _ => {
            head.push(0xff);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}

impl Socket {
    /// Sends bytes as they are; what the server does not take any more is no failure.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("the server reads");
    }

    pub async fn text(&mut self, text: &str) {
        self.raw(&frame(0x81, text.as_bytes())).await;
    }

    pub async fn json(&mut self, value: &Value) {
        self.text(&value.to_string()).await;
    }

    /// One message in one frame.
    pub async fn binary(&mut self, bytes: &[u8]) {
        self.raw(&frame(0x82, bytes)).await;
    }

    /// One message in frames of `each` bytes.
    pub async fn fragments(&mut self, bytes: &[u8], each: usize) {
        let count = bytes.len().div_ceil(each).max(1);
        for n in 0..count {
            let first = if n == 0 { 0x02 } else { 0x00 } | if n + 1 == count { 0x80 } else { 0 };
            let piece = &bytes[n * each..bytes.len().min((n + 1) * each)];
            self.raw(&frame(first, piece)).await;
        }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        timeout(PATIENCE, self.read_frame())
            .await
            .expect("a frame in time")
    }

    async fn read_frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parse() {
                return frame;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Frame::Gone,
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let (first, second) = (*self.buffer.first()?, *self.buffer.get(1)?);
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        assert_eq!(first & 0xf0, 0x80, "we send whole messages without extensions");
        let (start, length) = match second {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?)),
            ),
            127 => panic!("a signal is short"),
            short => (2, usize::from(short)),
        };
        let bytes = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some(match first & 0x0f {
            1 => Frame::Text(serde_json::from_slice(&bytes).expect("JSON")),
            9 => Frame::Ping,
            10 => Frame::Pong(bytes),
            8 => Frame::Close(bytes.first_chunk().map(|code| u16::from_be_bytes(*code))),
            other => panic!("the server sent opcode {other}"),
        })
    }

    /// The next signal.
    pub async fn signal(&mut self) -> Value {
        loop {
            match self.next().await {
                Frame::Text(signal) => return signal,
                Frame::Ping => {}
                other => panic!("{other:?} instead of a signal"),
            }
        }
    }

    /// The code of a close that must come before anything else.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Frame::Close(code) => return code,
                Frame::Ping => {}
                other => panic!("{other:?} instead of a close"),
            }
        }
    }

    /// A fatal error that must come next; its code.
    pub async fn fatal(&mut self) -> String {
        let signal = self.signal().await;
        assert_eq!(signal["fatal"], true, "{signal}");
        assert!(
            signal["error"].as_str().is_some_and(|text| text.len() > 8),
            "{signal}"
        );
        for member in ["ready", "close"] {
            assert_eq!(signal.get(member), None, "never two in one: {signal}");
        }
        signal["code"].as_str().expect("a code").to_owned()
    }

    /// Whether nothing comes for a while.
    pub async fn is_silent(&mut self, while_ms: u64) -> bool {
        timeout(Duration::from_millis(while_ms), self.read_frame())
            .await
            .is_err()
    }

    /// Closes as a browser does, and waits for the answer.
    pub async fn close(mut self) {
        self.raw(&frame(0x88, &[])).await;
        assert_eq!(self.closed().await, None);
        assert_eq!(self.next().await, Frame::Gone);
    }

    /// Breaks the connection off without a word.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket");
    }
}
