//! A server with its storage, into which a test can look.
//!
//! Separate from the client: what lies in a storage is known from the storage itself, never from the server's word.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use muleteer::app;
use muleteer::clock::Clock;
use muleteer::config::{BackendName, Config, Secret};
use muleteer::db::Database;
use muleteer::domain::{Owner, UploadId};
use muleteer::identity::{Scopes, create_key};
use muleteer::uploads::Swept;
#[cfg(feature = "smb")]
use secrecy::ExposeSecret as _;

use super::around::leave_since;
pub use super::around::{beside, store_of};
use super::client::{Client, Upload};
use super::server::{Kind, TestServer};

/// The store's own secret, so that a test can look into it.
pub const STORE_SECRET: &str = "the-store-of-the-tests";

/// Signs the tokens of these tests.
pub const JWT_SECRET: &str = "the-secret-that-signs-tokens-in-tests";

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
    /// Starts a server with parts of 1 MiB; `None` only where something is skipped on purpose.
    pub fn start(database: Kind, backend: Backend, adjust: impl FnOnce(&mut Config)) -> Option<Self> {
        let mut folder = PathBuf::new();
        #[cfg(feature = "smb")]
        let share = match backend {
            Backend::Smb => Some(super::samba_share()?),
            _ => None,
        };
        let server = TestServer::start(database, |config| {
            config.dev_s3.min_part_size = 8;
            config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
            config.auth.secret = Secret::new(JWT_SECRET);
            config.protocols.chunks.chunk_size_mb = 1;
            config.uploads.part_size = 16;
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

    /// A second server on the same database and storage.
    pub fn twin(&self) -> TestServer {
        let config = beside(&self.server);
        let started = TestServer::start(Kind::Sqlite, |own| *own = config);
        started.expect("SQLite is never skipped, and the address is the first server's")
    }

    /// Kills the server and starts it again.
    pub fn restart(self) -> Self {
        Self {
            server: self.server.restart(),
            ..self
        }
    }

    /// The backend's name in the protocol.
    pub fn backend_name(&self) -> &'static str {
        match self.backend {
            Backend::S3 => "s3",
            Backend::Local => "local",
            #[cfg(feature = "smb")]
            Backend::Smb => "smb",
        }
    }

    /// What `final_path` begins with before the folder.
    pub fn root(&self) -> String {
        match self.backend {
            Backend::S3 => "s3://uploads/".to_owned(),
            Backend::Local => format!("{}/", self.config.storage.local.path),
            #[cfg(feature = "smb")]
            Backend::Smb => {
                let smb = &self.config.storage.smb;
                format!("smb://{}:{}/{}/{}/", smb.host, smb.port, smb.share, smb.path)
            }
        }
    }

    /// The finished object behind a `final_path`.
    pub async fn object(&self, final_path: &str) -> Option<Vec<u8>> {
        let key = final_path.strip_prefix(&self.root());
        let key = key.unwrap_or_else(|| panic!("{final_path} is not below {}", self.root()));
        match self.backend {
            Backend::S3 => {
                let answer = store_of(&self.server).get(key).await;
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

    /// What lies in the storage and is not finished: open multipart uploads, waiting pieces, temporary files.
    pub async fn unfinished(&self) -> Vec<String> {
        let mut found = self.everything().await;
        found.retain(|key| key.starts_with(".muleteer/"));
        if self.backend == Backend::S3 {
            let list = store_of(&self.server).ask("GET", "").query("uploads", "");
            let answer = list.send().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            found.extend(answer.tags("Key"));
        }
        found
    }

    async fn everything(&self) -> Vec<String> {
        match self.backend {
            Backend::S3 => {
                let list = store_of(&self.server).ask("GET", "").query("list-type", "2");
                let answer = list.send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                let keys = answer.tags("Key").into_iter();
                keys.map(|key| key.replace("&apos;", "'").replace("&#39;", "'"))
                    .collect()
            }
            _ => files_below(&self.folder, ""),
        }
    }

    /// Sweeps once, leftovers as well, as another process that shares database and storage; `None` where somebody else
    /// is at it.
    pub async fn sweep_beside(&self) -> Option<Swept> {
        app::sweep(&beside(&self.server), self.server.clock.clone())
            .await
            .expect("a sweep")
    }

    /// Sweeps until it was this sweep's turn.
    pub async fn sweep(&self) -> Swept {
        for _ in 0..1000 {
            if let Some(swept) = self.sweep_beside().await {
                return swept;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("somebody else sweeps for ever");
    }

    /// The server's database, beside the server.
    pub async fn database(&self) -> Database {
        Database::open(&self.config.database_url(), 1)
            .await
            .expect("the database")
    }

    /// The holder of a new key.
    pub async fn key(&self, owner: &str, scopes: &str) -> Client {
        let db = self.database().await;
        let (owner, scopes) = (
            Owner::named(owner).expect("a name"),
            Scopes::parse(scopes).expect("scopes"),
        );
        let key = create_key(&db, &owner, scopes, Clock::system().now())
            .await
            .expect("a key");
        db.close().await.expect("closed");
        Client::nobody(self).with("x-api-key", &key)
    }

    /// Has the time of an upload run out, whose storage goes by the machine's clock and would not bear another.
    pub fn run_out(&self, upload: &Upload) {
        let ended = self.clock.now() - TimeDelta::seconds(1);
        leave_since(&self.config, &id_of(upload), ended - TimeDelta::hours(1), ended);
    }

    /// Waits until nothing unfinished is left, for what is dropped beside the answer.
    pub async fn is_clean(&self) -> bool {
        for _ in 0..200 {
            if self.unfinished().await.is_empty() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
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

/// Our own id of an upload.
pub fn id_of(upload: &Upload) -> UploadId {
    UploadId::parse_uuid_v4(&upload.id).expect("an id of ours")
}
