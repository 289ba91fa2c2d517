//! A receiver of webhooks on a loopback socket: it writes down what comes, and answers as the test says.
//!
//! Separate from the tests, so that they read as what somebody does and what arrives.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How one delivery is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// With this status, after a while.
    Late(u16, Duration),
    /// With this status and this JSON.
    Json(u16, String),
    /// With 200 and this JSON, after a while.
    LateJson(Duration, String),
    /// With a redirect to this address.
    Redirect(String),
    /// With a status and then a body that has no end.
    Endless(u16),
    /// Never; the connection stays open.
    Silence,
    /// The connection is closed.
    HangUp,
}

/// One delivery as it came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The request's first line.
    pub line: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

#[derive(Default)]
struct Book {
    seen: Vec<Delivery>,
    answers: VecDeque<Answer>,
    otherwise: Option<Answer>,
}

/// A receiver; it ends with the test's runtime.
pub struct Receiver {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    /// One on a free port of 127.0.0.1, which takes everything.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// One at this address.
    pub async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, book }
    }

    /// Answers the next deliveries so, and takes those that follow.
    pub async fn answering(answers: &[Answer]) -> Self {
        let receiver = Self::start().await;
        receiver.next_answers(answers);
        receiver
    }

    /// Answers the next deliveries so.
    pub fn next_answers(&self, answers: &[Answer]) {
        lock(&self.book).answers.extend(answers.iter().cloned());
    }

    /// Answers all others so.
    pub fn always(&self, answer: Answer) {
        lock(&self.book).otherwise = Some(answer);
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?from=muleteer", self.address)
    }

    pub fn seen(&self) -> Vec<Delivery> {
        lock(&self.book).seen.clone()
    }

    /// Begins a new list of what comes.
    pub fn forget(&self) {
        lock(&self.book).seen.clear();
    }

    /// Waits until so many deliveries have come, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let began = Instant::now();
        loop {
            let seen = self.seen();
            if seen.len() >= count {
                return seen;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{} of {count} came",
                seen.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An address on loopback where nobody listens just now.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address")
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    let Some(delivery) = read(&mut stream).await else {
        return;
    };
    let answer = {
        let mut book = lock(&book);
        book.seen.push(delivery);
        let next = book.answers.pop_front().or_else(|| book.otherwise.clone());
        next.unwrap_or(Answer::Status(200))
    };
    let head = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} Scripted\r\n{more}Content-Length: 2\r\nConnection: close\r\n\r\nok")
    };
    let with_json = |status: u16, body: &str| {
        let length = body.len();
        let more = "Content-Type: application/json\r\nConnection: close";
        format!("HTTP/1.1 {status} Scripted\r\n{more}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let text = match answer {
        Answer::Status(status) => head(status, ""),
        Answer::Late(status, wait) => {
            tokio::time::sleep(wait).await;
            head(status, "")
        }
        Answer::Json(status, body) => with_json(status, &body),
        Answer::LateJson(wait, body) => {
            tokio::time::sleep(wait).await;
            with_json(200, &body)
        }
        Answer::Redirect(to) => head(307, &format!("Location: {to}\r\n")),
        Answer::HangUp => return,
        Answer::Silence => return std::future::pending().await,
        Answer::Endless(status) => {
            let head = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n\r\n");
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 4096]).await;
            }
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Delivery> {
    let mut request = Vec::new();
    let head = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&piece[..read]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse::<usize>().ok())?;
    let mut body = request.split_off(head);
    let mut rest = vec![0; length.saturating_sub(body.len())];
    stream.read_exact(&mut rest).await.ok()?;
    body.extend(rest);
    Some(Delivery {
        line,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
