//! Buckets: of the embedded S3, and of a store that is not ours where `S3_ENDPOINT`, `S3_KEY` and `S3_SECRET` name one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muleteer::clock::Clock;
use muleteer::dev_s3::{self, DevS3, DevS3Config, MIN_PART_SIZE};
use muleteer::domain::PartLimits;
use muleteer::signing::{AddressingStyle, BucketLocation, Credentials};
use muleteer::storage::{CredentialSource, S3Relay, S3Store, Storage, StoreSettings};

use crate::Place;
use crate::files::MIB;
use crate::s3_client::{S3Client, Signer};
use crate::s3_traffic::Wire;

const REGION: &str = "us-east-1";

/// A bucket of the test's own.
pub struct Bucket {
    endpoint: String,
    name: String,
    credentials: Credentials,
    least_part: u64,
    wire: Option<Wire>,
    embedded: Option<(DevS3, tempfile::TempDir)>,
}

impl Bucket {
    /// In the embedded S3, in this process.
    pub async fn embedded() -> Option<Self> {
        Self::embedded_with(MIN_PART_SIZE).await
    }

    /// In the embedded S3, which takes smaller parts than any other: what a part's end does shows earlier.
    pub async fn with_small_parts() -> Option<Self> {
        Self::embedded_with(64 << 10).await
    }

    async fn embedded_with(least_part: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (id, secret) = ("testaccesskey", "testsecretkey123456");
        let running = dev_s3::start(DevS3Config {
            root: folder.path().into(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            port: 0,
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: None,
            parts_only: None,
            region: REGION.into(),
            bucket: "uploads".into(),
            min_part_size: least_part,
            allow_remote: false,
            max_upload_age: Duration::from_hours(1),
        })
        .await
        .expect("it starts");
        Some(Self {
            endpoint: running.endpoint(),
            name: "uploads".into(),
            credentials: Credentials::long_term(id, secret),
            least_part,
            wire: None,
            embedded: Some((running, folder)),
        })
    }

    /// The same, reached over a wire that counts.
    pub async fn counted(mut self) -> Self {
        let wire = Wire::to(&self.endpoint).await;
        self.endpoint.clone_from(&wire.endpoint);
        self.wire = Some(wire);
        self
    }

    /// The wire, if it is reached over one.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// In a store that is not ours; `None` where there is none.
    pub async fn outside() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("S3_ENDPOINT")?;
        let (id, secret) = (
            variable("S3_KEY").expect("S3_KEY"),
            variable("S3_SECRET").expect("S3_SECRET"),
        );
        let name = format!("relay-{}", uuid::Uuid::new_v4().simple());
        let signer = Signer {
            access_key_id: id.clone(),
            secret: secret.clone(),
            token: None,
            region: REGION.into(),
        };
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let made = S3Client::new(&endpoint, &name, signer)
            .ask("PUT", "")
            .send()
            .await;
        assert_eq!(made.status, 200, "{made:?}");
        Some(Self {
            endpoint,
            name,
            credentials: Credentials::long_term(id, secret),
            least_part: MIN_PART_SIZE,
            wire: None,
            embedded: None,
        })
    }
}

#[async_trait]
impl Place for Bucket {
    async fn open(&self) -> Box<dyn Storage> {
        let locate = || {
            BucketLocation::new(&self.endpoint, &self.name, AddressingStyle::Path, REGION)
                .expect("a location")
        };
        let settings = StoreSettings {
            location: locate(),
            public_location: locate(),
            url_lifetime: Duration::from_mins(10),
            signature_v2: None,
            handed_out: None,
            checksum: muleteer::domain::WantedChecksum::Auto,
            sts: None,
        };
        let source = CredentialSource::fixed(self.credentials.clone());
        let store = Arc::new(S3Store::new(settings, source).expect("a store"));
        let limits = PartLimits::relay(50 * MIB);
        Box::new(S3Relay::new(store, Clock::system(), self.least_part, limits))
    }

    fn least_part(&self) -> u64 {
        self.least_part
    }

    /// S3 replaces what has the same key; ours never have.
    fn keeps_what_is_there(&self) -> bool {
        false
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // The server ends with the test's runtime; its folder must outlive it only as long as this value lives.
        drop(self.embedded.take());
    }
}
