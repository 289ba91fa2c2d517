//! A bucket of its own for each test, with all that the settings need of it, until a test takes something away.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Once;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use muleteer::app::{self, StoreAtHand};
use muleteer::clock::Clock;
use muleteer::config::{Config, Secret};
use muleteer::dev_s3::{self, DevS3, DevS3Config, MIN_PART_SIZE, TemporaryKey};
use muleteer::doctor::{self, Finding, Report};
use tempfile::TempDir;

use super::s3_client::{Answer, S3Client, Signer};

/// The only region of the embedded S3 here; an outside store takes it as well.
pub const REGION: &str = "us-east-1";

/// A key of the embedded S3 that may send parts and nothing else.
pub const NARROW: (&str, &str) = ("parts-only", "the secret of the narrow key");

/// A store with a bucket.
pub struct Ground {
    /// Settings that are right.
    /// In a box, since it is large and lies in every test's future.
    pub config: Box<Config>,
    /// Somebody who may do everything with the bucket.
    pub client: S3Client,
    running: Option<DevS3>,
    _folder: TempDir,
}

impl Ground {
    /// A bucket of the embedded S3.
    pub async fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let running = dev_s3::start(DevS3Config {
            root: folder.path().join("s3"),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            access_key_id: "doctor".to_owned(),
            secret_access_key: "the secret of the doctor".to_owned().into(),
            session_token: None,
            parts_only: Some((NARROW.0.to_owned(), NARROW.1.to_owned().into())),
            region: REGION.to_owned(),
            bucket: "patient".to_owned(),
            min_part_size: MIN_PART_SIZE,
            allow_remote: false,
            max_upload_age: Duration::from_hours(240),
        })
        .await
        .expect("it starts");
        let endpoint = running.endpoint();
        let place = (endpoint.as_str(), "doctor", "the secret of the doctor", "patient");
        Self::with(place, folder, Some(running)).await
    }

    /// A new bucket of the outside store, where there is one.
    pub async fn outside() -> Option<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("S3_ENDPOINT")?;
        let (key, secret) = (variable("S3_KEY")?, variable("S3_SECRET")?);
        let bucket = format!("doctor-{}", uuid::Uuid::new_v4().simple());
        let folder = tempfile::tempdir().expect("a folder");
        let ground = Self::with((&endpoint, &key, &secret, &bucket), folder, None).await;
        Some(ground)
    }

    async fn with(
        (endpoint, key, secret, bucket): (&str, &str, &str, &str),
        folder: TempDir,
        running: Option<DevS3>,
    ) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        let signer = Signer {
            access_key_id: key.to_owned(),
            secret: secret.to_owned(),
            token: None,
            region: REGION.to_owned(),
        };
        let client = S3Client::new(endpoint, bucket, signer);
        let made = client.ask("PUT", "").send().await;
        assert!(matches!(made.status, 200 | 409), "{made:?}");
        let mut config = Box::new(Config {
            data_dir: folder.path().join("data").to_str().expect("UTF-8").to_owned(),
            ..Config::default()
        });
        config.s3.endpoint = endpoint.to_owned();
        config.s3.bucket = bucket.to_owned();
        REGION.clone_into(&mut config.s3.region);
        config.s3.access_key_id = key.to_owned();
        config.s3.secret_access_key = Secret::new(secret);
        let ground = Self {
            config,
            client,
            running,
            _folder: folder,
        };
        ground.set_up(&ground.config).await;
        ground
    }

    /// Has the embedded S3 take a temporary key.
    pub fn admit(&self, key: TemporaryKey) {
        self.running.as_ref().expect("the embedded S3").admit(key);
    }

    /// Whether it is the store that we bring along.
    pub fn is_embedded(&self) -> bool {
        self.running.is_some()
    }

    /// Gives the bucket what those settings need.
    pub async fn set_up(&self, config: &Config) {
        let clock = Clock::system();
        let at_hand = StoreAtHand::open(config, &clock).await.expect("a store");
        let ask = at_hand.ask(clock).expect("connections");
        doctor::apply_cors(config, &ask).await.expect("CORS rules");
        doctor::apply_lifecycle(config, &ask)
            .await
            .expect("a lifecycle rule");
        at_hand.close().await.expect("closed");
    }

    /// Replaces a document of the bucket: `cors`, `lifecycle`, `policy`.
    pub async fn put(&self, what: &str, document: &str) {
        let digest = STANDARD.encode(Md5::digest(document.as_bytes()));
        let request = self
            .client
            .ask("PUT", "")
            .query(what, "")
            .header("content-md5", &digest);
        let answer = request.body(document.as_bytes()).send().await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// Replaces the bucket's CORS rules by one.
    pub async fn put_cors(&self, rule: &str) {
        self.put(
            "cors",
            &format!("<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>"),
        )
        .await;
    }

    /// Removes a document of the bucket.
    pub async fn remove(&self, what: &str) {
        let answer: Answer = self.client.ask("DELETE", "").query(what, "").send().await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// The keys of all objects and unfinished uploads.
    pub async fn left_over(&self) -> Vec<String> {
        let objects = self.client.ask("GET", "").query("list-type", "2").send().await;
        let uploads = self.client.ask("GET", "").query("uploads", "").send().await;
        [objects.tags("Key"), uploads.tags("Key")].concat()
    }

    /// What the doctor finds with the settings as they are.
    pub async fn examine(&self) -> Report {
        examine(&self.config).await
    }
}

/// What the doctor finds with these settings.
pub async fn examine(config: &Config) -> Report {
    app::examine(config, Clock::system())
        .await
        .expect("an examination")
}

/// The one thing that was found, by its name.
pub fn only(report: &Report, name: &str) -> Finding {
    let names: Vec<_> = report.findings.iter().map(|finding| finding.id.name()).collect();
    assert_eq!(names, [name], "{report:#?}");
    report.findings[0].clone()
}

/// The one thing that was found has that name, and its fix names what to change.
pub fn assert_only(report: &Report, name: &str, fix: &str) {
    let finding = only(report, name);
    assert!(finding.fix.contains(fix), "{finding:#?}");
}

/// Runs one test on every store that there is.
pub async fn on_each(test: impl AsyncFn(Ground)) {
    eprintln!("on the embedded S3");
    Box::pin(test(Ground::embedded().await)).await;
    match Ground::outside().await {
        Some(ground) => {
            eprintln!("on the outside store");
            Box::pin(test(ground)).await;
        }
        None => eprintln!("without an outside store: S3_ENDPOINT is not set"),
    }
}
