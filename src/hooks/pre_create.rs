//! The question before an upload begins, and what its answers mean (`docs/hooks.md`).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::{Line, Reply};
use super::circuit::Circuit;
use crate::clock::Clock;
use crate::config::{HooksConfig, OnSilence};
use crate::domain::from_object;
use crate::error::Error;
use crate::metrics::{Hook, Metrics, Verdict};
use crate::uploads::{Gate, Terms, Wanted};

/// The status of a refusal that names none, or none that may be told.
const REFUSED: u16 = 403;

/// Statuses that a refusal may have. Those that clients take for "ask again" or for another credential are not among them.
const STATUSES: [u16; 8] = [400, 402, 403, 409, 413, 415, 422, 451];

/// Statuses with which servers, and what stands before them, ask for patience, whatever is in the body.
const PATIENCE: [u16; 3] = [408, 425, 429];

/// Most characters of a refusal's text.
const LONGEST: usize = 300;

/// The text of a refusal that has none.
const NO_REASON: &str = "the application does not want this upload";

/// Asks the application.
pub struct PreCreate {
    line: Line,
    circuit: Circuit,
    on_silence: OnSilence,
    metrics: Metrics,
}

/// What is sent.
#[derive(Serialize)]
struct Asking<'a> {
    event: &'static str,
    #[serde(flatten)]
    wanted: &'a Wanted<'a>,
}

/// A refusal in an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
    status: Option<u16>,
}

/// What an answer says.
#[derive(Debug, PartialEq)]
enum Said {
    Terms(Terms),
    No { message: String, status: u16 },
}

/// Why nothing is said, in words for the log.
#[derive(Debug, PartialEq)]
enum Silence {
    /// There is no answer of the application's.
    Nothing(String),
    /// There is one that cannot be understood: it may have refused, or narrowed.
    Unusable(String),
}

impl Silence {
    fn reason(&self) -> &str {
        match self {
            Self::Nothing(reason) | Self::Unusable(reason) => reason,
        }
    }
}

impl PreCreate {
    /// Who is asked by these settings; `None` where nobody is.
    ///
    /// # Errors
    /// [`Error::Internal`] where the settings cannot be used, or the TLS roots of this machine cannot be read.
    pub fn open(settings: &HooksConfig, clock: Clock, metrics: Metrics) -> Result<Option<Self>, Error> {
        let hook = &settings.pre_create;
        if hook.url.is_empty() {
            return Ok(None);
        }
        let secret = if hook.secret.is_empty() {
            &settings.secret
        } else {
            &hook.secret
        };
        Ok(Some(Self {
            line: Line::new(&hook.url, secret, Duration::from_secs(hook.timeout_s), clock)?,
            circuit: Circuit::default(),
            on_silence: hook.fail,
            metrics,
        }))
    }

    /// An answer; or why there is none.
    async fn said(&self, wanted: &Wanted<'_>) -> Result<Said, Silence> {
        if !self.circuit.admits(Instant::now()) {
            return Err(Silence::Nothing(
                "it has failed several times in a row, and is left alone for some seconds".to_owned(),
            ));
        }
        let question = Asking {
            event: "upload.pre-create",
            wanted,
        };
        let said = match serde_json::to_string(&question) {
            Ok(text) => match self.line.post(text).await {
                Ok(reply) => read(&reply),
                Err(reason) => Err(Silence::Nothing(reason)),
            },
            Err(error) => Err(Silence::Nothing(error.to_string())),
        };
        match &said {
            // Whoever answers is not left alone: nobody may come in unasked meanwhile.
            Ok(_) | Err(Silence::Unusable(_)) => self.circuit.succeeded(),
            Err(Silence::Nothing(reason)) => {
                if self.circuit.failed(Instant::now()) {
                    tracing::warn!(reason, "the application's pre-create hook keeps failing");
                }
            }
        }
        said
    }
}

#[async_trait]
impl Gate for PreCreate {
    async fn ask(&self, wanted: &Wanted<'_>) -> Result<Terms, Error> {
        match self.said(wanted).await {
            Ok(Said::Terms(terms)) => {
                self.metrics.asked(Hook::PreCreate, Verdict::Accepted);
                Ok(terms)
            }
            Ok(Said::No { message, status }) => {
                self.metrics.asked(Hook::PreCreate, Verdict::Refused);
                Err(Error::Refused { message, status })
            }
            Err(silence) => {
                self.metrics.asked(Hook::PreCreate, Verdict::Failed);
                let reason = silence.reason();
                match (&silence, self.on_silence) {
                    (Silence::Unusable(_), _) | (_, OnSilence::Closed) => {
                        Err(Error::unavailable("the application", reason))
                    }
                    (Silence::Nothing(_), OnSilence::Open) => {
                        tracing::warn!(
                            reason,
                            owner = wanted.owner,
                            "an upload begins without the application's word"
                        );
                        Ok(Terms::default())
                    }
                }
            }
        }
    }
}

