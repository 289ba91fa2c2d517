//! The listening socket: connections come in, and go in an orderly way when the server is asked to stop.
//!
//! Separate because it knows HTTP connections only, and nothing of S3.

use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::front::Front;

/// How long running requests may take to finish once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when the system has no more file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop` changes or its sender is gone; then lets running requests finish.
pub async fn serve(listener: TcpListener, front: Front, mut stop: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(hold(stream, front.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded S3 could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finish).await.is_err() {
        tracing::warn!(
            "requests to the embedded S3 were cut off after {} s",
            GRACE.as_secs()
        );
    }
    connections.shutdown().await;
}

/// One connection, with as many requests as the client likes.
async fn hold(stream: TcpStream, front: Front, mut stop: watch::Receiver<()>) {
    // Without this, small answers wait for the client's next packet.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| front.clone().answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the embedded S3 ended early");
    }
}
