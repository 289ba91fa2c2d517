//! One file on its way, and what its client was told of it: the test holds the program to that.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::KEY;
use super::crew::Crew;
use super::random::Random;

/// After this long an upload is given up for stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// What clients saw, all together.
#[derive(Debug, Default)]
pub struct Ledger {
    acknowledgements: AtomicU64,
    is_over: AtomicBool,
    /// Requests that were made again because of an answer, or for want of one.
    pub retries: AtomicU64,
    /// Bytes of files in requests, whatever became of them.
    pub sent: AtomicU64,
    /// Bytes that were sent again although they had been acknowledged.
    pub needless: AtomicU64,
}

impl Ledger {
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledgements.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How an upload ends for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told that the file is there.
    Complete,
    /// It went away in the middle, and does not come back.
    Left,
}

/// What a door's client gives: an end, or what it holds against the program.
pub type Outcome = Result<End, String>;

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|_| format!("no JSON: {}", self.outcome()))
    }

    /// A field of its head.
    pub fn field(&self, name: &str) -> Result<String, String> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("no {name}: {}", self.outcome()))
    }

    pub fn number(&self, name: &str) -> Result<usize, String> {
        let value = self.field(name)?;
        value.parse().map_err(|_| format!("{name} is {value:?}"))
    }

    /// For a message.
    pub fn outcome(&self) -> String {
        format!("{} {:.300}", self.status, self.text())
    }

    /// The answer, if it has one of these statuses.
    pub fn expect(self, statuses: &[u16], what: &str) -> Result<Self, String> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        Err(format!("{what}: {}", self.outcome()))
    }

    /// The texts of all elements of that name.
    pub fn tags(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let rest = text.split(&open).skip(1);
        rest.filter_map(|rest| Some(rest.split_once(&close)?.0.replace("&quot;", "\"")))
            .collect()
    }

    /// The numbers, tags and sizes of the parts in a list of the store's.
    pub fn parts(&self) -> Vec<(usize, String, usize)> {
        let numbers = self.tags("PartNumber");
        let (tags, sizes) = (self.tags("ETag"), self.tags("Size"));
        let all = numbers.iter().zip(tags).zip(sizes);
        all.filter_map(|((number, tag), size)| Some((number.parse().ok()?, tag, size.parse().ok()?)))
            .collect()
    }
}

/// One file, and its client.
pub struct Job {
    pub name: String,
    pub bytes: Arc<Vec<u8>>,
    pub random: Random,
    pub ledger: Arc<Ledger>,
    /// Where the store is reached: the proxy.
    pub store: String,
    crew: Arc<Crew>,
    http: Client,
    deadline: Instant,
    /// It goes away once it has been told of so many parts or requests.
    leaves_after: Option<usize>,
    told: usize,
    parts: BTreeSet<usize>,
    offset: usize,
    /// What came back last, for the message where it goes on for too long.
    last: Mutex<String>,
}

impl Job {
    pub fn new(name: String, bytes: Vec<u8>, mut random: Random, around: &super::Around) -> Self {
        let leaves_after = random.percent(6).then(|| 1 + usize::from(random.percent(50)));
        Self {
            name,
            bytes: Arc::new(bytes),
            random,
            ledger: around.ledger.clone(),
            store: around.store.clone(),
            crew: around.crew.clone(),
            http: around.http.clone(),
            deadline: Instant::now() + PATIENCE,
            leaves_after,
            told: 0,
            parts: BTreeSet::new(),
            offset: 0,
            last: Mutex::default(),
        }
    }

