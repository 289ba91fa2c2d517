//! Asking the application who somebody is, by the headers that they sent us.
//!
//! Separate from the tokens, because nothing is verified here: the application is believed, so what counts is that it is
//! asked well. Nobody is known while it does not answer; and however many requests come at once with one credential, it
//! is asked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use super::{Scopes, outside};
use crate::clock::Clock;
use crate::config::{ForwardConfig, is_plain};
use crate::domain::{Bounds, Owner, Principal, read_object};
use crate::error::Error;

/// Most bytes of an answer's body.
const LARGEST: usize = 16 << 10;

/// Most credentials that are remembered; each is a hash and an answer.
const MOST_KNOWN: usize = 10_000;

/// Most questions at once.
const AT_ONCE: usize = 64;

const REFUSED: Error = Error::Forbidden("the application does not let you upload");

/// What the application is told of a request, besides the credentials in it.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The request's method.
    pub method: String,
    /// Its path, without the query, which may hold signatures and tokens.
    pub path: String,
    /// Scheme and host by which we were reached.
    pub origin: Option<String>,
    /// Who asks.
    pub address: Option<String>,
}

/// The headers that a request shows the application, by lower-case name; they come in the order of the settings.
pub type Shown = Vec<(String, Vec<u8>)>;

/// Asks the application.
pub(super) struct Forward {
    http: Client,
    settings: ForwardConfig,
    owner_header: HeaderName,
    clock: Clock,
    questions: Semaphore,
    known: Mutex<HashMap<[u8; 32], Slot>>,
}

/// What is known of one credential; empty while it is asked about.
type Slot = Arc<OnceCell<Answered>>;

struct Answered {
    verdict: Verdict,
    until: DateTime<Utc>,
}

/// What the application says.
#[derive(Clone)]
enum Verdict {
    Known(Box<Principal>),
    /// It does not know them.
    Nobody,
    /// It knows them, and they may not.
    Refused,
    /// It says nothing that can be used.
    Silent(&'static str),
}

/// An answer's body, where it is JSON. A member that is not known may have been a limit.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    owner: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "crate::domain::from_object")]
    bounds: Bounds,
}

impl Forward {
    /// From checked settings; `None` where the application is not asked.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub(super) fn open(settings: &ForwardConfig, clock: &Clock) -> Result<Option<Self>, String> {
        if !settings.is_on() {
            return Ok(None);
        }
        if is_plain(&settings.url) {
            tracing::warn!(
                "auth.forward.url is asked over plain HTTP: cookies of visitors can be read on the way"
            );
        }
        let owner_header = HeaderName::from_bytes(settings.owner_header.as_bytes());
        Ok(Some(Self {
            http: outside::client(Duration::from_secs(settings.timeout_s))
                .map_err(|error| error.to_string())?,
            owner_header: owner_header.map_err(|error| error.to_string())?,
            settings: settings.clone(),
            clock: clock.clone(),
            questions: Semaphore::new(AT_ONCE),
            known: Mutex::default(),
        }))
    }

    /// The names of the headers that a request shows the application.
    pub(super) fn headers(&self) -> &[String] {
        &self.settings.headers
    }

    /// Who the application says that somebody is who sent these headers; `None` for nobody that it knows.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where it refuses them, [`Error::Unavailable`] where it gives no answer that can be used.
    pub(super) async fn ask(
        &self,
        shown: &Shown,
        circumstances: &Circumstances,
    ) -> Result<Option<Principal>, Error> {
        let slot = self.slot(name_of(shown));
        let answered = slot.get_or_init(|| self.question(shown, circumstances)).await;
        match &answered.verdict {
            Verdict::Known(principal) => Ok(Some((**principal).clone())),
            Verdict::Nobody => Ok(None),
            Verdict::Refused => Err(REFUSED),
            Verdict::Silent(reason) => Err(Error::unavailable("the application", *reason)),
        }
    }

    /// What is known of a credential, where that still counts; else a place for what will be.
    fn slot(&self, name: [u8; 32]) -> Slot {
        let now = self.clock.now();
        let counts = |slot: &Slot| slot.get().is_none_or(|answered| answered.until > now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(&name).filter(|slot| counts(slot)) {
            return slot.clone();
        }
        let is_being_asked = |slot: &Slot| slot.get().is_none() && Arc::strong_count(slot) > 1;
        if known.len() >= MOST_KNOWN {
            // A question whose askers have all hung up has no answer, and nobody waits for one.
            known.retain(|_, slot| counts(slot) && (slot.get().is_some() || is_being_asked(slot)));
        }
        if known.len() >= MOST_KNOWN {
            // Whoever is forgotten is asked about again.
            known.retain(|_, slot| is_being_asked(slot));
        }
        let slot = Slot::default();
        if known.len() < MOST_KNOWN {
            known.insert(name, slot.clone());
        }
        slot
    }

    async fn question(&self, shown: &Shown, circumstances: &Circumstances) -> Answered {
        let patience = Duration::from_secs(self.settings.timeout_s);
        let verdict = match tokio::time::timeout(patience, self.verdict(shown, circumstances)).await {
            Ok(verdict) => verdict,
            Err(_) => silent("there was no answer in time"),
        };
        let seconds = match verdict {
            Verdict::Known(_) => self.settings.cache_s,
            Verdict::Nobody | Verdict::Refused => self.settings.refused_cache_s,
            // All who wait have heard it; whoever comes next asks again.
            Verdict::Silent(_) => 0,
        };
        let counts_for = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0));
        Answered {
            verdict,
            until: self.clock.now() + counts_for,
        }
    }

    async fn verdict(&self, shown: &Shown, circumstances: &Circumstances) -> Verdict {
        let Ok(_turn) = self.questions.acquire().await else {
            return silent("it is not asked any more");
        };
        let headers = asked_with(shown, circumstances);
        let answer = match self.http.get(&self.settings.url).headers(headers).send().await {
            Ok(answer) => answer,
            Err(error) => return silent(&outside::explain(&error)),
        };
        match answer.status().as_u16() {
            200..300 => self.read(answer).await.unwrap_or_else(|reason| silent(&reason)),
            401 => Verdict::Nobody,
            403 => Verdict::Refused,
            other => silent(&format!("it answered {other}")),
        }
    }

    /// Reads an answer that knows somebody.
    async fn read(&self, answer: Response) -> Result<Verdict, String> {
        let header = answer.headers().get(&self.owner_header);
        // Read in any other way, two names could become one.
        let header = header.map(|value| std::str::from_utf8(value.as_bytes()).map(str::to_owned));
        let header = header
            .transpose()
            .map_err(|_| format!("its {} is no UTF-8", self.settings.owner_header))?;
        let says_json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            essence == "application/json" || essence.ends_with("+json")
        });
        let body = outside::body(answer, LARGEST).await?;
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let told = if says_json || looks_like_json(body) {
            read_object(body).map_err(|error| format!("its JSON cannot be read: {error}"))?
        } else {
            Told::default()
        };
        let name = header
            .or(told.owner)
            .ok_or_else(|| format!("its answer has neither {} nor owner", self.settings.owner_header))?;
        let in_words = |error: crate::error::FieldError| format!("{}: {}", error.field, error.detail);
        let owner = Owner::of_application(&self.settings.owner_prefix, &name).map_err(in_words)?;
        told.bounds.check().map_err(in_words)?;
        let scopes = match told.scopes {
            None => Scopes {
                upload: true,
                admin: false,
            },
            Some(names) => Scopes {
                upload: names.iter().any(|name| name == "upload"),
                admin: self.settings.admin && names.iter().any(|name| name == "admin"),
            },
        };
        if !scopes.upload && !scopes.admin {
            return Ok(Verdict::Refused);
        }
        let principal = Principal::new(owner, scopes.grant()).within(&told.bounds);
        Ok(Verdict::Known(Box::new(principal)))
    }
}

