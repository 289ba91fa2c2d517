//! How a request of ours gets to the store: signed, sent, and sent again where that may help, with other credentials where
//! the store refuses those.
//!
//! Separate from the verbs, because whatever is asked goes this way, and every attempt is signed anew.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::S3Store;
use super::answers::{ABOUT_THE_KEY, Answer};
use crate::domain::is_loopback;
use crate::error::Error;
use crate::signing::{Credentials, Operation, Payload, SigningError, v4};

/// How often a request is sent at most, with these pauses between.
pub(super) const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];

/// Joining ten thousand parts, or copying a large one, may take a store minutes.
const PATIENCE_TO_COMPLETE: Duration = Duration::from_mins(5);
/// What has bytes of files, and dropping what there is of ten thousand parts; for all else there is a setting.
const PATIENCE: Duration = Duration::from_secs(30);

/// What clients say of our credentials is looked into so often at most.
const TRIED_RECENTLY: Duration = Duration::from_secs(1);

impl S3Store {
    /// Somebody says that the store has refused a signature of ours with this code. If that is about credentials which are
    /// renewed, the store is asked whether it takes those at hand, once every second at most.
    ///
    /// # Errors
    /// [`Error::CredentialsExpired`] where it does not, and there are no others.
    pub async fn doubt_credentials(&self, code: &str, now: DateTime<Utc>) -> Result<(), Error> {
        if !self.credentials.is_renewed() || !ABOUT_THE_KEY.contains(&code) {
            return Ok(());
        }
        let mut tried = self.tried.lock().await;
        if tried.is_some_and(|at| at.elapsed() < TRIED_RECENTLY) {
            return Ok(());
        }
        let outcome = self.check(now).await;
        *tried = Some(Instant::now());
        match outcome {
            Err(error @ Error::CredentialsExpired) => Err(error),
            // Whatever else is wrong with the store is not what was asked.
            _ => Ok(()),
        }
    }

    /// What is left of the credentials at hand; `None` for those that do not end.
    pub fn credentials_left(&self, now: DateTime<Utc>) -> Option<Duration> {
        let left = self.credentials.left(now)?;
        Some(left.to_std().unwrap_or_default())
    }

    /// The answer, unless it refuses the credentials that its request was signed with: those that are renewed are looked for
    /// anew, and `None` says that others are at hand, so that the same request may be taken.
    ///
    /// # Errors
    /// [`Error::CredentialsExpired`] where there are no others yet.
    pub(super) async fn unless_refused(
        &self,
        answer: Answer,
        used: &Credentials,
    ) -> Result<Option<Answer>, Error> {
        let code = answer.code();
        let is_renewed = self.credentials.is_renewed();
        // Of a key in the settings, only a temporary one runs out; all else is for the operator to mend.
        if !answer.blames_credentials() || !(is_renewed || code == "ExpiredToken") {
            return Ok(Some(answer));
        }
        let others = self.credentials.replace(used).await;
        tracing::warn!(
            code,
            credential = used.access_key_id,
            others,
            "the store refuses the credentials"
        );
        if others {
            Ok(None)
        } else {
            Err(Error::CredentialsExpired)
        }
    }

    /// How long the answer to a request of our own may take.
    fn patience(&self, operation: Operation<'_>) -> Duration {
        match operation {
            Operation::CompleteMultipartUpload { .. }
            | Operation::CompleteChecked { .. }
            | Operation::UploadPartCopy { .. } => PATIENCE_TO_COMPLETE,
            Operation::AbortMultipartUpload { .. }
            | Operation::PutObject { .. }
            | Operation::UploadPart { .. }
            | Operation::UploadAnyPart { .. }
            | Operation::GetObject { .. } => PATIENCE,
            _ => self.settings.answer_timeout,
        }
    }

    /// Sends one request of our own, up to four times; twice where no answer comes in time.
    pub(super) async fn send(
        &self,
        operation: Operation<'_>,
        key: &str,
        now: DateTime<Utc>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut pauses = PAUSES.into_iter();
        let (began, patience) = (Instant::now(), self.patience(operation));
        loop {
            // Signed anew for each attempt: stores refuse what was signed a quarter of an hour ago.
            let now = now + began.elapsed();
            let outcome = self.send_once(operation, key, now, body.clone()).await;
            let again = match &outcome {
                Ok(answer) => answer.is_transient(),
                Err(Error::CredentialsExpired) => self.credentials.is_renewed(),
                Err(error) => matches!(error, Error::Unavailable { .. }),
            };
            // One time-out may be a dead connection's, two are the store's.
            let has_time = began.elapsed() < patience + patience / 2;
            match pauses.next().filter(|_| again && has_time) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return outcome,
            }
        }
    }

    async fn send_once(
        &self,
        operation: Operation<'_>,
        key: &str,
        now: DateTime<Utc>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let payload = if body.is_empty() {
            Payload::Empty
        } else {
            Payload::Bytes(&body)
        };
        let patience = self.patience(operation);
        loop {
            let credentials = self.credentials.current(now).await?;
            let request = self.request(operation, key, now, payload, &credentials)?;
            let request = request.timeout(patience).body(body.clone());
            let sent = async { Answer::of(request.send().await.map_err(lost)?).await };
            let answer = self
                .observe(operation, |answer: &Answer| answer.status, sent)
                .await?;
            // It goes round only with other credentials, and those are given once a second at most.
            if let Some(answer) = self.unless_refused(answer, &credentials).await? {
                return Ok(answer);
            }
        }
    }

    /// A request of ours with its signature, still without its body.
    pub(super) fn request(
        &self,
        operation: Operation<'_>,
        key: &str,
        now: DateTime<Utc>,
        payload: Payload<'_>,
        credentials: &Credentials,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let location = &self.settings.location;
        let signed = v4::sign(operation, key, location, credentials, now, payload).map_err(unsigned)?;
        let mut request = self.http.request(signed.method, &signed.url);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        // A signed length must be sent, also that of nothing, which the client would leave out.
        if let Some(length) = signed.content_length {
            request = request.header(http::header::CONTENT_LENGTH, length);
        }
        Ok(request)
    }
}

/// Connections to a host, with or without a port.
pub(super) fn http_client(host: &str) -> Result<reqwest::Client, Error> {
    let mut http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(host) {
        // No proxy of the surroundings can reach this machine's own loopback for us.
        http = http.no_proxy();
    }
    http.build().map_err(Error::internal)
}

/// A request that brought no answer.
pub(super) fn lost(error: reqwest::Error) -> Error {
    Error::unavailable("the store", error.without_url())
}

/// What cannot be signed is a defect of ours: keys, ids and numbers were checked long before.
/// The exception are credentials that have just run out.
pub(super) fn unsigned(error: SigningError) -> Error {
    match error {
        SigningError::NoLifetime => Error::CredentialsExpired,
        other => Error::internal(other),
    }
}
