//! The bytes of one client, as they are or through TLS; and the handshake before them.
//!
//! Separate from the wire above, which gathers and orders bytes and need not know what becomes of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::app::certificate::{Certificate, provider};

/// The first byte of whoever begins a handshake (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>).
const HANDSHAKE: u8 = 22;

/// For whoever speaks HTTP where we speak HTTPS.
const NOT_PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 108\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"This port speaks HTTPS\",\"status\":400,\"detail\":\"begin the address with https\"}";

/// Makes connections secure.
#[derive(Clone)]
pub(in crate::app) struct Tls {
    acceptor: TlsAcceptor,
    patience: Duration,
}

impl Tls {
    /// With whatever certificate is in use when a client comes.
    ///
    /// # Errors
    /// What the library says of its own algorithms.
    pub(in crate::app) fn new(certificate: Arc<Certificate>, patience: Duration) -> anyhow::Result<Self> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        // What stands in the way of HTTP/2 is written in docs/decisions/0009-interim-answers.md.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            patience,
        })
    }

    /// Goes through the handshake.
    ///
    /// # Errors
    /// Whatever ended it, its time among that.
    pub(super) async fn greet(&self, socket: TcpStream) -> io::Result<Socket> {
        let shaken = tokio::time::timeout(self.patience, self.shake(socket)).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn shake(&self, mut socket: TcpStream) -> io::Result<Socket> {
        let mut first = [0];
        if socket.peek(&mut first).await? > 0 && first[0] != HANDSHAKE {
            socket.write_all(NOT_PLAIN).await?;
            socket.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS"));
        }
        let secure = self.acceptor.accept(socket).await?;
        Ok(Socket::Secure(Box::new(secure)))
    }
}

/// One client's socket.
pub(super) enum Socket {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Secure(socket) => match ready!(Pin::new(socket).poll_read(cx, buffer)) {
                // Many clients go without taking leave. HTTP itself says whether a body was whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Secure(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Secure(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Secure(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
