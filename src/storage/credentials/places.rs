//! The places of AWS's standard chain, asked one after the other.
//!
//! Separate from the renewing, and put together here rather than by the library's own chain, for three things that this does
//! not do: it tells which place has answered and what each of the others said, it waits for none without end, and it never
//! takes credentials for longer-lived than their giver says (the library lengthens an instance's on its own account, and
//! brings back the last ones where the instance's service is away).

use std::error::Error as _;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::Region;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::time::StaticTimeSource;
use chrono::{DateTime, Utc};

use crate::signing::Credentials;

/// Longest wait for one place: a process of the operator's own, or an STS, may take a while.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that one look at the chain needs.
pub(super) struct Places {
    profile: String,
    region: String,
    /// It keeps the instance's session token between two looks.
    instance: imds::Client,
}

/// What one place has given.
pub(super) struct Given {
    /// The credentials.
    pub credentials: Credentials,
    /// The place, in words.
    pub place: &'static str,
}

impl Places {
    /// The chain with this profile, or AWS's own choice of one where it is empty, and this region's STS.
    pub fn new(profile: &str, region: &str) -> Self {
        Self {
            profile: profile.to_owned(),
            region: region.to_owned(),
            instance: imds::Client::builder()
                .configure(&ProviderConfig::default())
                .build(),
        }
    }

    /// Asks all places in AWS's order, up to the first that is set up. Files are read anew each time.
    ///
    /// # Errors
    /// What each place has said.
    pub async fn ask(&self) -> Result<Given, String> {
        let config = ProviderConfig::default().with_region(Some(Region::new(self.region.clone())));
        let mut profile = ProfileFileCredentialsProvider::builder().configure(&config);
        if !self.profile.is_empty() {
            profile = profile.profile_name(&self.profile);
        }
        // At the beginning of time nothing has ended, so no end is moved.
        let timeless = config.clone().with_time_source(StaticTimeSource::new(UNIX_EPOCH));
        let instance = ImdsCredentialsProvider::builder()
            .configure(&timeless)
            .imds_client(self.instance.clone());
        let web = WebIdentityTokenCredentialsProvider::builder().configure(&config);
        let places: [(&'static str, Box<dyn ProvideCredentials>); 5] = [
            (
                "the environment",
                Box::new(EnvironmentVariableCredentialsProvider::new()),
            ),
            ("the profile", Box::new(profile.build())),
            ("the web identity", Box::new(web.build())),
            (
                "the container's service",
                Box::new(EcsCredentialsProvider::builder().configure(&config).build()),
            ),
            ("the instance's role", Box::new(instance.build())),
        ];
        let mut said = Vec::new();
        for (place, provider) in places {
            match tokio::time::timeout(PATIENCE, provider.provide_credentials()).await {
                Ok(Ok(given)) => return Ok(Given::of(&given, place)),
                Ok(Err(error)) => {
                    said.push(format!("{place}: {}", words(&error)));
                    // As in AWS's own chain: what is set up and fails must not be passed over for something else.
                    if !matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
                        break;
                    }
                }
                Err(_) => {
                    said.push(format!("{place}: no answer within {} s", PATIENCE.as_secs()));
                    break;
                }
            }
        }
        Err(said.join("; "))
    }
}

impl Given {
    fn of(given: &aws_credential_types::Credentials, place: &'static str) -> Self {
        let credentials = Credentials {
            session_token: given.session_token().map(Into::into),
            expires_at: given.expiry().map(DateTime::<Utc>::from),
            ..Credentials::long_term(given.access_key_id(), given.secret_access_key())
        };
        Self { credentials, place }
    }
}

/// An error with its causes. The first says nothing but that there are some.
fn words(error: &CredentialsError) -> String {
    let mut words = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Many repeat their cause.
        if !words.contains(&text) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            words.push_str(&text);
        }
        cause = error.source();
    }
    if words.is_empty() {
        return error.to_string();
    }
    words
}
