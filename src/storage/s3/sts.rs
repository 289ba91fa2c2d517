//! Temporary credentials for one owner's part of the bucket, asked of STS with the store's own, and kept until shortly
//! before they end.
//!
//! Separate from the store's requests: another service answers, and what it answers must reach one owner alone and no log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::S3Store;
use super::answers::text_of;
use super::sending::{PAUSES, http_client, unsigned};
use crate::domain::{KeyPrefix, Owner};
use crate::error::Error;
use crate::signing::Credentials;
use crate::signing::sts::{AssumeRole, assume_role, uploader_policy};

/// Most owners whose credentials are kept.
const MOST_KEPT: usize = 10_000;

/// Most requests to STS at once: it counts them for the whole account.
const MOST_AT_ONCE: usize = 8;

/// Whoever waits longer for their turn is told to come again: a crowd of new owners must not pile up here.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const TOO_MANY: Error = Error::Busy("too many ask for temporary credentials just now; try again");

/// The longest name of a session.
const LONGEST_NAME: usize = 64;

/// What STS calls it where the key that asks has ended or was taken back.
const ABOUT_OUR_KEY: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
];

const STS: &str = "the STS";

/// How temporary credentials are come by.
#[derive(Debug, Clone)]
pub struct StsSettings {
    /// `http(s)://host[:port]`.
    pub endpoint: String,
    /// The role that sessions are of.
    pub role_arn: String,
    /// The partition of AWS that bucket and role are in.
    pub partition: String,
    /// What the role's owner wants to hear, if anything.
    pub external_id: Option<SecretString>,
    /// How long credentials are good.
    pub duration: Duration,
    /// Where an owner's keys may be.
    pub prefix: KeyPrefix,
}

/// The credentials of one owner, while there are some. Whoever asks for them meanwhile waits for the same request.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Credentials>>>>;

/// What hands them out.
pub(super) struct Sts {
    settings: StsSettings,
    url: String,
    http: reqwest::Client,
    slots: Mutex<HashMap<String, Slot>>,
    line: Semaphore,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    assume_role_result: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    credentials: Keys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: DateTime<Utc>,
}

/// AWS wraps what other stores tell without more ado.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    error: Option<Reason>,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    code: Option<String>,
}

impl Sts {
    pub(super) fn new(settings: StsSettings) -> Result<Self, Error> {
        let url = format!("{}/", settings.endpoint.trim_end_matches('/'));
        let host = settings.endpoint.split("://").nth(1).unwrap_or_default();
        Ok(Self {
            http: http_client(host)?,
            url,
            settings,
            slots: Mutex::default(),
            line: Semaphore::new(MOST_AT_ONCE),
        })
    }

    fn slot(&self, prefix: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(prefix) && slots.len() >= MOST_KEPT {
            // Of those that nobody is just asking for, any: it costs its owner one more request to STS.
            let idle = slots.iter().find(|(_, slot)| Arc::strong_count(slot) == 1);
            if let Some(name) = idle.map(|(name, _)| name.clone()) {
                slots.remove(&name);
            }
        }
        slots.entry(prefix.to_owned()).or_default().clone()
    }

    /// Versions 4 and 5 give a part no more time than their credentials have, so those with little left go to nobody.
    fn is_fresh(&self, kept: &Credentials, now: DateTime<Utc>) -> bool {
        let least = TimeDelta::from_std(self.settings.duration / 4).unwrap_or_default();
        kept.expires_at.is_some_and(|end| end - now > least)
    }
}

/// `muleteer-` and the owner as in their prefix, as far as there is room.
fn session_name(prefix: &KeyPrefix, owner: &Owner) -> String {
    let mut name = format!("muleteer-{}", prefix.name_of(owner));
    name.truncate(LONGEST_NAME);
    name
}

impl S3Store {
    /// What the keys of this owner begin with where temporary credentials are handed out.
    pub fn session_prefix(&self, owner: &Owner) -> Option<String> {
        let sts = self.sts.as_ref()?;
        Some(sts.settings.prefix.of(owner))
    }

