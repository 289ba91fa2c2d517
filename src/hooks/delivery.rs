//! One delivery: ask, listen to the status, write down how it went.
//!
//! Separate from the handing out, because this is all that a receiver sees of us.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use uuid::Uuid;

use super::address::{GuardedResolver, Refused};
use super::schedule::{pause_after, spread};
use super::signature::Signer;
use crate::clock::Clock;
use crate::config::HooksConfig;
use crate::db::{Database, Settled};
use crate::domain::{AllowedHosts, WebhookEvent, WebhookUrl, signing_key};
use crate::error::Error;
use crate::metrics::{Delivery, Metrics};

/// Whom receivers see.
pub(super) const USER_AGENT: &str = concat!("Muleteer/", env!("CARGO_PKG_VERSION"));

/// Most bytes of an answer that are read before it is dropped; its status is all that counts.
const MOST_OF_AN_ANSWER: usize = 8 << 10;

/// Longest wait for these bytes.
const PATIENCE_WITH_AN_ANSWER: Duration = Duration::from_secs(2);

/// Longest wait for a connection.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(10);

/// Why an attempt failed.
struct Failure {
    /// The answer's status, where there was an answer.
    status: Option<u16>,
    /// In words for an admin. What the network behind us looks like is not among them.
    reason: String,
    /// Whether trying again makes sense.
    for_good: bool,
}

impl Failure {
    fn without_answer(reason: impl Into<String>) -> Self {
        Self {
            status: None,
            reason: reason.into(),
            for_good: false,
        }
    }
}

/// Brings events to their receivers.
pub(super) struct Courier {
    db: Database,
    clock: Clock,
    http: Client,
    /// The operator's own receiver, and a client that calls it wherever it is.
    operator: Option<(String, Client)>,
    allowed: Arc<AllowedHosts>,
    metrics: Metrics,
    signer: Option<Signer>,
    patience: Duration,
    horizon: Duration,
}

impl Courier {
    /// A courier with connections of its own.
    ///
    /// # Errors
    /// [`Error::Internal`] for a secret that the settings' check would have refused, or where the TLS roots of this
    /// machine cannot be read.
    pub(super) fn new(
        db: Database,
        clock: Clock,
        allowed: AllowedHosts,
        metrics: Metrics,
        settings: &HooksConfig,
    ) -> Result<Self, Error> {
        let allowed = Arc::new(allowed);
        let patience = Duration::from_secs(settings.timeout_s);
        let signer = match settings.secret.expose() {
            "" => None,
            secret => Some(Signer::new(&signing_key(secret).map_err(Error::internal)?)?),
        };
        Ok(Self {
            db,
            clock,
            http: client(&allowed, patience)?,
            operator: match settings.url.as_str() {
                "" => None,
                url => Some((
                    url.to_owned(),
                    unguarded(patience).build().map_err(Error::internal)?,
                )),
            },
            allowed,
            metrics,
            signer,
            patience,
            horizon: Duration::from_hours(settings.retry_hours),
        })
    }