/// Whether a body is meant for JSON, whatever type it is sent as: limits in it must not be passed over for a missing header.
fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn silent(reason: &str) -> Verdict {
    tracing::warn!(
        reason,
        "the application cannot be asked who somebody is (auth.forward.url)"
    );
    Verdict::Silent("the application gives no answer that can be used")
}

/// The headers of a question.
fn asked_with(shown: &Shown, circumstances: &Circumstances) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &[u8]| {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    };
    for (name, value) in shown {
        add(name, value);
    }
    add("x-forwarded-method", circumstances.method.as_bytes());
    add("x-forwarded-uri", circumstances.path.as_bytes());
    let origin = circumstances
        .origin
        .as_deref()
        .and_then(|origin| origin.split_once("://"));
    if let Some((scheme, host)) = origin {
        add("x-forwarded-proto", scheme.as_bytes());
        add("x-forwarded-host", host.as_bytes());
    }
    if let Some(address) = &circumstances.address {
        add("x-forwarded-for", address.as_bytes());
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

/// What stands for a credential in memory: nothing that could be used for one.
fn name_of(shown: &Shown) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in shown {
        for text in [name.as_bytes(), value] {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(url: &str) -> Forward {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = ForwardConfig {
            url: url.to_owned(),
            ..ForwardConfig::default()
        };
        Forward::open(&settings, &Clock::system()).unwrap().unwrap()
    }

    #[test]
    fn questions_that_nobody_waits_for_take_no_room_from_those_that_are_answered() {
        let forward = asking("http://127.0.0.1:9/");
        let name = |number: usize| -> [u8; 32] { Sha256::digest(number.to_be_bytes()).into() };
        for number in 0..MOST_KNOWN {
            drop(forward.slot(name(number)));
        }

        let slot = forward.slot(name(MOST_KNOWN));

        let again = forward.slot(name(MOST_KNOWN));
        assert!(Arc::ptr_eq(&slot, &again), "it is remembered");
        assert!(forward.known.lock().unwrap().len() <= MOST_KNOWN);
    }

    #[tokio::test]
    async fn a_name_that_is_no_text_is_nobodys() {
        let told = |name: &[u8]| {
            let answer = http::Response::builder().header("x-muleteer-owner", name);
            Response::from(answer.body("").unwrap())
        };
        let forward = asking("http://127.0.0.1:9/");

        let known = forward.read(told("José".as_bytes())).await;

        assert!(matches!(known, Ok(Verdict::Known(_))));
        assert!(forward.read(told(b"Jos\xe9")).await.is_err());
    }

    #[test]
    fn two_credentials_never_have_one_name() {
        let shown = |pairs: &[(&str, &str)]| -> Shown {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect()
        };
        let names = [
            shown(&[("cookie", "a")]),
            shown(&[("cookie", "b")]),
            shown(&[("cooki", "ea")]),
            shown(&[("cookie", "a"), ("authorization", "b")]),
            shown(&[("cookie", "aauthorizationb")]),
            shown(&[("authorization", "b"), ("cookie", "a")]),
        ];
        let names: std::collections::HashSet<_> = names.iter().map(name_of).collect();
        assert_eq!(names.len(), 6);
    }
}
