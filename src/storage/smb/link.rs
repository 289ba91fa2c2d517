//! One connection to the server: logged in, on the share.
//!
//! Separate, because all that the library wants to be guarded against is guarded here. A request that is dropped half
//! way never gives its credits back, so each runs to its end in a task of its own; one that gets no answer ends the
//! whole connection; and a connection is replaced before its credits can run out.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use smb::connection::EncryptionMode;
use smb::{Connection, ConnectionConfig, FileCreateArgs, Guid, Resource, Session, Tree, UncPath};

use super::SmbSettings;
use super::fault::Fault;
use super::wire::Wire;

/// How long the server may take for one request.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection and its login may take.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(10);

/// Credits that we ask for, the most that Samba and Windows grant.
const CREDITS: u16 = 8192;

/// The largest block that is sent or asked for, in bytes.
pub(super) const BLOCK: usize = 1 << 20;

/// A logged-in connection.
pub(super) struct Link {
    /// `None` only while it is being dropped.
    session: Option<Inner>,
    largest_block: usize,
    is_dead: AtomicBool,
    /// Whether a request got no answer, and nobody has asked for that yet.
    has_stalled: AtomicBool,
    /// Credits that may be lost by now, see [`Link::spent`].
    spent: AtomicU32,
}

struct Inner {
    tree: Arc<Tree>,
    session: Session,
    connection: Arc<Connection>,
}

impl Link {
    /// Connects, logs in and enters the share.
    pub async fn open(settings: &SmbSettings) -> Result<Arc<Self>, Fault> {
        match tokio::time::timeout(PATIENCE_TO_CONNECT, Self::log_in(settings)).await {
            Ok(link) => link,
            Err(elapsed) => Err(Fault::broken(elapsed)),
        }
    }

    async fn log_in(settings: &SmbSettings) -> Result<Arc<Self>, Fault> {
        let wire = Wire::connect(&settings.host, settings.port)
            .await
            .map_err(Fault::broken)?;
        let config = ConnectionConfig {
            timeout: Some(PATIENCE),
            encryption_mode: EncryptionMode::Allowed,
            smb2_only_negotiate: true,
            disable_notifications: true,
            credits_backlog: Some(CREDITS),
            ..ConnectionConfig::default()
        };
        let connection =
            Connection::from_transport(Box::new(wire), &settings.host, Guid::generate(), config).await?;
        let identity = sspi::AuthIdentity {
            username: sspi::Username::parse(&settings.user).map_err(Fault::broken)?,
            password: settings.password.expose_secret().to_owned().into(),
        };
        let session = connection.authenticate(identity).await?;
        let share = UncPath::new(&settings.host)?.with_share(&settings.share)?;
        let tree = session.tree_connect(&share).await?;
        let largest_block = connection.conn_info().map_or(BLOCK, |info| {
            let most = info
                .negotiation
                .max_write_size
                .min(info.negotiation.max_read_size);
            usize::try_from(most).unwrap_or(BLOCK).min(BLOCK)
        });
        Ok(Arc::new(Self {
            session: Some(Inner {
                tree: Arc::new(tree),
                session,
                connection: Arc::new(connection),
            }),
            largest_block,
            is_dead: AtomicBool::new(false),
            has_stalled: AtomicBool::new(false),
            spent: AtomicU32::new(0),
        }))
    }

    /// The largest block that this server takes and we send, in bytes.
    pub fn largest_block(&self) -> usize {
        self.largest_block
    }

    /// Whether it has failed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// How many credits may be lost. The library does not count those that come with an interim answer ("I am at it"),
    /// which is how a server answers whatever takes it longer than half a millisecond; the server never gives them
    /// again. As we cannot see which answers were such, all are taken to be.
    pub fn spent(&self) -> u32 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Whether it was ended because a request got no answer; said once.
    pub fn take_stall(&self) -> bool {
        self.has_stalled.swap(false, Ordering::Relaxed)
    }

    /// Sees to it that nobody uses it again, and wakes whoever waits for it.
    pub fn condemn(&self) {
        if self.is_dead.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(inner) = &self.session {
            let connection = Arc::clone(&inner.connection);
            tokio::spawn(async move { connection.close().await });
        }
    }

    /// One request, or a few that belong together; `bytes` is how much it carries, either way.
    pub async fn call<T, F>(self: &Arc<Self>, bytes: usize, request: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        if self.is_dead() {
            return Err(Fault::broken("the connection was given up"));
        }
        let credits = u32::try_from(bytes.div_ceil(64 << 10)).unwrap_or(u32::MAX).max(1);
        self.spent.fetch_add(credits, Ordering::Relaxed);
        let link = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = match tokio::time::timeout(PATIENCE, request).await {
                Ok(outcome) => outcome,
                Err(elapsed) => {
                    // Of all that wait at once, one is enough.
                    if !link.is_dead() {
                        link.has_stalled.store(true, Ordering::Relaxed);
                    }
                    Err(Fault::broken(elapsed))
                }
            };
            if outcome.as_ref().is_err_and(Fault::is_broken) {
                link.condemn();
            }
            outcome
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(panicked) => {
                self.condemn();
                Err(Fault::broken(panicked))
            }
        }
    }

    /// Opens or makes a file or folder.
    pub async fn create(self: &Arc<Self>, path: &str, how: FileCreateArgs) -> Result<Resource, Fault> {
        let Some(inner) = &self.session else {
            return Err(Fault::broken("the connection is closed"));
        };
        let (tree, path) = (Arc::clone(&inner.tree), path.to_owned());
        self.call(0, async move { Ok(tree.create(&path, &how).await?) })
            .await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(inner) = self.session.take() else {
            return;
        };
        // The library's own farewell needs a runtime. Without one the process is ending, and the server notices.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            std::mem::forget(inner);
            return;
        };
        let is_dead = self.is_dead();
        runtime.spawn(async move {
            if !is_dead {
                let farewell = async {
                    inner.tree.disconnect().await?;
                    inner.session.logoff().await
                };
                if let Ok(Err(error)) = tokio::time::timeout(PATIENCE_TO_CONNECT, farewell).await {
                    tracing::debug!(%error, "the SMB server did not take our farewell");
                }
            }
            let _ = inner.connection.close().await;
        });
    }
}
