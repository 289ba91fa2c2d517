//! The store that uploads go to: the configured bucket with its credentials, or the embedded S3.
//!
//! Separate from the putting together, because which endpoint, addressing style and key apply is a decision over
//! half a dozen settings, and nothing after it needs to know how it went.

#[cfg(feature = "embedded-s3")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;

use super::explain;
#[cfg(feature = "embedded-s3")]
use super::secrets::secret;
use crate::clock::Clock;
use crate::config::{BackendName, Config, PathStyle};
use crate::db::Database;
#[cfg(feature = "embedded-s3")]
use crate::dev_s3::{self, DevS3, DevS3Config};
use crate::domain::{KeyPrefix, PartLimits};
#[cfg(feature = "aws-credential-chain")]
use crate::error::Error;
use crate::metrics::Metrics;
use crate::signing::{AddressingStyle, BucketLocation, Credentials, SigningError};
use crate::storage::{
    CredentialSource, LocalSettings, LocalStore, Measured, S3Relay, S3Store, Storage, StoreSettings,
    StsSettings,
};
#[cfg(feature = "smb")]
use crate::storage::{SmbSettings, SmbStore};
use crate::uploads::Bucket;

/// The name under which the embedded S3's secret key is kept in the database.
#[cfg(feature = "embedded-s3")]
const STORE_SECRET: &str = "embedded-store";

/// The embedded S3 while it runs, with the one key that it takes.
pub(super) struct Embedded {
    /// Where it listens.
    pub(super) endpoint: String,
    /// Its key.
    pub(super) credentials: Credentials,
    #[cfg(feature = "embedded-s3")]
    running: DevS3,
}

impl Embedded {
    /// Starts it, if it is meant: neither a bucket nor another place is configured.
    #[cfg(feature = "embedded-s3")]
    pub(super) async fn start(config: &Config, db: &Database) -> anyhow::Result<Option<Self>> {
        if !config.uses_embedded_store() {
            return Ok(None);
        }
        let settings = &config.dev_s3;
        let credentials = Self::key(config, db).await?;
        let running = dev_s3::start(DevS3Config {
            root: Path::new(&config.data_dir).join("s3"),
            address: settings.address.parse().context("dev_s3.address")?,
            port: settings.port,
            access_key_id: settings.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.clone(),
            session_token: None,
            parts_only: narrow_key(config).map(|own| (own.access_key_id, own.secret_access_key)),
            region: config.s3.region.clone(),
            bucket: settings.bucket.clone(),
            min_part_size: settings.min_part_size,
            allow_remote: settings.allow_remote,
            // Ours are swept before; this is for what other programs began.
            max_upload_age: Duration::from_secs(config.uploads.ttl_hours.saturating_mul(2 * 3600)),
        })
        .await
        .context("the embedded S3 does not start")?;
        Ok(Some(Self {
            endpoint: running.endpoint(),
            credentials,
            running,
        }))
    }

    /// This build has none; the settings' check has refused an empty bucket before.
    #[cfg(not(feature = "embedded-s3"))]
    #[expect(clippy::unused_async, reason = "the other build waits here")]
    pub(super) async fn start(_config: &Config, _db: &Database) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    /// The key that it takes, also while another process runs it.
    #[cfg(feature = "embedded-s3")]
    pub(super) async fn key(config: &Config, db: &Database) -> anyhow::Result<Credentials> {
        let settings = &config.dev_s3;
        let secret = secret(&settings.secret_access_key, STORE_SECRET, db).await?;
        Ok(Credentials::long_term(settings.access_key_id.clone(), secret))
    }

    /// Ends it; requests that are under way finish first.
    #[cfg(feature = "embedded-s3")]
    pub(super) async fn stop(self) {
        self.running.stop().await;
    }

    /// This build has none.
    #[cfg(not(feature = "embedded-s3"))]
    #[expect(clippy::unused_async, reason = "the other build waits here")]
    pub(super) async fn key(_config: &Config, _db: &Database) -> anyhow::Result<Credentials> {
        anyhow::bail!("this build has no embedded S3")
    }

    /// This build has none.
    #[cfg(not(feature = "embedded-s3"))]
    #[expect(clippy::unused_async, reason = "the other build waits here")]
    pub(super) async fn stop(self) {}
}

