//! What appending costs between us and the store: every byte passes a wire that counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use muleteer::storage::{Body, Expectation};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Place as _;
use crate::files::{MIB, assert_is_there, begin, bytes_of, fenced, open_body, upload_of};
use crate::s3::Bucket;

/// What passed since it was last asked.
#[derive(Debug, Default, Clone)]
pub struct Traffic {
    /// Requests by their method.
    pub requests: BTreeMap<String, usize>,
    /// Bytes to the store, headers included.
    pub sent: u64,
    /// Bytes from the store.
    pub received: u64,
}

/// A wire to a server; it stops with the runtime.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Where it begins, as `http://…`.
    pub endpoint: String,
    passed: Arc<Mutex<Traffic>>,
}

impl Wire {
    /// A wire to a server on this machine.
    pub async fn to(endpoint: &str) -> Self {
        let server = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let wire = Self {
            endpoint: format!("http://{address}"),
            passed: Arc::default(),
        };
        let passed = wire.passed.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let store = TcpStream::connect(&server).await.expect("the server");
                let (from_client, to_client) = client.into_split();
                let (from_store, to_store) = store.into_split();
                tokio::spawn(pass(from_client, to_store, passed.clone(), true));
                tokio::spawn(pass(from_store, to_client, passed.clone(), false));
            }
        });
        wire
    }

    /// What has passed since the last time.
    pub fn take(&self) -> Traffic {
        std::mem::take(&mut self.passed.lock().expect("nobody panicked"))
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: Arc<Mutex<Traffic>>,
    is_request: bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        {
            let mut passed = passed.lock().expect("nobody panicked");
            if is_request {
                passed.sent += length as u64;
                count_heads(&buffer[..length], &mut passed.requests);
            } else {
                passed.received += length as u64;
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

/// Counts what looks like the first line of a request, of which each comes in a write of its own here.
fn count_heads(bytes: &[u8], requests: &mut BTreeMap<String, usize>) {
    for method in ["PUT", "GET", "POST", "DELETE", "HEAD"] {
        let line = format!("{method} /uploads");
        if bytes.starts_with(line.as_bytes()) {
            *requests.entry(method.to_owned()).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_fast_is_sent_once() {
    let mebibytes =
        std::env::var("MULETEER_TEST_APPEND_MIB").map_or(32, |text| text.parse().expect("a number"));
    let place = Bucket::embedded().await.expect("it starts").counted().await;
    let store = place.open().await;
    let file = bytes_of(mebibytes * MIB, 41);
    let upload = fenced(&begin(&*store, upload_of(file.len() as u64, MIB)).await, 2);
    let wire = place.wire().expect("it counts");
    wire.take();

    let mut rest = file.clone();
    let pieces: Vec<_> =
        std::iter::from_fn(|| (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(64 << 10)))))
            .collect();
    let before = std::time::Instant::now();
    let body = Body::new(stream::iter(pieces), Expectation::at_most(file.len() as u64));
    store.append(&upload, 0, body).await.unwrap();
    let took = before.elapsed();
    let passed = wire.take();
    eprintln!("{mebibytes} MiB in {took:?}: {passed:?}");
    store.finish(&upload, &[]).await.unwrap();
    eprintln!("finishing: {:?}", wire.take());

    assert!(passed.sent < (mebibytes + 2) * MIB, "{passed:?}");
    assert!(passed.received < MIB, "{passed:?}");
    assert_is_there(&*store, &upload, &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_memory_may_hold_are_stored_whole() {
    let place = Bucket::embedded().await.expect("it starts");
    let store = place.open().await;
    let file = bytes_of(6 * MIB, 42);

    futures_util::future::join_all((0..16).map(async |_| {
        let upload = fenced(&begin(&*store, upload_of(file.len() as u64, MIB)).await, 1);
        let end = store.append(&upload, 0, open_body(&file)).await.unwrap();
        assert_eq!(end, upload.size);
        store.finish(&upload, &[]).await.unwrap();
        assert_is_there(&*store, &upload, &file).await;
    }))
    .await;
}
