//! A proxy before the store, for the program's requests and for those of browsers: it is slow, refuses, breaks off, and
//! loses answers, as the seed has it.
//!
//! One connection carries one request, so that the end of a request is plain. Which fault the n-th request meets goes by the
//! seed and n alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::random::Random;

const BUSY: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It waits before it is passed on.
    Slow(u64),
    /// It is refused for now; the store never sees it.
    Busy,
    /// The connection dies in the middle of its body.
    Cut,
    /// The store has done it, and the answer never arrives.
    LostAnswer,
}

/// How often each fault was injected.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub slow: AtomicU64,
    pub busy: AtomicU64,
    pub cut: AtomicU64,
    pub lost: AtomicU64,
}

/// A running proxy.
pub struct Proxy {
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
    /// Whether it does harm.
    pub is_faulty: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts it before `store`, which is `host:port`.
    pub async fn start(store: &str, random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            address: listener.local_addr().expect("its address"),
            counts: Arc::default(),
            is_faulty: Arc::new(AtomicBool::new(false)),
        };
        let (counts, is_faulty, store) = (proxy.counts.clone(), proxy.is_faulty.clone(), store.to_owned());
        tokio::spawn(async move {
            loop {
                let Ok((browser, _)) = listener.accept().await else {
                    continue;
                };
                let (counts, is_faulty) = (counts.clone(), is_faulty.clone());
                let (store, random) = (store.clone(), random.clone());
                tokio::spawn(async move {
                    // Whoever hangs up ends it; nobody is told.
                    let _ = serve(browser, &store, &counts, &is_faulty, &random).await;
                });
            }
        });
        proxy
    }
}

impl Fault {
    fn of(random: &Random, request: u64, counts: &Counts) -> Self {
        let mut chance = random.fork(request);
        let (fault, count) = match chance.below(100) {
            0..=5 => (Self::Slow(20 + chance.below(400)), &counts.slow),
            6..=8 => (Self::Busy, &counts.busy),
            9..=11 => (Self::Cut, &counts.cut),
            12..=14 => (Self::LostAnswer, &counts.lost),
            _ => return Self::None,
        };
        count.fetch_add(1, Ordering::Relaxed);
        fault
    }
}

async fn serve(
    mut browser: TcpStream,
    store: &str,
    counts: &Counts,
    is_faulty: &AtomicBool,
    random: &Random,
) -> std::io::Result<()> {
    browser.set_nodelay(true)?;
    let Some((head, ahead)) = read_head(&mut browser).await? else {
        return Ok(());
    };
    let number = counts.requests.fetch_add(1, Ordering::Relaxed);
    let fault = if is_faulty.load(Ordering::Relaxed) {
        Fault::of(random, number, counts)
    } else {
        Fault::None
    };
    if let Fault::Slow(ms) = fault {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let length = content_length(&head);
    if fault == Fault::Busy {
        discard(&mut browser, length - ahead.len() as u64).await?;
        let size = BUSY.len();
        let answer = format!(
            "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: {size}\r\n\
             connection: close\r\n\r\n{BUSY}"
        );
        browser.write_all(answer.as_bytes()).await?;
        return browser.shutdown().await;
    }
    let mut upstream = TcpStream::connect(store).await?;
    upstream.set_nodelay(true)?;
    upstream.write_all(closing(&head).as_bytes()).await?;
    upstream.write_all(&ahead).await?;
    let rest = length - ahead.len() as u64;
    if fault == Fault::Cut {
        pass(&mut browser, &mut upstream, rest / 2).await?;
        upstream.set_zero_linger()?;
        return browser.set_zero_linger();
    }
    // A store that refuses by the head alone takes no body; its answer counts all the same.
    let _ = pass(&mut browser, &mut upstream, rest).await;
    if fault == Fault::LostAnswer {
        discard(&mut upstream, u64::MAX).await?;
        return browser.set_zero_linger();
    }
    tokio::io::copy(&mut upstream, &mut browser).await?;
    browser.shutdown().await
}

/// The head of a request with its last empty line, and what was read beyond; `None` where none came.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut buffer = Vec::with_capacity(8 << 10);
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let ahead = buffer.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&buffer).into_owned(), ahead)));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &str) -> u64 {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|(_, value)| value.trim().parse().ok());
    assert!(
        length.is_some() || !head.to_ascii_lowercase().contains("\r\ntransfer-encoding:"),
        "S3 wants a length: {head}"
    );
    length.unwrap_or(0)
}

/// The same head, asking for the connection to end after the answer.
fn closing(head: &str) -> String {
    let kept = head.trim_end().lines().filter(|line| {
        !line
            .split_once(':')
            .is_some_and(|(name, _)| name.eq_ignore_ascii_case("connection"))
    });
    let lines: Vec<&str> = kept.chain(["connection: close"]).collect();
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

async fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: u64) -> std::io::Result<()> {
    let passed = tokio::io::copy(&mut from.take(bytes), to).await?;
    if passed < bytes {
        // Whoever sends has gone: the other side must not take it for the end of the body.
        to.set_zero_linger()?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

async fn discard(from: &mut TcpStream, most: u64) -> std::io::Result<()> {
    tokio::io::copy(&mut from.take(most), &mut tokio::io::sink()).await?;
    Ok(())
}