/// The bucket that the settings mean, or the embedded one's; none where all passes through us.
pub(super) async fn bucket(
    config: &Config,
    embedded: Option<&Embedded>,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<Option<Bucket>> {
    if config.takes_all_through_us() {
        return Ok(None);
    }
    let store = Arc::new(open(config, embedded, clock, metrics).await?);
    let limits = PartLimits::relay(config.uploads.part_size);
    let storage = S3Relay::new(store.clone(), clock.clone(), config.min_part_size(), limits);
    Ok(Some(Bucket {
        store,
        storage: Arc::new(storage),
    }))
}

/// The store as the settings describe it, or the embedded one where that runs.
async fn open(
    config: &Config,
    embedded: Option<&Embedded>,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<S3Store> {
    let s3 = &config.s3;
    let (bucket, endpoint, source) = match embedded {
        Some(embedded) => (
            &config.dev_s3.bucket,
            &embedded.endpoint,
            CredentialSource::fixed(embedded.credentials.clone()),
        ),
        None => (
            &s3.bucket,
            &s3.endpoint,
            credentials(config, clock, metrics).await?,
        ),
    };
    let (location, public_location) = locate(config, bucket, endpoint)?;
    let settings = StoreSettings {
        location,
        public_location,
        url_lifetime: Duration::from_secs(s3.url_lifetime_s),
        answer_timeout: Duration::from_secs(s3.answer_timeout_s),
        signature_v2: signature_v2_key(config, &source, clock).await?,
        handed_out: handed_out_key(config, &source, clock).await?,
        sts: sts(config)?,
        checksum: s3.checksum.wanted(),
    };
    let store = S3Store::new(settings, source).map_err(explain)?;
    Ok(store.with_metrics(metrics.clone()))
}

/// The bucket as we reach it at `endpoint`, and as browsers do.
pub(super) fn locate(
    config: &Config,
    bucket: &str,
    endpoint: &str,
) -> Result<(BucketLocation, BucketLocation), SigningError> {
    let s3 = &config.s3;
    let public = if s3.public_endpoint.is_empty() {
        endpoint
    } else {
        &s3.public_endpoint
    };
    let style = match (s3.path_style, endpoint.is_empty()) {
        (PathStyle::Always, _) | (PathStyle::Auto, false) => AddressingStyle::Path,
        (PathStyle::Never, _) | (PathStyle::Auto, true) => AddressingStyle::VirtualHost,
    };
    let at = |endpoint: &str| {
        if endpoint.is_empty() {
            BucketLocation::aws(bucket, &s3.region)
        } else {
            BucketLocation::new(endpoint, bucket, style, &s3.region)
        }
    };
    Ok((at(endpoint)?, at(public)?))
}

/// Where uploads go whose bytes pass through us. Of a folder and of a share every operation is measured here; the bucket sees
/// to its requests itself.
pub(super) fn relay(
    config: &Config,
    bucket: Option<&Bucket>,
    metrics: &Metrics,
) -> anyhow::Result<Arc<dyn Storage>> {
    match config.storage.backend {
        BackendName::S3 => {
            let bucket = bucket.context("there is neither a bucket nor a folder")?;
            Ok(bucket.storage.clone())
        }
        BackendName::Local => {
            let local = &config.storage.local;
            let settings = LocalSettings {
                root: PathBuf::from(&local.path),
                shown_root: local.path.clone(),
                temp: Some(&local.temp_path)
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from),
                sync: config.storage.sync,
                part_size: config.uploads.part_size,
            };
            let store = LocalStore::open(&settings)
                .map_err(|error| explain(error).context(format!("storage.local.path {}", local.path)))?;
            Ok(Arc::new(Measured::new(store, metrics.clone())))
        }
        #[cfg(feature = "smb")]
        BackendName::Smb => {
            let smb = &config.storage.smb;
            let settings = SmbSettings {
                host: smb.host.clone(),
                port: smb.port,
                user: smb.user.clone(),
                password: SecretString::from(smb.password.expose().to_owned()),
                share: smb.share.clone(),
                path: smb.path.clone(),
                sync: config.storage.sync,
                part_size: config.uploads.part_size,
            };
            let store = SmbStore::new(settings).map_err(|error| explain(error).context("storage.smb"))?;
            Ok(Arc::new(Measured::new(store, metrics.clone())))
        }
        #[cfg(not(feature = "smb"))]
        BackendName::Smb => anyhow::bail!("this build has no SMB (feature `smb`)"),
    }
}

/// The key that SigV2 clients are served with, if SigV2 is switched on.
async fn signature_v2_key(
    config: &Config,
    source: &CredentialSource,
    clock: &Clock,
) -> anyhow::Result<Option<Credentials>> {
    let mule = &config.protocols.mule;
    if !mule.signature_v2 {
        return Ok(None);
    }
    if !mule.access_key_id.is_empty() {
        let secret = mule.secret_access_key.expose().to_owned();
        return Ok(Some(Credentials::long_term(mule.access_key_id.clone(), secret)));
    }
    let current = source.current(clock.now()).await.map_err(explain)?;
    anyhow::ensure!(
        current.session_token.is_none(),
        "protocols.mule.signature_v2 needs a long-term key: set protocols.mule.access_key_id"
    );
    Ok(Some((*current).clone()))
}

/// The key of which pages of mule-uploader's second generation get the signing key of the day.
async fn handed_out_key(
    config: &Config,
    source: &CredentialSource,
    clock: &Clock,
) -> anyhow::Result<Option<Credentials>> {
    let Some(own) = narrow_key(config) else {
        return Ok(None);
    };
    let current = source.current(clock.now()).await.map_err(explain)?;
    // The settings' check cannot see what AWS's own chain finds, nor a secret that the database keeps.
    anyhow::ensure!(
        !own.is_akin_to(&current),
        "protocols.mule.signing_key is the store's own credential, whose key must not be handed out"
    );
    tracing::warn!(
        credential = own.access_key_id,
        "protocols.mule.signing_key is set: whoever may upload gets a key that signs everything that this credential \
         may do; see docs/mule.md"
    );
    Ok(Some(own))
}

/// How Uppy's pages get temporary credentials, if they do.
fn sts(config: &Config) -> anyhow::Result<Option<StsSettings>> {
    let sts = &config.protocols.uppy.sts;
    if !config.protocols.uppy.enabled || !sts.is_on() {
        return Ok(None);
    }
    tracing::warn!(
        role = sts.role_arn,
        "protocols.uppy.sts is set: whoever may upload gets temporary credentials; see docs/front-ends/uppy.md"
    );
    Ok(Some(StsSettings {
        endpoint: config.sts_endpoint(),
        role_arn: sts.role_arn.clone(),
        partition: sts.partition().to_owned(),
        external_id: (!sts.external_id.is_empty())
            .then(|| SecretString::from(sts.external_id.expose().to_owned())),
        duration: Duration::from_secs(sts.duration_s),
        prefix: KeyPrefix::new(&sts.key_prefix).map_err(anyhow::Error::msg)?,
    }))
}

/// The credential of `protocols.mule.signing_key`, if one is set.
fn narrow_key(config: &Config) -> Option<Credentials> {
    let own = &config.protocols.mule.signing_key;
    (!own.access_key_id.is_empty()).then(|| {
        let secret = own.secret_access_key.expose().to_owned();
        Credentials::long_term(own.access_key_id.clone(), secret)
    })
}

/// The credentials that the settings give, or AWS's own chain of places to find some.
pub(super) async fn credentials(
    config: &Config,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<CredentialSource> {
    let s3 = &config.s3;
    if !s3.access_key_id.is_empty() {
        let token = s3.session_token.expose();
        let secret = s3.secret_access_key.expose().to_owned();
        return Ok(CredentialSource::fixed(Credentials {
            session_token: (!token.is_empty()).then(|| SecretString::from(token.to_owned())),
            ..Credentials::long_term(s3.access_key_id.clone(), secret)
        }));
    }
    #[cfg(feature = "aws-credential-chain")]
    return CredentialSource::chain(&s3.profile, &s3.region, clock.clone(), metrics.clone())
        .await
        .map_err(|error| {
            let told = match error {
                Error::CredentialsExpired => {
                    "the credentials for S3 had ended when they were given; the log names their place"
                }
                _ => "no credentials for S3: set s3.access_key_id, or AWS's own",
            };
            explain(error).context(told)
        });
    #[cfg(not(feature = "aws-credential-chain"))]
    {
        let _ = (clock, metrics);
        anyhow::bail!("no credentials for S3: set s3.access_key_id and s3.secret_access_key");
    }
}
