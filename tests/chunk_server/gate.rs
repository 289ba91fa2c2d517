//! A store that takes its time: the embedded S3 of another server behind a gate that holds completions back.
//!
//! Separate, because everything else is tested against a store that answers at once.

use std::sync::Arc;

use muleteer::config::{Config, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::place::{Backend, Place, STORE_SECRET};
use super::server::Kind;

/// The gate; it ends with the test's runtime.
pub struct Gate {
    endpoint: String,
    behind: Place,
    open: Arc<watch::Sender<bool>>,
    seen: watch::Receiver<u32>,
}

impl Gate {
    /// A closed gate.
    pub async fn closed() -> Self {
        let behind = Place::start(Kind::Sqlite, Backend::S3, |_| {}).expect("SQLite is never skipped");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let (open, is_open) = watch::channel(false);
        let (arrived, seen) = watch::channel(0);
        let (store, arrived) = (
            behind.store.trim_start_matches("http://").to_owned(),
            Arc::new(arrived),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let store = TcpStream::connect(&store).await.expect("the store");
                tokio::spawn(pass(stream, store, is_open.clone(), arrived.clone()));
            }
        });
        Self {
            endpoint,
            behind,
            open: Arc::new(open),
            seen,
        }
    }

    /// The store itself.
    pub fn behind(&self) -> &Place {
        &self.behind
    }

    /// Points a server's settings here.
    pub fn configure(&self, config: &mut Config) {
        config.s3.bucket.clone_from(&self.behind.config.dev_s3.bucket);
        config.s3.endpoint.clone_from(&self.endpoint);
        config
            .s3
            .access_key_id
            .clone_from(&self.behind.config.dev_s3.access_key_id);
        config.s3.secret_access_key = Secret::new(STORE_SECRET);
        config.s3.min_part_size = 8;
    }

    /// Waits until a completion stands before the gate.
    pub async fn reached(&self) {
        let mut seen = self.seen.clone();
        seen.wait_for(|count| *count > 0).await.expect("the gate stands");
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

/// Passes bytes both ways; a completion waits for the gate.
async fn pass(
    client: TcpStream,
    store: TcpStream,
    mut is_open: watch::Receiver<bool>,
    arrived: Arc<watch::Sender<u32>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_store, mut to_store) = store.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_store, &mut to_client).await });
    let mut piece = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from_client.read(&mut piece).await {
        let line = piece[..read]
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        if line.starts_with("POST ") && line.contains("uploadId=") {
            arrived.send_modify(|count| *count += 1);
            if is_open.wait_for(|open| *open).await.is_err() {
                return;
            }
        }
        if to_store.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
