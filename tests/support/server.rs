//! The real application for tests over HTTP: its own port, its own embedded S3, its own database, a settable clock.
//!
//! It is what `muleteer serve` starts, in this process, so that a test can move the clock and look into the store.

use std::sync::Once;
use std::time::Duration;

use chrono::TimeDelta;
use muleteer::app;
use muleteer::clock::Clock;
use muleteer::config::{Config, Secret};

#[path = "postgres.rs"]
pub mod postgres;
#[path = "secrets.rs"]
pub mod secrets;

/// The one API key that the settings of a test name; owner `default`, both scopes.
pub const API_KEY: &str = "test-key-0123456789abcdef";

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file in the test's own folder.
    Sqlite,
    /// A new database of a real server.
    Postgres,
}

/// A running server; dropping it stops everything that belongs to it.
pub struct TestServer {
    /// `http://127.0.0.1:PORT`
    pub base: String,
    /// The embedded S3's address; empty where an outside store is used.
    pub store: String,
    /// The clock that the server goes by.
    pub clock: Clock,
    /// The settings that it was started with.
    pub config: Config,
    folder: tempfile::TempDir,
    handle: actix_web::dev::ServerHandle,
    /// The secrets that it has made for itself, as they are searched for.
    made: Vec<Vec<u8>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server on a fresh database; `None` only where PostgreSQL is skipped on purpose.
    pub fn start(kind: Kind, adjust: impl FnOnce(&mut Config)) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = Config::default();
        config.server.port = 0;
        config.server.workers = 2;
        config.server.shutdown_timeout_s = 1;
        config.dev_s3.port = 0;
        config.auth.api_key = Secret::new(API_KEY);
        config.data_dir = String::from(folder.path().to_str().expect("a path in UTF-8"));
        if kind == Kind::Postgres {
            config.database.url = Secret::new(postgres::fresh_database()?);
        }
        config.database.pool_size = 4;
        adjust(&mut config);
        assert_eq!(
            config.validate(),
            Vec::<String>::new(),
            "the test's settings are possible"
        );
        Some(Self::run(config, folder, Clock::system()))
    }

    /// Stops the server and starts it again on the same ports, database and folder, as after a crash.
    pub fn restart(mut self) -> Self {
        self.stop();
        let mut config = self.config.clone();
        config.server.port = port_of(&self.base);
        if !self.store.is_empty() {
            config.dev_s3.port = port_of(&self.store);
        }
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        Self::run(config, folder, self.clock.clone())
    }

    fn run(config: Config, folder: tempfile::TempDir, clock: Clock) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        secrets::watch(&config);
        let (tell, told) = std::sync::mpsc::channel();
        let (settings, its_clock) = (config.clone(), clock.clone());
        let thread = std::thread::spawn(move || {
            let runtime = || {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .expect("threads can be started")
            };
            actix_web::rt::System::with_tokio_rt(runtime).block_on(async move {
                let running = app::start(settings.clone(), its_clock)
                    .await
                    .expect("the server starts");
                let made = secrets::watch_made(&settings, running.store.is_some(), &running.db).await;
                let addresses = (
                    running.address,
                    running.store.clone().unwrap_or_default(),
                    running.handle(),
                    made,
                );
                tell.send(addresses).expect("the test waits");
                running.serve().await.expect("the server ends well");
            });
        });
        let (address, store, handle, made) = told
            .recv_timeout(Duration::from_mins(1))
            .expect("the server starts in time");
        Self {
            base: format!("http://{address}"),
            store,
            clock,
            config,
            folder,
            handle,
            made,
            thread: Some(thread),
        }
    }

    /// The folder of the database file and of the embedded S3's objects.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Moves the server's clock.
    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // The future of `stop` need not be polled: the command is on its way once it is made.
        drop(self.handle.stop(false));
        let _ = thread.join();
        if !std::thread::panicking() {
            secrets::assert_none_was_logged();
        }
        secrets::forget(&self.made);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn port_of(address: &str) -> u16 {
    address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("an address with a port")
}
