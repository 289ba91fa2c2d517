//! The embedded store behind a passage that stumbles on demand over completions.
//!
//! Separate, because no real store fails when a test would like it to. What is let through reaches the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muleteer::config::{Config, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::STORE_SECRET;
use crate::server::TestServer;

/// What happens to a completion.
#[derive(Debug, Clone, Copy)]
pub enum Trip {
    /// It is answered so, and the store never hears of it.
    Instead(&'static str, &'static str),
    /// The store does it, and its answer is lost.
    Lost,
}

/// The passage.
pub struct Tripping {
    endpoint: String,
    left: Arc<AtomicUsize>,
}

impl Tripping {
    /// Stumbles over so many completions.
    pub async fn before(server: &TestServer, trip: Trip, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let store = server.store.trim_start_matches("http://").to_owned();
        let left = Arc::new(AtomicUsize::new(times));
        let shared = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, store.clone(), trip, Arc::clone(&shared)));
            }
        });
        Self { endpoint, left }
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

async fn pass(mut client: TcpStream, store: String, trip: Trip, left: Arc<AtomicUsize>) {
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
    let is_completion = text.starts_with("POST ") && text.contains("uploadId=");
    let trips = is_completion
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
    let mut store = TcpStream::connect(store).await.expect("the store");
    // One request for each connection, so that every one is looked at.
    let mut on = request[..head].to_vec();
    on.extend_from_slice(b"\r\nconnection: close");
    on.extend_from_slice(&request[head..]);
    store.write_all(&on).await.expect("the store listens");
    if trips {
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
