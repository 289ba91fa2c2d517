//! Requests to the server and to the store: one connection pool, one way to try again, one reading of answers.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::source::Slice;
use super::trouble::{Kind, Trouble, kind_of};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest wait that anybody may ask us for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// A server that has never answered is more likely a wrong address than one that is away.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// How long the server may take to answer a call.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// Joining ten thousand parts may take the store minutes.
const JOIN_WITHIN: Duration = Duration::from_mins(5);
/// A body that does not move for so long is sent again.
const STALL_AFTER: Duration = Duration::from_mins(1);

/// The server and the store, as one file's upload sees them.
#[derive(Debug)]
pub struct Remote {
    http: reqwest::Client,
    key: String,
    patience: Duration,
    has_answered: AtomicBool,
}

/// An answer of the native API.
#[derive(Debug)]
pub struct Answer {
    /// Its JSON; `null` where there is none.
    pub body: Value,
    /// The server's clock.
    pub date: Option<chrono::DateTime<chrono::Utc>>,
    /// When it was asked for.
    pub asked_at: Instant,
}

impl Remote {
    /// `patience` is how long one request may go on failing.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(key: String, patience: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("muleteer-upload/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            // The key must not follow to wherever an answer points, and a body that is a stream cannot.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            key,
            patience,
            has_answered: AtomicBool::new(false),
        })
    }

    /// One call of the native API, again and again until it is answered.
    ///
    /// # Errors
    /// A refusal, or no success for longer than our patience.
    pub async fn call(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
        told: &impl Told,
    ) -> Result<Answer, Trouble> {
        self.persist(told, || self.call_once(method, url, body, ANSWER_WITHIN))
            .await
    }

    /// As [`Remote::call`], for what takes long.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub async fn join(&self, url: &str, told: &impl Told) -> Result<Answer, Trouble> {
        self.persist(told, || self.call_once(&Method::POST, url, None, JOIN_WITHIN))
            .await
    }

    /// One try of a call.
    ///
    /// # Errors
    /// Any answer that is no success, and none in time.
    pub async fn call_once(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, Trouble> {
        let asked_at = Instant::now();
        let mut request = self.with_key(method.clone(), url).timeout(within);
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let answer = self.checked(request.send().await).await?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        let no_json = |why: String| {
            let message =
                format!("the answer of the server cannot be read ({why}); is this address Muleteer's?");
            Trouble::new(Kind::Passing, "bad-answer", message)
        };
        let text = answer
            .bytes()
            .await
            .map_err(|error| Trouble::unreachable("the server", &error))?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&text).map_err(|error| no_json(error.to_string()))?
        };
        Ok(Answer {
            body,
            date: date.map(|date| date.to_utc()),
            asked_at,
        })
    }

    /// A request to our server in the name of the key.
    pub fn with_key(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url).header("X-API-Key", &self.key)
    }

    /// A request to a signed address: our key is none of the store's business.
    pub fn without_key(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request of our server's that has no JSON.
    ///
    /// # Errors
    /// Any answer that is no success, and none in time.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        self.checked(request.timeout(ANSWER_WITHIN).send().await).await
    }

    /// Sends a stretch of the file to our server; `moved` hears now and then how much has left.
    ///
    /// # Errors
    /// As [`Remote::send`], the file's own trouble, and a body that stands still.
    pub async fn send_slice(
        &self,
        request: RequestBuilder,
        slice: &Slice,
        moved: impl FnMut(u64),
    ) -> Result<Response, Trouble> {
        let answer = put_slice(request, slice, "the server", moved).await?;
        self.checked(Ok(answer)).await
    }

    async fn checked(&self, answer: Result<Response, reqwest::Error>) -> Result<Response, Trouble> {
        let answer = answer.map_err(|error| Trouble::unreachable("the server", &error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let target = answer
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok())
            .map(str::to_owned);
        let text = answer.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
        Err(Trouble {
            retry_after,
            status: Some(status.as_u16()),
            ..refusal(status, target.as_deref(), &problem)
        })
    }

    /// Repeats `task` until it succeeds, fails for good, or has failed for longer than our patience.
    ///
    /// # Errors
    /// The last failure.
    pub async fn persist<T, F>(&self, told: &impl Told, mut task: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut failures = 0;
        let mut failing_since = None;
        loop {
            let trouble = match task().await {
                Ok(done) => return Ok(done),
                Err(trouble) if trouble.kind != Kind::Passing => return Err(trouble),
                Err(trouble) => trouble,
            };
            let since = *failing_since.get_or_insert_with(Instant::now);
            let patience = if self.has_answered.load(Ordering::Relaxed) {
                self.patience
            } else {
                self.patience.min(FIRST_PATIENCE)
            };
            if since.elapsed() >= patience {
                return Err(Trouble {
                    kind: Kind::Final,
                    ..trouble
                });
            }
            failures += 1;
            let pause = pause_after(failures, trouble.retry_after).min(patience);
            told.waiting(&trouble, pause);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whoever hears that something is tried again.
pub trait Told {
    /// `trouble` came, and after `pause` comes the next try.
    fn waiting(&self, trouble: &Trouble, pause: Duration);
}

/// Puts a stretch of the file; what came back, whatever it says.
///
/// # Errors
/// No answer, the file's own trouble, and a body that stands still.
pub async fn put_slice(
    request: RequestBuilder,
    slice: &Slice,
    peer: &str,
    mut moved: impl FnMut(u64),
) -> Result<Response, Trouble> {
    const LOOK_EVERY: Duration = Duration::from_millis(200);
    let body = if slice.length() == 0 {
        Body::from(Vec::new())
    } else {
        Body::wrap_stream(slice.stream())
    };
    let sending = request.header(CONTENT_LENGTH, slice.length()).body(body).send();
    let mut sending = std::pin::pin!(sending);
    let (mut read, mut moved_at) = (0, Instant::now());
    loop {
        let ended = tokio::time::timeout(LOOK_EVERY, &mut sending).await;
        if slice.read() != read {
            (read, moved_at) = (slice.read(), Instant::now());
            moved(read);
        }
        match ended {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                slice.ensure_read()?;
                return Err(Trouble::unreachable(peer, &error));
            }
            // The other side may take its time over an answer once it has everything.
            Err(_)
                if moved_at.elapsed()
                    > if read == slice.length() {
                        JOIN_WITHIN
                    } else {
                        STALL_AFTER
                    } =>
            {
                let message = format!("{peer} has taken nothing for {} s", moved_at.elapsed().as_secs());
                return Err(Trouble::new(Kind::Passing, "stalled", message));
            }
            Err(_) => {}
        }
    }
}

/// What the server has against a request, in its own words where it has any.
fn refusal(status: StatusCode, target: Option<&str>, problem: &Value) -> Trouble {
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    if status.is_redirection() {
        let to = target.unwrap_or("somewhere else");
        let message = format!("the server sends us to {to}: give --server the address that it really has");
        return Trouble::new(Kind::Final, "redirected", message);
    }
    let code = text("type").and_then(|kind| kind.rsplit('/').next().map(str::to_owned));
    let mut message = text("detail")
        .or_else(|| text("title"))
        .unwrap_or_else(|| format!("the server answers {status}"));
    let fields = problem["errors"].as_array().into_iter().flatten();
    for field in fields {
        let (name, detail) = (field["field"].as_str(), field["detail"].as_str());
        let _ = write!(
            message,
            " ({}: {})",
            name.unwrap_or_default(),
            detail.unwrap_or_default()
        );
    }
    if code.is_none() && status == StatusCode::NOT_FOUND {
        message += "; is this address Muleteer's?";
    }
    let kind = match code.as_deref() {
        // The connection broke, and its answer came through all the same; or the bytes were changed on their way.
        Some("interrupted" | "checksum-mismatch") => Kind::Passing,
        _ => kind_of(status.as_u16()),
    };
    let defects = problem["defects"].as_array().into_iter().flatten();
    Trouble {
        missing: defects.filter_map(|defect| defect["number"].as_u64()).collect(),
        ..Trouble::new(
            kind,
            &code.unwrap_or_else(|| format!("http-{}", status.as_u16())),
            message,
        )
    }
}

/// Seconds, or a date; nothing where it is neither.
pub fn retry_after(headers: &HeaderMap) -> Duration {
    let Some(text) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else {
        return Duration::ZERO;
    };
    if let Ok(seconds) = text.trim().parse() {
        return Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER);
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok();
    date.and_then(|date| (date.to_utc() - chrono::Utc::now()).to_std().ok())
        .unwrap_or_default()
        .min(LONGEST_RETRY_AFTER)
}

/// Anything between nothing and a growing bound, so that many who were cut off at once do not come back at once. What the
/// other side asked for comes on top.
fn pause_after(failures: u32, retry_after: Duration) -> Duration {
    let bound = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(failures.min(16) - 1));
    let chance = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff).unwrap_or_default();
    retry_after + bound * chance / 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_come_on_top_of_what_was_asked_for() {
        for failures in [1, 2, 10, 1000] {
            let pause = pause_after(failures, Duration::from_secs(3));
            assert!(
                pause >= Duration::from_secs(3) && pause <= Duration::from_secs(18),
                "{pause:?}"
            );
        }
        assert!(pause_after(1, Duration::ZERO) <= FIRST_PAUSE);
    }

    #[test]
    fn nobody_can_make_us_wait_for_ever() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "18446744073709551615".parse().unwrap());

        assert_eq!(pause_after(1, retry_after(&headers)).as_secs() / 3600, 1);
    }

    #[test]
    fn what_the_server_says_is_told_with_its_fields() {
        let problem = serde_json::json!({
            "type": "/problems/invalid-request", "detail": "no", "errors": [{"field": "size", "detail": "too much"}],
        });
        let trouble = refusal(StatusCode::BAD_REQUEST, None, &problem);
        assert_eq!(
            (trouble.code.as_str(), trouble.kind),
            ("invalid-request", Kind::Refused)
        );
        assert_eq!(trouble.message, "no (size: too much)");
    }
}
