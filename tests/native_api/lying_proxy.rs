//! A proxy that changes the bytes of bodies on their way, as its plan for an upload says.
//!
//! Separate from the test, which judges by what comes out at the end: here is only what can happen on a line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// One bit turns over: which, modulo the body's.
    Flip(usize),
    /// Two bytes change places.
    Swap(usize, usize),
    /// The body is that of the part before it, as far as that was seen.
    OtherPart,
    /// Bytes are lost in the middle, and zeros fill the end.
    Hole(usize, usize),
    /// The end is lost, and the request says so.
    Shorter(usize),
    /// The end is lost, and the connection with it.
    Broken(usize),
    /// One bit turns over, and the header that would tell is gone.
    FlipUntold(usize),
}

/// The lies about one part, one for each time that it comes.
type Lies = Vec<Lie>;

#[derive(Debug, Default)]
struct Plan {
    lies: HashMap<u64, Lies>,
    seen: Vec<Vec<u8>>,
    told: usize,
}

/// The proxy; it ends with the test's runtime.
#[derive(Clone)]
pub struct LyingProxy {
    /// Its own address, such as `http://127.0.0.1:1`.
    pub url: String,
    target: Arc<OnceLock<String>>,
    plans: Arc<Mutex<HashMap<String, Plan>>>,
    /// How many of the next bodies of two bytes and more have one bit turned over, whatever upload they are of.
    spoilt: Arc<AtomicUsize>,
}

impl LyingProxy {
    /// A proxy that has no target yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().expect("its address")),
            target: Arc::default(),
            plans: Arc::default(),
            spoilt: Arc::default(),
        };
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = shared.clone();
                tokio::spawn(async move {
                    // A client that goes away is no matter of ours.
                    let _ = proxy.serve(stream).await;
                });
            }
        });
        proxy
    }

    /// Where everything goes to.
    pub fn lead_to(&self, url: &str) {
        let host = url.trim_start_matches("http://").to_owned();
        self.target.set(host).expect("one target");
    }

    /// Spoils so many of the bodies that come next.
    pub fn spoil(&self, bodies: usize) {
        self.spoilt.store(bodies, Ordering::SeqCst);
    }

    /// Whether this body is to be spoilt.
    fn spoils(&self, line: &str, body: &[u8]) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        line.starts_with("PUT ")
            && body.len() > 1
            && self
                .spoilt
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_ok()
    }

    /// What happens to parts of the upload with this id.
    pub fn lie(&self, id: &str, lies: impl IntoIterator<Item = (u64, Lies)>) {
        let plan = Plan {
            lies: lies.into_iter().collect(),
            ..Plan::default()
        };
        self.plans().insert(id.to_owned(), plan);
    }

    /// How many bodies of this upload were changed; its plan is forgotten.
    pub fn told(&self, id: &str) -> usize {
        self.plans().remove(id).map_or(0, |plan| plan.told)
    }

    fn plans(&self) -> std::sync::MutexGuard<'_, HashMap<String, Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (head, body) = read_request(&mut client).await?;
        let changed = self.changed(&head, &body);
        let target = self.target.get().expect("it leads somewhere");
        let mut server = TcpStream::connect(target).await?;
        server.write_all(&changed.request).await?;
        if changed.is_broken {
            server.shutdown().await?;
        }
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        client.write_all(&answer).await?;
        client.shutdown().await
    }

    fn changed(&self, head: &str, body: &[u8]) -> Changed {
        let line = head.lines().next().unwrap_or_default();
        let mut lie = None;
        if let Some(number) = line.strip_prefix("PUT ").and_then(part_number) {
            let mut plans = self.plans();
            let plan = plans.iter_mut().find(|(id, _)| line.contains(id.as_str()));
            if let Some((_, plan)) = plan {
                let next = plan.lies.get_mut(&number).and_then(Vec::pop);
                lie = next.map(|next| (next, plan.seen.last().cloned()));
                plan.told += usize::from(lie.is_some());
                plan.seen.push(body.to_vec());
            }
        }
        if lie.is_none() && self.spoils(line, body) {
            lie = Some((Lie::Flip(body.len() * 4), None));
        }
        let (lie, before) = lie.unzip();
        let mut sent = body.to_vec();
        if let Some(lie) = lie {
            change(&mut sent, lie, before.flatten());
        }
        let is_broken = matches!(lie, Some(Lie::Broken(_)));
        let length = if is_broken { body.len() } else { sent.len() };
        let is_untold = matches!(lie, Some(Lie::FlipUntold(_)));
        let mut request = rewritten(head, length, is_untold).into_bytes();
        request.extend(sent);
        Changed { request, is_broken }
    }
}

struct Changed {
    request: Vec<u8>,
    is_broken: bool,
}

/// Changes a body, which has at least two bytes, to another.
fn change(body: &mut Vec<u8>, lie: Lie, before: Option<Vec<u8>>) {
    let (length, honest) = (body.len(), body.clone());
    match lie {
        Lie::Flip(bit) | Lie::FlipUntold(bit) => body[bit / 8 % length] ^= 1 << (bit % 8),
        Lie::Swap(one, other) => body.swap(one % length, other % length),
        Lie::OtherPart => {
            if let Some(before) = before.filter(|before| before.len() == length) {
                *body = before;
            }
        }
        Lie::Hole(start, count) => {
            let start = start % length;
            let count = 1 + count % (length - start);
            body.drain(start..start + count);
            body.resize(length, 0);
        }
        Lie::Shorter(by) | Lie::Broken(by) => body.truncate(length - 1 - by % (length - 1)),
    }
    if *body == honest {
        // Nothing was changed: the bytes were alike.
        body[0] ^= 1;
    }
}

/// The number of the part that a request is about: in the query of S3, or in a path of ours.
fn part_number(target: &str) -> Option<u64> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let query = target
        .split_once("partNumber=")
        .and_then(|(_, rest)| digits(rest));
    query.or_else(|| digits(target.split_once("/parts/")?.1))
}

/// A request's head for a connection of its own.
fn rewritten(head: &str, length: usize, without_checksum: bool) -> String {
    let mut lines = head.trim_end().split("\r\n");
    let mut text = format!("{}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_ours = name == "connection" || name == "content-length";
        let is_sum = name.starts_with("x-amz-checksum-") || name == "content-md5";
        if !(is_ours || without_checksum && is_sum) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    if length > 0 || head.starts_with("PUT") || head.starts_with("POST") {
        let _ = write!(text, "Content-Length: {length}\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

async fn read_request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = request.split_off(head);
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let missing = length.unwrap_or(0).saturating_sub(body.len());
    let mut rest = vec![0; missing];
    client.read_exact(&mut rest).await?;
    body.extend(rest);
    Ok((head, body))
}
