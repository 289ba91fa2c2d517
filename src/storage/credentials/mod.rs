//! Where the store's credentials come from, and when they are renewed.
//!
//! Separate from the store, which only ever asks for those that are good now, and says when they were refused.

#[cfg(feature = "aws-credential-chain")]
mod places;
#[cfg(feature = "aws-credential-chain")]
mod renewal;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

#[cfg(feature = "aws-credential-chain")]
use self::places::Places;
#[cfg(feature = "aws-credential-chain")]
use self::renewal::Renewal;
#[cfg(feature = "aws-credential-chain")]
use crate::clock::Clock;
use crate::error::Error;
#[cfg(feature = "aws-credential-chain")]
use crate::metrics::Metrics;
use crate::signing::Credentials;

/// Gives the credentials that are valid now; clones share them.
#[derive(Clone)]
pub struct CredentialSource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<Credentials>),
    #[cfg(feature = "aws-credential-chain")]
    Chain(Arc<Renewal>),
}

impl CredentialSource {
    /// The same credentials for ever.
    pub fn fixed(credentials: Credentials) -> Self {
        Self(Kind::Fixed(Arc::new(credentials)))
    }

    /// The standard chain of AWS: environment, profile (with SSO and processes), web identity, container, instance role.
    /// What it gives is renewed in the background, well before it ends, for as long as a clone of this lives.
    ///
    /// `profile` is the name of one in the shared files, or empty for AWS's own choice; `region` is where the STS is asked
    /// that a profile or a web identity needs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where no place of the chain gives any; its cause says what each has said. Each is waited for
    /// some seconds at most. [`Error::CredentialsExpired`] where the first that is set up gives some that have ended.
    #[cfg(feature = "aws-credential-chain")]
    pub async fn chain(profile: &str, region: &str, clock: Clock, metrics: Metrics) -> Result<Self, Error> {
        let renewal = Renewal::start(Places::new(profile, region), clock, metrics).await?;
        Ok(Self(Kind::Chain(renewal)))
    }

    /// Credentials that have not ended.
    ///
    /// # Errors
    /// [`Error::CredentialsExpired`] where those at hand have, and no others are to be had.
    pub async fn current(&self, now: DateTime<Utc>) -> Result<Arc<Credentials>, Error> {
        match &self.0 {
            Kind::Fixed(credentials) if credentials.is_over(now) => Err(Error::CredentialsExpired),
            Kind::Fixed(credentials) => Ok(credentials.clone()),
            #[cfg(feature = "aws-credential-chain")]
            Kind::Chain(renewal) => renewal.current(now).await,
        }
    }

    /// The store does not take `used` any more, whatever their end: asks for others at once. Whether there are others now.
    pub async fn replace(&self, used: &Credentials) -> bool {
        match &self.0 {
            Kind::Fixed(_) => {
                let _ = used;
                false
            }
            #[cfg(feature = "aws-credential-chain")]
            Kind::Chain(renewal) => renewal.replace(used).await,
        }
    }

    /// Whether other credentials may come of it when these are refused.
    pub fn is_renewed(&self) -> bool {
        !matches!(self.0, Kind::Fixed(_))
    }

    /// The place that gave the credentials at hand, in words.
    pub fn place(&self) -> &'static str {
        match &self.0 {
            Kind::Fixed(_) => "the settings",
            #[cfg(feature = "aws-credential-chain")]
            Kind::Chain(renewal) => renewal.place(),
        }
    }

    /// What is left at `now` of the life of the credentials at hand, not less than nothing; `None` for those that do not end.
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let end = match &self.0 {
            Kind::Fixed(credentials) => credentials.expires_at,
            #[cfg(feature = "aws-credential-chain")]
            Kind::Chain(renewal) => renewal.ends_at(),
        };
        end.map(|end| (end - now).max(TimeDelta::zero()))
    }
}