/// What an answer says. A `4xx` refuses only with words of its own: one without is more likely a wrong address.
fn read(reply: &Reply) -> Result<Said, Silence> {
    let members = || match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    };
    match reply.status {
        204 => Ok(Said::Terms(Terms::default())),
        200 => {
            let members = members().ok_or_else(|| unusable("it is no JSON object"))?;
            understood(members).map_err(|error| unusable(&error))
        }
        status if PATIENCE.contains(&status) => Err(Silence::Nothing(format!("answered {status}"))),
        status @ 400..=499 => {
            let members = members().unwrap_or_default();
            let refusal = members
                .get("refuse")
                .and_then(Value::as_object)
                .unwrap_or(&members);
            let text = ["message", "detail"]
                .iter()
                .find_map(|name| refusal.get(*name)?.as_str());
            let text =
                text.ok_or_else(|| Silence::Nothing(format!("answered {status} without a message")))?;
            Ok(no(text, Some(status)))
        }
        status => Err(Silence::Nothing(format!("answered {status}"))),
    }
}

/// What the members of an answer say.
fn understood(mut members: Map<String, Value>) -> Result<Said, String> {
    let in_words = |error: serde_json::Error| error.to_string();
    if let Some(refusal) = members.remove("refuse") {
        let refusal: Refusal = from_object(refusal).map_err(|error| format!("refuse: {error}"))?;
        return Ok(no(&refusal.message, refusal.status));
    }
    let terms: Terms = from_object(Value::Object(members)).map_err(in_words)?;
    Ok(Said::Terms(terms))
}

fn unusable(reason: &str) -> Silence {
    Silence::Unusable(format!("its answer cannot be used: {reason}"))
}

fn no(message: &str, status: Option<u16>) -> Said {
    let message = cleaned(message);
    let message = if message.is_empty() {
        NO_REASON.to_owned()
    } else {
        message
    };
    let status = status
        .filter(|status| STATUSES.contains(status))
        .unwrap_or(REFUSED);
    Said::No { message, status }
}

/// One line of text, without control characters, of at most so many characters that a client shows it.
pub(super) fn cleaned(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(4 * LONGEST)
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Said, Silence> {
        read(&Reply {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    fn refused(message: &str, status: u16) -> Said {
        let message = message.to_owned();
        Said::No { message, status }
    }

    #[test]
    fn refusals_are_cleaned_and_have_a_status_that_clients_do_not_take_for_another() {
        for (status, body, message, told) in [
            (
                200,
                r#"{"refuse":{"message":"No more today","status":402}}"#,
                "No more today",
                402,
            ),
            (
                200,
                r#"{"refuse":{"message":"a\n\tb\u0000c  d"}}"#,
                "a b c d",
                403,
            ),
            (200, r#"{"refuse":{}}"#, NO_REASON, 403),
            (200, r#"{"refuse":{"message":"x","status":503}}"#, "x", 403),
            (409, r#"{"message":"twice"}"#, "twice", 409),
            (404, r#"{"message":"no such album"}"#, "no such album", 403),
            (422, r#"{"title":"t","detail":"too long"}"#, "too long", 422),
            (403, r#"{"refuse":{"message":"y"}}"#, "y", 403),
        ] {
            assert_eq!(answer(status, body), Ok(refused(message, told)), "{body}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "ä".repeat(5_000));
        assert_eq!(answer(400, &long), Ok(refused(&"ä".repeat(LONGEST), 400)));
    }

    #[test]
    fn what_is_no_answer_is_told_from_what_cannot_be_understood() {
        assert_eq!(answer(200, "{}"), Ok(Said::Terms(Terms::default())));
        assert_eq!(answer(204, ""), Ok(Said::Terms(Terms::default())));
        for body in [
            "",
            "ok",
            "[]",
            r#"[{"message":"no"}]"#,
            r#"{"accept":true}"#,
            r#"{"maxsize":1}"#,
            r#"{"key":5}"#,
            r#"{"bounds":"x"}"#,
            r#"{"bounds":[]}"#,
            r#"{"bounds":{"max_sise":1}}"#,
            r#"{"refuse":"no"}"#,
            r#"{"refuse":true}"#,
            r#"{"refuse":[]}"#,
            r#"{"refuse":{"message":"no","status":"402"}}"#,
        ] {
            let said = answer(200, body);
            assert!(matches!(said, Err(Silence::Unusable(_))), "{body}: {said:?}");
        }
        for (status, body) in [
            (404, "<html>not found"),
            (401, ""),
            (408, r#"{"message":"x"}"#),
            (425, r#"{"message":"x"}"#),
            (429, r#"{"detail":"slow down"}"#),
            (302, ""),
            (500, r#"{"refuse":{"message":"x"}}"#),
        ] {
            let said = answer(status, body);
            assert!(
                matches!(said, Err(Silence::Nothing(_))),
                "{status} {body}: {said:?}"
            );
        }
    }
}
