//! A server, its store, and a gate before each.

use muleteer::config::{Config, Secret};
use muleteer::dev_s3::{self, DevS3, DevS3Config, MIN_PART_SIZE};

use super::gate::Gate;
use super::s3_client::{S3Client, Signer};
use super::server::{Kind, TestServer};

const BUCKET: &str = "upload-command";

/// Everything that an upload passes.
pub struct Place {
    /// The server.
    pub server: TestServer,
    /// On the way to the server.
    pub to_server: Gate,
    /// On the way from clients to the store; the server has its own.
    pub to_store: Gate,
    /// A look into the store, past everybody.
    pub store: S3Client,
    _embedded: Option<DevS3>,
}

impl Place {
    /// With the embedded store.
    pub async fn embedded() -> Self {
        Self::adjusted(|_| {}).await
    }

    /// With the embedded store and other settings.
    pub async fn adjusted(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let settings = DevS3Config {
            root: folder,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            port: 0,
            access_key_id: "testaccesskey".into(),
            secret_access_key: "testsecretkey123456".into(),
            session_token: None,
            parts_only: None,
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            min_part_size: MIN_PART_SIZE,
            allow_remote: false,
            max_upload_age: std::time::Duration::from_hours(1),
        };
        let store = dev_s3::start(settings).await.expect("it starts");
        let endpoint = store.endpoint();
        Self::before(
            &endpoint,
            ("testaccesskey", "testsecretkey123456"),
            Some(store),
            adjust,
        )
    }

    /// With a store that is not ours, where `S3_ENDPOINT`, `S3_KEY` and `S3_SECRET` name one.
    pub async fn outside() -> Option<Self> {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let Some(endpoint) = variable("S3_ENDPOINT") else {
            eprintln!("without an outside store: S3_ENDPOINT is not set");
            return None;
        };
        let (key, secret) = (
            variable("S3_KEY").expect("S3_KEY"),
            variable("S3_SECRET").expect("S3_SECRET"),
        );
        let place = Self::before(endpoint.trim_end_matches('/'), (&key, &secret), None, |_| {});
        let made = place.store.ask("PUT", "").send().await;
        assert!(matches!(made.status, 200 | 409), "{made:?}");
        Some(place)
    }

    fn before(
        endpoint: &str,
        (key, secret): (&str, &str),
        embedded: Option<DevS3>,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let to_store = Gate::to(endpoint);
        let server = TestServer::start(Kind::Sqlite, |config| {
            config.s3.bucket = BUCKET.into();
            endpoint.clone_into(&mut config.s3.endpoint);
            config.s3.public_endpoint.clone_from(&to_store.address);
            config.s3.access_key_id = key.into();
            config.s3.secret_access_key = Secret::new(secret);
            adjust(config);
        })
        .expect("SQLite is never skipped");
        let signer = Signer {
            access_key_id: key.to_owned(),
            secret: secret.to_owned(),
            token: None,
            region: server.config.s3.region.clone(),
        };
        Self {
            to_server: Gate::to(&server.base),
            to_store,
            store: S3Client::new(endpoint, BUCKET, signer),
            server,
            _embedded: embedded,
        }
    }

    /// The bytes of an object.
    pub async fn object(&self, key: &str) -> Vec<u8> {
        let answer = self.store.get(key).await;
        assert_eq!(answer.status, 200, "{key}");
        answer.body
    }

    /// The keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let answer = self.store.ask("GET", "").query("list-type", "2").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.tags("Key")
    }

    /// Multipart uploads that are under way at the store.
    pub async fn unfinished(&self) -> usize {
        let answer = self.store.ask("GET", "").query("uploads", "").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.tags("Key").len()
    }
}
