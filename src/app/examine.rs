//! The store at hand for looking at it: what `doctor` and `cors` ask, without a server.
//!
//! Separate from starting, because here whatever stands in the way is a finding and no end.

use std::sync::Arc;

use anyhow::Context as _;

use super::store::{Embedded, credentials, locate, relay};
use super::{explain, open_database};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::doctor::{self, Ask, Bucket, Finding, Id, Report};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::signing::SigningError;

/// The bucket that the settings mean, and the embedded S3 where that had to be started for it.
pub struct StoreAtHand {
    /// The bucket.
    pub bucket: Bucket,
    started: Option<(Embedded, Database)>,
}

impl StoreAtHand {
    /// Finds key and address; starts the embedded S3 if that is meant and nobody runs it.
    ///
    /// # Errors
    /// What stands in the way, as a finding.
    pub async fn open(config: &Config, clock: &Clock) -> Result<Self, Finding> {
        if config.uses_embedded_store() {
            return Self::embedded(config).await;
        }
        let (location, public_location) = locate(config, &config.s3.bucket, &config.s3.endpoint)
            .map_err(|error| misplaced(config, &error))?;
        let source = credentials(config, clock, &Metrics::off())
            .await
            .map_err(|error| no_credentials(&error))?;
        let current = source.current(clock.now()).await;
        Ok(Self {
            bucket: Bucket {
                location,
                public_location,
                credentials: current.map_err(|error| no_credentials(&explain(error)))?,
                place: source.is_renewed().then(|| source.place()),
            },
            started: None,
        })
    }

    async fn embedded(config: &Config) -> Result<Self, Finding> {
        let unusable = |error: anyhow::Error| {
            Finding::new(
                Id::DatabaseUnusable,
                format!("{error:#}"),
                "mend database.url, or the permissions of data_dir",
            )
        };
        let failing = |error: anyhow::Error| {
            Finding::new(Id::StoreFails, format!("{error:#}"), "mend [default.dev_s3]")
        };
        let db = open_database(config).await.map_err(unusable)?;
        let key = Embedded::key(config, &db).await.map_err(unusable)?;
        let started = Embedded::start(config, &db).await;
        let (endpoint, started) = match started {
            Ok(Some(embedded)) => (embedded.endpoint.clone(), Some(embedded)),
            Err(error) if is_in_use(&error) => {
                // A running server has it: the same store, at the address that is configured.
                let settings = &config.dev_s3;
                (format!("http://{}:{}", settings.address, settings.port), None)
            }
            Ok(None) => return Err(failing(anyhow::anyhow!("the embedded S3 is not in use"))),
            Err(error) => return Err(failing(error)),
        };
        let places = locate(config, &config.dev_s3.bucket, &endpoint);
        let (location, public_location) = places.map_err(|error| failing(error.into()))?;
        let started = if let Some(embedded) = started {
            Some((embedded, db))
        } else {
            let _ = db.close().await;
            None
        };
        Ok(Self {
            bucket: Bucket {
                location,
                public_location,
                credentials: Arc::new(key),
                place: None,
            },
            started,
        })
    }

    /// The bucket, to be asked single requests.
    ///
    /// # Errors
    /// Where this machine cannot make connections.
    pub fn ask(&self, clock: Clock) -> anyhow::Result<Ask> {
        let Bucket {
            location,
            credentials,
            ..
        } = self.bucket.clone();
        Ask::new(location, credentials, clock).context("no connections can be made")
    }

    /// Stops what was started.
    ///
    /// # Errors
    /// What the database says.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some((embedded, db)) = self.started {
            embedded.stop().await;
            db.close().await.map_err(explain)?;
        }
        Ok(())
    }
}

#[cfg(feature = "embedded-s3")]
fn is_in_use(error: &anyhow::Error) -> bool {
    use crate::dev_s3::DevS3Error;
    matches!(
        error.downcast_ref::<DevS3Error>(),
        Some(DevS3Error::InUse(_) | DevS3Error::Listen { .. })
    )
}

#[cfg(not(feature = "embedded-s3"))]
fn is_in_use(_: &anyhow::Error) -> bool {
    false
}

/// Settings that make no address, with the one to change.
fn misplaced(config: &Config, error: &SigningError) -> Finding {
    let s3 = &config.s3;
    let fix = match error {
        SigningError::Endpoint { endpoint, .. } if *endpoint == s3.endpoint => {
            "set s3.endpoint to http:// or https://, a host and no path".to_owned()
        }
        SigningError::Endpoint { .. } => {
            "set s3.public_endpoint to http:// or https://, a host and no path".to_owned()
        }
        SigningError::Bucket { bucket, .. } => {
            format!("set s3.bucket to the bucket's name (now \"{bucket}\")")
        }
        SigningError::Region(region) => format!("set s3.region to the bucket's region (now \"{region}\")"),
        _ => "mend the setting that is named, below [default.s3]".to_owned(),
    };
    Finding::new(Id::StoreAddress, error.to_string(), fix)
}

fn no_credentials(error: &anyhow::Error) -> Finding {
    if matches!(error.downcast_ref::<Error>(), Some(Error::CredentialsExpired)) {
        return Finding::new(
            Id::ExpiredToken,
            "the place of AWS's chain that is set up gives credentials that have ended",
            "have that place give new ones (`aws sso login` for SSO; the log names the place), or set up one that renews them",
        );
    }
    Finding::new(
        Id::CredentialsMissing,
        format!("{error:#}"),
        "set s3.access_key_id and s3.secret_access_key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or s3.profile, or give this \
         machine a role",
    )
}

/// Whether the folder or the share can be used that all files go to: by what the server asks of it before it says so itself.
async fn try_storage(config: &Config) -> anyhow::Result<()> {
    relay(config, None, &Metrics::off())?
        .check()
        .await
        .map_err(explain)
}

/// Looks at the settings, the database and the bucket, or at the storage where there is none.
///
/// # Errors
/// Where nothing can be looked at at all.
pub async fn examine(config: &Config, clock: Clock) -> anyhow::Result<Report> {
    let mut report = Report::default();
    doctor::examine_settings(config, &mut report);
    match open_database(config).await {
        Ok(db) => db.close().await.map_err(explain)?,
        Err(error) => report.add(Finding::new(
            Id::DatabaseUnusable,
            format!("{error:#}"),
            "mend database.url, or the permissions of data_dir",
        )),
    }
    if config.takes_all_through_us() {
        if let Err(error) = try_storage(config).await {
            report.add(Finding::new(
                Id::StorageUnusable,
                format!("{error:#}"),
                "mend what storage.backend names, below [default.storage], or the permissions there",
            ));
        }
        report.fact(
            "storage",
            "all files pass through the server into storage.backend; there is no bucket",
        );
        return Ok(report);
    }
    match StoreAtHand::open(config, &clock).await {
        Ok(at_hand) => {
            let examined = doctor::examine_bucket(config, &at_hand.bucket, clock, &mut report).await;
            at_hand.close().await?;
            examined?;
        }
        Err(finding) if report.has(finding.id) => {}
        Err(finding) => report.add(finding),
    }
    Ok(report)
}