    /// From now on it must get on.
    pub fn starts(&mut self) {
        self.deadline = Instant::now() + PATIENCE;
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of part `number`, from 1, of parts of `size`.
    pub fn part(&self, number: usize, size: usize) -> Vec<u8> {
        self.bytes[(number - 1) * size..self.len().min(number * size)].to_vec()
    }

    /// Whether this is where its client goes away.
    pub fn leaves(&self) -> bool {
        self.leaves_after.is_some_and(|after| self.told >= after)
    }

    /// One of the two instances' addresses.
    pub fn instance(&mut self) -> String {
        let instance = usize::from(self.random.percent(50));
        self.crew.address(instance)
    }

    /// Waits a little before another try; fails once that has gone on for too long.
    pub async fn again(&mut self, why: &str) -> Result<(), String> {
        self.ledger.retries.fetch_add(1, Ordering::Relaxed);
        if Instant::now() > self.deadline {
            let last = self.last.lock().expect("no panic");
            let offset = self.offset;
            return Err(format!("stuck at {offset}: {why}; last: {last}"));
        }
        tokio::time::sleep(Duration::from_millis(20 + self.random.below(120))).await;
        Ok(())
    }

    /// A request to one of the instances, once; `None` where no answer came.
    pub async fn once(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<Reply> {
        let url = format!("{}{path}", self.instance());
        self.send(
            method,
            &url,
            &[fields, &[("x-api-key", KEY)]].concat(),
            body.into(),
        )
        .await
    }

    /// The same until there is an answer that says more than "try again".
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        loop {
            match self.once(method, path, fields, body.clone()).await {
                Some(reply) if !is_for_now(&reply) => return Ok(reply),
                Some(reply) => {
                    self.again(&format!("{method} {path}: {}", reply.outcome()))
                        .await?;
                }
                None => self.again(&format!("{method} {path}: no answer")).await?,
            }
        }
    }

    /// The same with JSON both ways.
    pub async fn ask_json(&mut self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        let fields = [("content-type", "application/json")];
        self.ask(method, path, &fields, body.to_string().into_bytes())
            .await
    }

    /// Any request, once.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        fields: &[(&str, &str)],
        body: reqwest::Body,
    ) -> Option<Reply> {
        let mut request = self
            .http
            .request(method.parse().expect("a method"), url)
            .body(body);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let reply = match request.send().await {
            Ok(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                let body = answer.bytes().await;
                body.map(|body| Reply {
                    status,
                    headers,
                    body: body.to_vec(),
                })
            }
            Err(error) => Err(error),
        };
        *self.last.lock().expect("no panic") = match &reply {
            Ok(reply) => format!("{method} {url:.60}: {}", reply.outcome()),
            Err(error) => format!("{method} {url:.60}: {error:?}"),
        };
        reply.ok()
    }

    /// Notes that bytes of the file are being sent.
    pub fn sends(&self, bytes: usize) {
        self.ledger.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that part `number` is being sent.
    pub fn sends_part(&self, number: usize, bytes: usize) {
        self.sends(bytes);
        if self.parts.contains(&number) {
            self.ledger.needless.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn is_told(&mut self) {
        self.told += 1;
        self.ledger.acknowledgements.fetch_add(1, Ordering::Relaxed);
    }

    /// Part `number` was acknowledged.
    pub fn has_part(&mut self, number: usize) {
        self.parts.insert(number);
        self.is_told();
    }

    /// All that was acknowledged must be among what is there.
    pub fn check_parts(&self, there: &BTreeSet<usize>) -> Result<(), String> {
        let lost: Vec<_> = self.parts.difference(there).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!(
            "parts {lost:?} were acknowledged, and are not among {there:?}"
        ))
    }

    /// Where the upload stands by the program's word; that must never go back.
    pub fn stands_at(&mut self, offset: usize) -> Result<(), String> {
        if offset < self.offset {
            return Err(format!(
                "{} bytes were acknowledged, and now it is {offset}",
                self.offset
            ));
        }
        if offset > self.offset {
            self.is_told();
        }
        self.offset = offset;
        Ok(())
    }

    /// Where it stands by what was told so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What a request brings next: often all that is left, sometimes less.
    pub fn next_piece(&mut self, offset: usize) -> Vec<u8> {
        let left = self.len() - offset;
        let take = if left < 2 || self.random.percent(40) {
            left
        } else {
            1 + usize::try_from(self.random.below(left as u64 - 1)).expect("it fits")
        };
        self.sends(take);
        self.bytes[offset..offset + take].to_vec()
    }
}

/// Whether an answer only says that the same should be asked again.
pub fn is_for_now(reply: &Reply) -> bool {
    matches!(reply.status, 423 | 429 | 502 | 503 | 504)
}

/// A body that comes in pieces with pauses between them, so that faults meet it on the way.
pub fn dripping(bytes: &[u8]) -> reqwest::Body {
    const PIECE: usize = 32 << 10;
    let pieces: Vec<Vec<u8>> = bytes.chunks(PIECE).map(<[u8]>::to_vec).collect();
    let stream = futures_util::stream::unfold(pieces.into_iter(), async |mut pieces| {
        let piece = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(3)).await;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    reqwest::Body::wrap_stream(stream)
}
