//! What a browser does around the script: a cookie for its own site, the rules of cross-origin reading, and a record
//! of every request. A test may meddle with any of them before it leaves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderValue};

/// What a test does to a request that is about to leave.
pub enum Meddling {
    /// Nothing.
    None,
    /// It never leaves; this status comes back with an empty body.
    Answer(u16),
    /// It never leaves, and the connection breaks.
    Break,
    /// This happens first.
    After(BoxFuture<'static, ()>),
    /// The page is closed: neither this nor anything later leaves.
    Close,
}

/// A request as the record keeps it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// An action of the backend, or `initiate`, `part`, `list`, `complete`, `exists` of the store.
    pub what: &'static str,
    /// The part that it is about, if it is about one.
    pub part: Option<u64>,
    /// The whole address.
    pub url: String,
    /// The status that came back; 0 where none did.
    pub status: u16,
    /// The answer's body as text.
    pub text: String,
}

/// Why no answer can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The connection broke, or the answer is not for this page's eyes: an `error` event, without any reason.
    Network,
    /// The page is no more.
    Closed,
}

/// A request of the script.
pub struct Outgoing {
    pub what: &'static str,
    pub part: Option<u64>,
    pub method: &'static str,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

type Meddler = Box<dyn FnMut(&Outgoing) -> Meddling + Send>;

/// One person's browser with one page open.
pub struct Browser {
    /// The page's own site where it is not the backend's.
    origin: Option<&'static str>,
    http: reqwest::Client,
    cookie: Mutex<Option<String>>,
    record: Mutex<Vec<Seen>>,
    meddler: Mutex<Meddler>,
    closed: AtomicBool,
}

impl Browser {
    /// A browser whose page comes from the backend itself.
    pub fn same_origin() -> Self {
        Self::new(None)
    }

    /// A browser whose page comes from somewhere else.
    pub fn on_page_of(origin: &'static str) -> Self {
        Self::new(Some(origin))
    }

    fn new(origin: Option<&'static str>) -> Self {
        Self {
            origin,
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("an HTTP client"),
            cookie: Mutex::new(None),
            record: Mutex::default(),
            meddler: Mutex::new(Box::new(|_| Meddling::None)),
            closed: AtomicBool::new(false),
        }
    }

    /// Opens the page again: the record begins anew, nobody meddles, the cookie stays.
    pub fn refresh(&self) {
        self.record.lock().expect("no thread has panicked").clear();
        self.meddle(|_| Meddling::None);
        self.closed.store(false, Ordering::SeqCst);
    }

    /// From now on this is asked before each request.
    pub fn meddle(&self, meddler: impl FnMut(&Outgoing) -> Meddling + Send + 'static) {
        *self.meddler.lock().expect("no thread has panicked") = Box::new(meddler);
    }

    /// All requests of that kind so far.
    pub fn seen(&self, what: &str) -> Vec<Seen> {
        let record = self.record.lock().expect("no thread has panicked");
        record.iter().filter(|seen| seen.what == what).cloned().collect()
    }

    /// The numbers of the parts that the store took, in the order in which it did.
    pub fn parts_taken(&self) -> Vec<u64> {
        let parts = self.seen("part").into_iter();
        parts
            .filter(|seen| seen.status == 200)
            .filter_map(|seen| seen.part)
            .collect()
    }

    /// Sends a request to the backend: cookies go to one's own site alone, and another's answers are hidden
    /// unless they say that this page may read them.
    pub async fn ask_backend(&self, mut out: Outgoing) -> Result<(u16, String), Lost> {
        if let Some(origin) = self.origin {
            out.headers.insert("origin", HeaderValue::from_static(origin));
            out.headers
                .insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        } else {
            out.headers
                .insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
            if let Some(cookie) = &*self.cookie.lock().expect("no thread has panicked") {
                out.headers.insert("cookie", cookie.parse().expect("a cookie"));
            }
        }
        let (status, headers, text) = self.send(out).await?;
        if let Some(origin) = self.origin {
            let allowed = headers.get("access-control-allow-origin");
            if !allowed.is_some_and(|value| value == "*" || value == origin) {
                return Err(Lost::Network);
            }
        } else if let Some(cookie) = headers.get("set-cookie").and_then(|value| value.to_str().ok()) {
            let pair = cookie.split(';').next().unwrap_or_default();
            *self.cookie.lock().expect("no thread has panicked") = Some(pair.to_owned());
        }
        Ok((status, text))
    }

    /// Sends a request to the store, whose rules for other sites are tested in a real browser.
    pub async fn ask_store(&self, out: Outgoing) -> Result<(u16, String), Lost> {
        let (status, _, text) = self.send(out).await?;
        Ok((status, text))
    }

    async fn send(&self, out: Outgoing) -> Result<(u16, HeaderMap, String), Lost> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Lost::Closed);
        }
        let meddling = (self.meddler.lock().expect("no thread has panicked"))(&out);
        let (what, part, url) = (out.what, out.part, out.url.clone());
        let outcome = match meddling {
            Meddling::None => self.really_send(out).await,
            Meddling::After(work) => {
                work.await;
                self.really_send(out).await
            }
            Meddling::Answer(status) => Ok((status, HeaderMap::new(), String::new())),
            Meddling::Break => Err(Lost::Network),
            Meddling::Close => {
                self.closed.store(true, Ordering::SeqCst);
                return Err(Lost::Closed);
            }
        };
        let (status, text) = outcome
            .as_ref()
            .map_or((0, ""), |(status, _, text)| (*status, text));
        let seen = Seen {
            what,
            part,
            url,
            status,
            text: text.to_owned(),
        };
        self.record.lock().expect("no thread has panicked").push(seen);
        outcome
    }

    async fn really_send(&self, out: Outgoing) -> Result<(u16, HeaderMap, String), Lost> {
        let method = out.method.parse().expect("a method");
        let request = self
            .http
            .request(method, &out.url)
            .headers(out.headers)
            .body(out.body);
        let response = request.send().await.map_err(|_| Lost::Network)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(|_| Lost::Network)?;
        Ok((status, headers, text))
    }
}
