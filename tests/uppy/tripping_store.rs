//! The embedded store behind a passage that stumbles on demand over completions, or holds one request back.
//!
//! Separate, because no real store fails when a test would like it to. What is let through reaches the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muleteer::config::{Config, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::STORE_SECRET;
use crate::server::TestServer;

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
pub enum Trip {
    /// A completion is answered so, and the store never hears of it.
    Instead(&'static str, &'static str),
    /// The store completes, and its answer is lost.
    Lost,
    /// A question whether an object is there waits until the test [lets it pass](Tripping::let_pass).
    HeldHead,
    /// A completion waits so.
    HeldCompletion,
}

/// The passage.
pub struct Tripping {
    endpoint: String,
    left: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

/// Where requests are held.
struct Gate {
    arrived: Semaphore,
    passes: Semaphore,
}

impl Tripping {
    /// Stumbles over so many completions.
    pub async fn before(server: &TestServer, trip: Trip, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let store = server.store.trim_start_matches("http://").to_owned();
        let left = Arc::new(AtomicUsize::new(times));
        let gate = Arc::new(Gate {
            arrived: Semaphore::new(0),
            passes: Semaphore::new(0),
        });
        let (shared, its_gate) = (Arc::clone(&left), Arc::clone(&gate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (left, gate) = (Arc::clone(&shared), Arc::clone(&its_gate));
                tokio::spawn(pass(stream, store.clone(), trip, left, gate));
            }
        });
        Self { endpoint, left, gate }
    }

    /// Waits until a request is held.
    pub async fn holds(&self) {
        self.gate.arrived.acquire().await.expect("a request").forget();
    }

    /// Lets it go on.
    pub fn let_pass(&self) {
        self.gate.passes.add_permits(1);
    }

    /// Settings of a second server that reaches the store of `first` through here.
    pub fn beside(&self, first: &TestServer, config: &mut Config) {
        config.database.url = Secret::new(first.config.database_url());
        config.s3.bucket.clone_from(&first.config.dev_s3.bucket);
        config.s3.endpoint.clone_from(&self.endpoint);
        config.s3.public_endpoint.clone_from(&first.store);
        config
            .s3
            .access_key_id
            .clone_from(&first.config.dev_s3.access_key_id);
        config.s3.secret_access_key = Secret::new(STORE_SECRET);
        config.s3.min_part_size = first.config.dev_s3.min_part_size;
    }

    /// How many completions it will still stumble over.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, store: String, trip: Trip, left: Arc<AtomicUsize>, gate: Arc<Gate>) {
    let mut request = Vec::new();
    let head = loop {
        let mut piece = [0; 4096];
        match client.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let is_meant = match trip {
        Trip::HeldHead => text.starts_with("HEAD "),
        _ => text.starts_with("POST ") && text.contains("uploadId="),
    };
    let trips = is_meant
        && left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1))
            .is_ok();
    if let (true, Trip::Instead(status, body)) = (trips, trip) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let is_held = trips && matches!(trip, Trip::HeldHead | Trip::HeldCompletion);
    if is_held {
        gate.arrived.add_permits(1);
        gate.passes.acquire().await.expect("a pass").forget();
    }
    let mut store = TcpStream::connect(store).await.expect("the store");
    // One request for each connection, so that every one is looked at.
    let mut on = request[..head].to_vec();
    on.extend_from_slice(b"\r\nconnection: close");
    on.extend_from_slice(&request[head..]);
    store.write_all(&on).await.expect("the store listens");
    if trips && !is_held {
        let length = text.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()
        });
        let mut rest = vec![0; (length.unwrap_or(0) + head + 4).saturating_sub(request.len())];
        client.read_exact(&mut rest).await.expect("the rest");
        store.write_all(&rest).await.expect("the store listens");
        let mut answer = Vec::new();
        store.read_to_end(&mut answer).await.expect("an answer");
        return;
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut store).await;
}