    /// Credentials with which a browser may put objects below its owner's prefix, good for a quarter of their life at
    /// least; `None` where none are handed out.
    ///
    /// # Errors
    /// [`Error::StoreRefused`] where STS does, without its reason, which is logged; [`Error::Busy`]; [`Error::CredentialsExpired`];
    /// [`Error::Unavailable`].
    pub async fn session(
        &self,
        owner: &Owner,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Credentials>>, Error> {
        let Some(sts) = &self.sts else {
            return Ok(None);
        };
        let prefix = sts.settings.prefix.of(owner);
        let slot = sts.slot(&prefix);
        let mut kept = slot.lock().await;
        if let Some(fresh) = kept.as_ref().filter(|kept| sts.is_fresh(kept, now)) {
            return Ok(Some(fresh.clone()));
        }
        let policy = uploader_policy(&sts.settings.partition, self.bucket(), &prefix);
        let name = session_name(&sts.settings.prefix, owner);
        let given = Arc::new(self.assume(sts, &name, &policy, now).await?);
        *kept = Some(given.clone());
        Ok(Some(given))
    }

    async fn assume(
        &self,
        sts: &Sts,
        name: &str,
        policy: &str,
        now: DateTime<Utc>,
    ) -> Result<Credentials, Error> {
        let turn = tokio::time::timeout(LONGEST_WAIT, sts.line.acquire()).await;
        let _turn = turn.map_err(|_| TOO_MANY)?.map_err(Error::internal)?;
        let mut pauses = PAUSES.into_iter();
        let began = Instant::now();
        loop {
            let outcome = self.assume_once(sts, name, policy, now + began.elapsed()).await;
            let again = matches!(
                outcome,
                Err(Error::Unavailable { .. } | Error::CredentialsExpired)
            );
            let patience = self.settings.answer_timeout;
            let has_time = began.elapsed() < patience + patience / 2;
            match pauses.next().filter(|_| again && has_time) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return outcome,
            }
        }
    }

    async fn assume_once(
        &self,
        sts: &Sts,
        name: &str,
        policy: &str,
        now: DateTime<Utc>,
    ) -> Result<Credentials, Error> {
        let own = self.credentials.current(now).await?;
        let settings = &sts.settings;
        let wanted = AssumeRole {
            role_arn: &settings.role_arn,
            session_name: name,
            policy,
            seconds: settings.duration.as_secs(),
            external_id: settings.external_id.as_ref().map(ExposeSecret::expose_secret),
        };
        let region = self.settings.location.region();
        let signed = assume_role(wanted, &sts.url, region, &own, now).map_err(unsigned)?;
        let mut request = sts
            .http
            .post(&sts.url)
            .timeout(self.settings.answer_timeout)
            .body(signed.body);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let lost = |error: reqwest::Error| Error::unavailable(STS, error.without_url());
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let body = text_of(answer, STS).await?;
        if status.is_success() {
            return read_keys(&body, now);
        }
        let code = refusal_code(&body);
        if status.is_server_error() || status.as_u16() == 429 || code == "Throttling" {
            return Err(Error::unavailable(STS, format!("{status} {code}")));
        }
        if ABOUT_OUR_KEY.contains(&code.as_str()) && self.credentials.is_renewed() {
            self.credentials.replace(&own).await;
            return Err(Error::CredentialsExpired);
        }
        tracing::warn!(
            status = status.as_u16(),
            code,
            "STS gives no temporary credentials"
        );
        Err(Error::StoreRefused {
            code: "NoTemporaryCredentials".into(),
        })
    }
}

/// The credentials in an answer; what is wrong with one is told without any of it.
fn read_keys(body: &str, now: DateTime<Utc>) -> Result<Credentials, Error> {
    let unreadable = || Error::unavailable(STS, "its answer holds no credentials that are good for a while");
    let assumed: Assumed = quick_xml::de::from_str(body).map_err(|_| unreadable())?;
    let keys = assumed.assume_role_result.credentials;
    if keys.expiration <= now || keys.session_token.is_empty() {
        return Err(unreadable());
    }
    Ok(Credentials {
        session_token: Some(keys.session_token.into()),
        expires_at: Some(keys.expiration),
        ..Credentials::long_term(keys.access_key_id, keys.secret_access_key)
    })
}

fn refusal_code(body: &str) -> String {
    let refused: Option<Refused> = quick_xml::de::from_str(body).ok();
    refused
        .and_then(|refused| refused.code.or_else(|| refused.error?.code))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_either_shape() {
        let aws = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                   <Code>AccessDenied</Code></Error></ErrorResponse>";
        assert_eq!(refusal_code(aws), "AccessDenied");
        assert_eq!(
            refusal_code("<Error><Code>InvalidRole</Code></Error>"),
            "InvalidRole"
        );
        assert_eq!(refusal_code("gateway"), "");
    }

    #[test]
    fn an_answer_without_credentials_is_no_answer_and_is_not_quoted() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let answer = |expiration: &str| {
            format!(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>\
                 <SecretAccessKey>hunter2</SecretAccessKey><SessionToken>T</SessionToken>\
                 <Expiration>{expiration}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
            )
        };
        assert!(read_keys(&answer("2099-01-01T00:00:00.5Z"), now).is_ok());
        for bad in ["2001-01-01T00:00:00Z", "hunter2"] {
            let error = format!("{:?}", read_keys(&answer(bad), now).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_sessions_name_has_letters_and_a_length_that_sts_takes() {
        let prefix = KeyPrefix::new("sts/{owner}/").unwrap();
        let name = session_name(&prefix, &Owner::recorded("ä b:".repeat(40)));

        assert!(name.starts_with("muleteer-_c3_a4_20b_3a"), "{name}");
        assert_eq!(name.len(), 64);
    }
}
