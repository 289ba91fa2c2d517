//! A server with its storage, into which a test can look.
//!
//! Separate from the client: what lies in a storage is known from the storage itself, never from the server's word.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muleteer::clock::Clock;
use muleteer::config::{BackendName, Config, Secret};
use muleteer::db::Database;
use muleteer::domain::{Owner, Upload, UploadId};
use muleteer::identity::{Scopes, create_key};
#[cfg(feature = "smb")]
use secrecy::ExposeSecret as _;

use super::client::Client;
use super::s3_client::{S3Client, Signer};
use super::server::{API_KEY, Kind, TestServer};

/// The store's own secret, so that a test can look into it.
const STORE_SECRET: &str = "the-store-of-the-tests";

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The embedded S3.
    S3,
    /// A folder of the test's own.
    Local,
    /// A folder of a share of a real Samba.
    #[cfg(feature = "smb")]
    Smb,
}

/// A running server and its storage.
pub struct Place {
    server: TestServer,
    backend: Backend,
    /// The folder of a storage that is one, as this machine sees it.
    folder: PathBuf,
}

impl Deref for Place {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.server
    }
}

impl Place {
    /// Starts a server; `None` only where something is skipped on purpose.
    pub fn start(database: Kind, backend: Backend, adjust: impl FnOnce(&mut Config)) -> Option<Self> {
        let mut folder = PathBuf::new();
        #[cfg(feature = "smb")]
        let share = match backend {
            Backend::Smb => Some(super::samba_share()?),
            _ => None,
        };
        let server = TestServer::start(database, |config| {
            config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
            match backend {
                Backend::S3 => {}
                Backend::Local => {
                    config.storage.backend = BackendName::Local;
                    config.storage.local.path = format!("{}/uploads", config.data_dir);
                    folder = PathBuf::from(&config.storage.local.path);
                }
                #[cfg(feature = "smb")]
                Backend::Smb => {
                    let (settings, its_folder) = share.expect("it was taken above");
                    config.storage.backend = BackendName::Smb;
                    config.storage.smb.host = settings.host;
                    config.storage.smb.port = settings.port;
                    config.storage.smb.user = settings.user;
                    config.storage.smb.password = Secret::new(settings.password.expose_secret());
                    config.storage.smb.share = settings.share;
                    config.storage.smb.path = settings.path;
                    folder = its_folder;
                }
            }
            adjust(config);
        })?;
        Some(Self {
            server,
            backend,
            folder,
        })
    }

    /// The holder of the key that the settings name, who names no interop version.
    pub fn client(&self) -> Client {
        Client::new(&self.server.base).with("X-API-Key", API_KEY)
    }

    /// The same in an interop version.
    pub fn speaking(&self, version: u64) -> Client {
        self.client().speaking(version)
    }

    /// Whether the bytes go to the embedded S3.
    pub fn is_s3(&self) -> bool {
        self.backend == Backend::S3
    }

    /// What is on record of the upload at an address.
    pub async fn record(&self, path: &str) -> Upload {
        let db = self.database().await;
        let id = path.rsplit('/').next().expect("an id");
        let id = UploadId::parse(id).expect("an id of ours");
        let upload = db.find_upload(&id, None).await.expect("the database");
        db.close().await.expect("closed");
        upload.expect("an upload")
    }

    /// The finished object of the upload at an address.
    pub async fn object(&self, path: &str) -> Option<Vec<u8>> {
        let upload = self.record(path).await;
        self.bytes(upload.key.as_str()).await
    }

    /// The bytes of an object.
    pub async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        match self.backend {
            Backend::S3 => {
                let answer = self.store().get(key).await;
                (answer.status == 200).then_some(answer.body)
            }
            _ => std::fs::read(self.folder.join(key)).ok(),
        }
    }

    /// The keys of everything that looks finished, of whatever upload.
    pub async fn finished(&self) -> Vec<String> {
        let mut keys = self.everything().await;
        keys.retain(|key| !key.starts_with(".muleteer/"));
        keys
    }

    /// Whether nothing unfinished is left: what is dropped beside the answer has its time.
    pub async fn is_clean(&self) -> bool {
        for _ in 0..200 {
            let mut keys = self.everything().await;
            keys.retain(|key| key.starts_with(".muleteer/"));
            if keys.is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    async fn everything(&self) -> Vec<String> {
        match self.backend {
            Backend::S3 => {
                let list = self.store().ask("GET", "").query("list-type", "2");
                let answer = list.send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.tags("Key")
            }
            _ => files_below(&self.folder, ""),
        }
    }

    /// The embedded store, as somebody sees it who has its keys.
    pub fn store(&self) -> S3Client {
        let signer = Signer {
            access_key_id: self.config.dev_s3.access_key_id.clone(),
            secret: STORE_SECRET.to_owned(),
            token: None,
            region: self.config.s3.region.clone(),
        };
        S3Client::new(&self.server.store, &self.config.dev_s3.bucket, signer)
    }

    /// How many uploads there ever were.
    pub async fn uploads(&self) -> usize {
        let db = self.database().await;
        let all = db
            .list_uploads(muleteer::db::UploadQuery {
                limit: 1000,
                ..Default::default()
            })
            .await;
        db.close().await.expect("closed");
        all.expect("the database").len()
    }

    async fn database(&self) -> Database {
        Database::open(&self.config.database_url(), 1)
            .await
            .expect("the database")
    }

    /// Somebody else, with a key of their own.
    pub async fn stranger(&self) -> Client {
        let db = self.database().await;
        let owner = Owner::named("somebody.else").expect("a name");
        let scopes = Scopes::parse("upload").expect("scopes");
        let key = create_key(&db, &owner, scopes, Clock::system().now())
            .await
            .expect("a key");
        db.close().await.expect("closed");
        Client::new(&self.server.base).with("X-API-Key", &key)
    }
}

/// The paths of all files below a folder.
fn files_below(folder: &Path, shown: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        if entry.file_type().expect("its type").is_dir() {
            found.extend(files_below(&entry.path(), &format!("{shown}{name}/")));
        } else {
            found.push(format!("{shown}{name}"));
        }
    }
    found
}
