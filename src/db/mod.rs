//! All SQL, and both databases behind one struct.
//!
//! Separate, so that nothing else knows tables, connections or which database it is. Everything that waits for
//! the database does so in [`Database::run`], off the threads that serve requests; part records alone take
//! another way, through the one writer in `recorder`. Rows become domain types before they leave.

mod appending;
mod backlog;
mod column;
mod connection;
mod cut;
mod events;
mod insert;
mod integrity;
mod keys;
mod leases;
mod migrate;
mod owners;
mod parts;
mod quotas;
mod recent;
mod rechecks;
mod recorder;
mod scans;
mod schema;
mod search;
mod secrets;
mod sessions;
mod sweeps;
mod upload_row;
mod uploads;
mod upsert;
mod url;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::r2d2::{Pool, R2D2Connection};
use tracing::Instrument as _;

use connection::{AnyConnection, Connector};
use recent::Recent;
use recorder::Recorder;

pub use integrity::Integrity;
pub use keys::ApiKeyRecord;
pub use owners::OpenBytes;
pub use parts::{PartRecord, RecordedPart};
pub use quotas::{Room, Wanted};
pub use search::{UploadPage, UploadQuery, UploadSummary};
pub use sweeps::SweepRecord;
pub use url::DatabaseUrl;
pub use webhooks::{EventQuery, NewEvent, Settled};

use crate::error::Error;
use crate::telemetry;

/// How long a request waits for a connection before it is told to come again.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// The database; clones share its connections and its writer.
#[derive(Clone)]
pub struct Database {
    pool: Pool<Connector>,
    recorder: Arc<Recorder>,
    recent: Arc<Recent>,
}

impl Database {
    /// Connects, brings the tables up to date, and starts the writer of part records.
    ///
    /// `url` as in [`DatabaseUrl::parse`]; `pool_size` is how many connections requests may use at once. The
    /// writer has one more of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL of no database we know, [`Error::Unavailable`] where it cannot be reached,
    /// [`Error::Internal`] where a migration fails.
    pub async fn open(url: &str, pool_size: u32) -> Result<Self, Error> {
        let url = DatabaseUrl::parse(url).map_err(|field| Error::Invalid(vec![field]))?;
        blocking(move || {
            let connector = Connector::new(url)?;
            // On a connection of our own: it fails at once with the database's own words, where the pool would
            // keep trying until its time-out.
            let mut conn = connector.open()?;
            migrate::migrate(&mut conn)?;
            let pool = Pool::builder()
                .max_size(pool_size.max(1))
                .min_idle(Some(1))
                .connection_timeout(POOL_TIMEOUT)
                .build_unchecked(connector.clone());
            let recorder = Arc::new(Recorder::start(connector, conn)?);
            let recent = Arc::default();
            Ok(Self {
                pool,
                recorder,
                recent,
            })
        })
        .await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is none.
    pub async fn ping(&self) -> Result<(), Error> {
        self.run(R2D2Connection::ping)
            .await
            .map_err(|error| Error::unavailable("the database", error))
    }

    /// Commits every part record that was handed in, then ends the writer; other clones can still read.
    ///
    /// # Errors
    /// [`Error::Internal`] where the writer has died.
    pub async fn close(self) -> Result<(), Error> {
        blocking(move || self.recorder.stop()).await
    }

    /// Runs `work` on a pooled connection: the one place that blocks, and so never on a thread that serves
    /// requests. It ends even if nobody waits for it any more.
    async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection) -> QueryResult<T> + Send + 'static,
    {
        let pool = self.pool.clone();
        blocking(move || on_pooled(&pool, work))
            .instrument(telemetry::database_span())
            .await
    }
}

fn on_pooled<T>(
    pool: &Pool<Connector>,
    work: impl FnOnce(&mut AnyConnection) -> QueryResult<T>,
) -> Result<T, Error> {
    let mut conn = pool
        .get()
        .map_err(|cause| Error::unavailable("the database", cause))?;
    work(&mut conn).map_err(|error| connection::explain(error, &mut conn))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
