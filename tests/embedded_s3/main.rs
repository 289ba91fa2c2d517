//! The embedded S3 server over real HTTP: the behaviour of S3 that the product relies on.
//!
//! Separate from the unit tests because here the client is a stranger: it signs with code of its own and sees only
//! what goes over the wire.

#![cfg(feature = "embedded-s3")]

#[path = "../support/s3_client.rs"]
mod s3_client;

mod auth;
mod copies;
mod cors;
mod integrity;
mod lifecycle;
mod multipart;
mod objects;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use muleteer::dev_s3::{self, DevS3, DevS3Config};
use s3_client::{S3Client, Signer};
use tempfile::TempDir;

const BUCKET: &str = "uploads";
/// Small, so that tests of many parts need few bytes.
const MIN_PART: u64 = 8;

/// A server on a fresh directory and a client of it.
struct Running {
    server: DevS3,
    client: S3Client,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut DevS3Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        change(&mut config);
        let server = dev_s3::start(config).await.expect("it starts");
        let client = client_of(&server);
        Self {
            server,
            client,
            folder,
        }
    }

    /// Stops the server and starts another on the same directory.
    async fn restart(self) -> Self {
        self.server.stop().await;
        let server = dev_s3::start(config(self.folder.path()))
            .await
            .expect("it starts again");
        Self {
            client: client_of(&server),
            server,
            folder: self.folder,
        }
    }

    /// How many files there are in one of the directory's folders.
    fn files_in(&self, name: &str) -> usize {
        std::fs::read_dir(self.folder.path().join(name))
            .expect("a folder")
            .count()
    }
}

fn config(root: &Path) -> DevS3Config {
    DevS3Config {
        root: root.to_path_buf(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        access_key_id: "AKTEST".to_owned(),
        secret_access_key: "a secret".to_owned().into(),
        session_token: None,
        parts_only: None,
        region: "eu-test-1".to_owned(),
        bucket: BUCKET.to_owned(),
        min_part_size: MIN_PART,
        allow_remote: false,
        max_upload_age: Duration::from_hours(24),
    }
}

fn client_of(server: &DevS3) -> S3Client {
    let signer = Signer {
        access_key_id: "AKTEST".to_owned(),
        secret: "a secret".to_owned(),
        token: None,
        region: "eu-test-1".to_owned(),
    };
    S3Client::new(&server.endpoint(), BUCKET, signer)
}
