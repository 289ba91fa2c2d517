//! Where the store's credentials come from, and when they are renewed.
//!
//! Separate from the store, because the standard chain does not cache: every question runs it again, a fork
//! or a request each time. So the answer is kept until shortly before it expires, and renewed by one task.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::RwLock;

use crate::error::Error;
use crate::signing::Credentials;

/// Credentials that expire are renewed this long before they do.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// Gives the credentials that are valid now.
#[derive(Clone)]
pub struct CredentialSource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<Credentials>),
    #[cfg(feature = "aws-credential-chain")]
    Chain(Arc<Chain>),
}

#[cfg(feature = "aws-credential-chain")]
struct Chain {
    provider: aws_credential_types::provider::SharedCredentialsProvider,
    kept: RwLock<Option<Arc<Credentials>>>,
}

impl CredentialSource {
    /// The same credentials for ever.
    pub fn fixed(credentials: Credentials) -> Self {
        Self(Kind::Fixed(Arc::new(credentials)))
    }

    /// The standard chain of AWS: environment, profile, SSO, web identity, ECS, EC2.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where no member of the chain has any credentials.
    #[cfg(feature = "aws-credential-chain")]
    pub async fn chain(profile: &str, now: DateTime<Utc>) -> Result<Self, Error> {
        use aws_credential_types::provider::error::CredentialsError;

        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
        if !profile.is_empty() {
            loader = loader.profile_name(profile);
        }
        let provider = loader.load().await.credentials_provider().ok_or_else(|| {
            Error::unavailable(
                "the credential chain",
                CredentialsError::not_loaded("it is empty"),
            )
        })?;
        let source = Self(Kind::Chain(Arc::new(Chain {
            provider,
            kept: RwLock::new(None),
        })));
        source.current(now).await?;
        Ok(source)
    }

    /// Credentials that are good for some minutes yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the chain does not answer.
    pub async fn current(&self, now: DateTime<Utc>) -> Result<Arc<Credentials>, Error> {
        match &self.0 {
            Kind::Fixed(credentials) => Ok(credentials.clone()),
            #[cfg(feature = "aws-credential-chain")]
            Kind::Chain(chain) => chain.current(now).await,
        }
    }
}

#[cfg(feature = "aws-credential-chain")]
impl Chain {
    async fn current(&self, now: DateTime<Utc>) -> Result<Arc<Credentials>, Error> {
        use aws_credential_types::provider::ProvideCredentials;

        let fresh = |kept: &Credentials| kept.expires_at.is_none_or(|end| end - now > RENEW_BEFORE);
        if let Some(kept) = self.kept.read().await.as_ref().filter(|kept| fresh(kept)) {
            return Ok(kept.clone());
        }
        let mut kept = self.kept.write().await;
        if let Some(kept) = kept.as_ref().filter(|kept| fresh(kept)) {
            return Ok(kept.clone());
        }
        let given = self
            .provider
            .provide_credentials()
            .await
            .map_err(|error| Error::unavailable("the credential chain", error))?;
        let credentials = Arc::new(Credentials {
            session_token: given.session_token().map(Into::into),
            expires_at: given.expiry().map(DateTime::<Utc>::from),
            ..Credentials::long_term(given.access_key_id(), given.secret_access_key())
        });
        *kept = Some(credentials.clone());
        Ok(credentials)
    }
}