    /// Makes one attempt on an event that is ours until `claim`, and settles it.
    pub(super) async fn deliver(&self, event: &WebhookEvent, claim: DateTime<Utc>) {
        // The claim has counted this attempt.
        let attempt = event.attempts.saturating_add(1);
        let outcome = match self.attempt(event).await {
            Ok(status) => {
                tracing::info!(event = %event.id, upload = %event.upload_id, status, attempt, "webhook delivered");
                Settled::Delivered { status }
            }
            Err(failure) => self.failed(event, attempt, failure),
        };
        self.metrics.delivery(match outcome {
            Settled::Delivered { .. } => Delivery::Delivered,
            Settled::Failed {
                again_at: Some(_), ..
            } => Delivery::Failed,
            Settled::Failed { again_at: None, .. } => Delivery::Parked,
        });
        let settled = self
            .db
            .settle_event(&event.id, claim, outcome, self.clock.now())
            .await;
        match settled {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(event = %event.id, "a webhook was taken over before its attempt ended");
            }
            // It is sent once more when the claim has run out; its receiver knows it by its id.
            Err(error) => {
                tracing::warn!(event = %event.id, %error, "how a webhook went could not be written down");
            }
        }
    }

    fn failed(&self, event: &WebhookEvent, attempt: u32, failure: Failure) -> Settled {
        let pause = pause_after(attempt, self.horizon).filter(|_| !failure.for_good);
        let reason = &failure.reason;
        let again_at = pause.map(|pause| {
            // The low bits of a random UUID are chance.
            let (_, chance) = Uuid::new_v4().as_u64_pair();
            let pause = spread(pause, u32::try_from(chance & u64::from(u32::MAX)).unwrap_or(0));
            self.clock.now() + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
        });
        if again_at.is_some() {
            tracing::info!(event = %event.id, upload = %event.upload_id, attempt, reason, "webhook not delivered yet");
        } else {
            tracing::warn!(event = %event.id, upload = %event.upload_id, attempt, reason, "webhook given up and parked");
        }
        Settled::Failed {
            status: failure.status,
            reason: failure.reason,
            again_at,
        }
    }

    /// Sends the event once; the status of an answer that takes it.
    async fn attempt(&self, event: &WebhookEvent) -> Result<u16, Failure> {
        let (http, url) = match &self.operator {
            Some((url, http)) if *url == event.url => (http, url.clone()),
            _ => {
                // The resolver is not asked for a host that is an address already; and the rules may have changed.
                let refused = |_| Failure::without_answer(Refused.to_string());
                let url = WebhookUrl::new(&event.url, &self.allowed).map_err(refused)?;
                (&self.http, url.as_str().to_owned())
            }
        };
        let timestamp = self.clock.now().timestamp();
        let mut request = http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", event.id.as_str())
            .header("webhook-timestamp", timestamp);
        if let Some(signer) = &self.signer {
            let signature = signer.sign(&event.id, timestamp, &event.payload);
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(event.payload.clone()).send().await;
        let answer = answer.map_err(|error| Failure::without_answer(self.explain(&error)))?;
        let status = answer.status();
        drain(answer).await;
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let reason = if status.is_redirection() {
            format!("answered {}; redirects are not followed", status.as_u16())
        } else {
            format!("answered {}", status.as_u16())
        };
        Err(Failure {
            status: Some(status.as_u16()),
            reason,
            for_good: status == StatusCode::GONE,
        })
    }

    /// Why there was no answer.
    fn explain(&self, error: &reqwest::Error) -> String {
        if Refused::is_behind(error) {
            Refused.to_string()
        } else if error.is_connect() {
            "no connection could be made".to_owned()
        } else if error.is_timeout() {
            format!("no answer within {} s", self.patience.as_secs())
        } else {
            "the connection broke before the answer".to_owned()
        }
    }
}

/// A client that follows no redirect and connects to nothing that may not be called.
fn client(allowed: &Arc<AllowedHosts>, patience: Duration) -> Result<Client, Error> {
    unguarded(patience)
        .dns_resolver(GuardedResolver::new(Arc::clone(allowed)))
        // Every delivery asks the guard anew.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(Error::internal)
}

/// The same without the guard, for what the operator names.
fn unguarded(patience: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .timeout(patience)
        .connect_timeout(PATIENCE_TO_CONNECT.min(patience))
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would look names up by itself, past the guard.
        .no_proxy()
}

/// Reads a little of the answer, so that its sender is not cut short, and drops the rest.
async fn drain(mut answer: Response) {
    let reading = async {
        let mut read = 0;
        while let Ok(Some(piece)) = answer.chunk().await {
            read += piece.len();
            if read >= MOST_OF_AN_ANSWER {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE_WITH_AN_ANSWER, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a connection was made to a name that leads to this machine, and what the client said.
    async fn called(allowed: &[&str]) -> (bool, reqwest::Error) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let entries: Vec<String> = allowed.iter().map(|&entry| entry.to_owned()).collect();
        let allowed = Arc::new(AllowedHosts::new(&entries).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let client = client(&allowed, Duration::from_secs(5)).unwrap();

        let (accepted, sent) = tokio::join!(
            // A connection is closed at once: the request fails either way.
            async {
                let accepted = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
                accepted.is_ok()
            },
            client.post(&url).body("x").send()
        );

        (accepted, sent.unwrap_err())
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
        let (accepted, error) = called(&[]).await;

        assert!(!accepted);
        assert!(Refused::is_behind(&error), "{error:?}");
    }

    #[tokio::test]
    async fn one_whose_address_is_listed_is_connected_to() {
        let (accepted, error) = called(&["127.0.0.1"]).await;

        assert!(accepted);
        assert!(!Refused::is_behind(&error), "{error:?}");
    }
}
