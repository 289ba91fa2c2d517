//! Stand-ins for the clients that there are: the original JavaScript, to the letter of section 2, and one of protocol 2.

use serde_json::{Value, json};

use super::server::TestServer;
use super::socket::{CHROMIUM_FRAME, Frame, Handshake, Socket};

/// What the original's callbacks were told.
#[derive(Debug, Default)]
pub struct Told {
    pub success: bool,
    pub errors: Vec<Value>,
    /// The signals in the order in which they came.
    pub signals: Vec<Value>,
    pub chunks: usize,
}

/// The original client: it has a file and an address, and knows nothing else.
pub struct OldClient<'a> {
    pub name: &'a str,
    pub file: &'a [u8],
    pub chunksize: usize,
}

impl<'a> OldClient<'a> {
    pub fn new(name: &'a str, file: &'a [u8]) -> Self {
        Self {
            name,
            file,
            chunksize: 250_000,
        }
    }

    /// Sends the file over a connection of its own.
    pub async fn send(&self, server: &TestServer, path: &str) -> Told {
        self.send_over(Handshake::new(path).open(server).await).await
    }

    /// `new WebSocket(url)`, from its `onopen` on.
    pub async fn send_over(&self, mut socket: Socket) -> Told {
        let mut told = Told::default();
        let size = self.file.len();
        let (mut pos, mut was_last_sent) = (0, false);
        socket.json(&json!({ "name": self.name, "size": size })).await;
        loop {
            let signal = match socket.next().await {
                Frame::Text(signal) => signal,
                // A browser answers pings by itself.
                Frame::Ping | Frame::Pong(_) => continue,
                Frame::Close(_) | Frame::Gone => return told,
            };
            told.signals.push(signal.clone());
            if is_true(&signal["close"]) {
                told.success = was_last_sent;
                socket.close().await;
                return told;
            } else if is_true(&signal["error"]) {
                told.errors.push(signal.clone());
                if is_true(&signal["fatal"]) {
                    socket.close().await;
                    return told;
                }
            } else if is_true(&signal["ready"]) {
                if was_last_sent {
                    socket.text(r#"{"finished":true}"#).await;
                    continue;
                }
                let asked = signal["chunksize"].as_u64().filter(|n| *n > 0);
                let each = asked.map_or(self.chunksize, |n| usize::try_from(n).expect("small"));
                let end = size.min(pos + each);
                socket.fragments(&self.file[pos..end], CHROMIUM_FRAME).await;
                told.chunks += 1;
                pos = end;
                was_last_sent = pos >= size;
            }
        }
    }
}

/// As JavaScript has it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Begins an upload in protocol 2, or goes on with one; gives the first `ready`.
pub async fn begin(socket: &mut Socket, name: &str, size: usize, resume: Option<&str>) -> Value {
    let mut metadata = json!({ "name": name, "size": size, "protocol": 2 });
    if let Some(id) = resume {
        metadata["resume"] = id.into();
    }
    socket.json(&metadata).await;
    let ready = socket.signal().await;
    if resume.is_none() {
        check_ready(&ready);
    }
    ready
}

/// A `ready` of protocol 2; its offset.
#[track_caller]
pub fn check_ready(ready: &Value) -> usize {
    assert_eq!(ready["ready"], true, "{ready}");
    assert!(
        ready["upload"].as_str().is_some_and(|id| id.len() == 32),
        "{ready}"
    );
    assert!(ready["chunksize"].as_u64().is_some_and(|n| n > 0), "{ready}");
    let offset = ready["offset"]
        .as_u64()
        .unwrap_or_else(|| panic!("no offset: {ready}"));
    usize::try_from(offset).expect("small")
}

/// Sends what is missing, chunk by chunk, and finishes; gives the `close`.
pub async fn send_rest(socket: &mut Socket, file: &[u8], mut ready: Value, finished: &Value) -> Value {
    loop {
        let offset = check_ready(&ready);
        if offset == file.len() {
            socket.json(finished).await;
            let close = socket.signal().await;
            assert_eq!(close["close"], true, "{close}");
            return close;
        }
        let each = usize::try_from(ready["chunksize"].as_u64().expect("a number")).expect("small");
        let end = file.len().min(offset + each);
        socket.fragments(&file[offset..end], CHROMIUM_FRAME).await;
        let next = socket.signal().await;
        assert_eq!(check_ready(&next), end, "what is acknowledged is stored: {next}");
        ready = next;
    }
}
