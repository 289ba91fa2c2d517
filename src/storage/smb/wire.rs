//! The TCP connection under the protocol.
//!
//! Separate, because the library's own leaves two things to be wished for: it sends a message's length alone and waits
//! for its acknowledgement (Nagle's algorithm costs 40 ms then), and it goes on with a connection that was reset.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use smb::transport::{IoVec, SmbTransport, SmbTransportRead, SmbTransportWrite, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const DEFAULT_PORT: u16 = 445;

/// Pieces of a message up to this size are sent together with its length.
const JOINED: usize = 64 << 10;

/// One connection, or half of it.
pub(super) struct Wire {
    reader: Option<BufReader<OwnedReadHalf>>,
    writer: Option<OwnedWriteHalf>,
    peer: SocketAddr,
}

impl Wire {
    /// Connects to any of the host's addresses.
    pub async fn connect(host: &str, port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: Some(BufReader::with_capacity(JOINED, reader)),
            writer: Some(writer),
            peer,
        })
    }
}

/// Whatever went wrong, nothing more can be sent or read in the right order.
fn lost(error: &std::io::Error) -> TransportError {
    tracing::debug!(%error, "the connection to the SMB server is lost");
    TransportError::NotConnected
}

impl SmbTransport for Wire {
    fn connect<'a>(
        &'a mut self,
        _server: &'a str,
        _address: SocketAddr,
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        async { Err(TransportError::AlreadyConnected) }.boxed()
    }

    fn default_port(&self) -> u16 {
        DEFAULT_PORT
    }

    fn split(
        self: Box<Self>,
    ) -> Result<(Box<dyn SmbTransportRead>, Box<dyn SmbTransportWrite>), TransportError> {
        let peer = self.peer;
        let half = |reader, writer| Self { reader, writer, peer };
        Ok((
            Box::new(half(self.reader, None)),
            Box::new(half(None, self.writer)),
        ))
    }

    fn remote_address(&self) -> Result<SocketAddr, TransportError> {
        Ok(self.peer)
    }
}

impl SmbTransportRead for Wire {
    fn receive_exact<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        async {
            let reader = self.reader.as_mut().ok_or(TransportError::NotConnected)?;
            reader
                .read_exact(buffer)
                .await
                .map(drop)
                .map_err(|error| lost(&error))
        }
        .boxed()
    }
}

impl SmbTransportWrite for Wire {
    fn send_raw<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        async {
            let writer = self.writer.as_mut().ok_or(TransportError::NotConnected)?;
            writer.write_all(bytes).await.map_err(|error| lost(&error))
        }
        .boxed()
    }

    /// A length of four bytes, big-endian, then the message:
    /// <https://learn.microsoft.com/openspecs/windows_protocols/ms-smb2/1dfacde4-b5c7-4494-8a14-a09d3ab4cc83>.
    fn send<'a>(&'a mut self, message: &'a IoVec) -> BoxFuture<'a, Result<(), TransportError>> {
        async {
            let length = u32::try_from(message.total_size()).map_err(|_| TransportError::InvalidMessage)?;
            let mut joined = length.to_be_bytes().to_vec();
            for piece in message.iter() {
                if joined.len() + piece.len() <= JOINED {
                    joined.extend_from_slice(piece);
                    continue;
                }
                self.send_raw(&joined).await?;
                joined.clear();
                self.send_raw(piece).await?;
            }
            self.send_raw(&joined).await
        }
        .boxed()
    }
}
