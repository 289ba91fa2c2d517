//! A server behind one of the reverse proxies of `deploy/`, each on a port of its own.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muleteer::config::{Anonymous, BackendName, Config};

use super::server::{Kind, TestServer};

/// The proxies that there are samples for.
pub const PROXIES: [&str; 2] = ["nginx", "caddy"];

/// How the server knows under which address it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By its own settings.
    BySettings,
    /// By the proxy, whose word it takes.
    ByProxy,
}

/// A server and the proxy in front of it.
pub struct Front {
    /// `http://127.0.0.1:PORT/uploads`, as clients ask.
    pub base: String,
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    /// Which proxy.
    pub proxy: &'static str,
    /// What stands behind it.
    pub server: TestServer,
    process: Child,
    said: Arc<Mutex<String>>,
}

impl Front {
    /// Starts both, with files going to a folder.
    pub async fn start(proxy: &'static str, told: Told, adjust: impl FnOnce(&mut Config)) -> Self {
        let port = free_port();
        let origin = format!("http://127.0.0.1:{port}");
        let base = format!("{origin}/uploads");
        let server = TestServer::start(Kind::Sqlite, |config| {
            config.auth.anonymous = Anonymous::On;
            config.storage.backend = BackendName::Local;
            config.storage.local.path = format!("{}/files", config.data_dir);
            config.server.trusted_proxies = vec!["127.0.0.1".into()];
            if told == Told::BySettings {
                config.server.public_url.clone_from(&base);
            }
            adjust(config);
        })
        .expect("SQLite is never skipped");
        let upstream = server.base.rsplit(':').next().expect("a port").to_owned();
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/proxy"))
            .args([proxy, &port.to_string(), &upstream])
            .arg(server.folder().join("proxy"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the script can be started");
        // What it says is shown when the test fails; unread it would block the proxy.
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        let log = BufReader::new(process.stderr.take().expect("its log"));
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("{proxy}: {line}");
                *heard.lock().expect("a lock") += &(line + "\n");
            }
        });
        let mut front = Self {
            base,
            origin,
            proxy,
            server,
            process,
            said,
        };
        front.wait(port).await;
        front
    }

    async fn wait(&mut self, port: u16) {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return;
            }
            let ended = self.process.try_wait().expect("its state");
            assert_eq!(ended, None, "{} cannot be started; see above", self.proxy);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not answer", self.proxy);
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// The proxy's log of requests, once it has this in it.
    pub async fn log_with(&self, text: &str) -> String {
        for _ in 0..200 {
            let file = self.server.folder().join("proxy/access.log");
            let said = self.said.lock().expect("a lock").clone();
            let log = std::fs::read_to_string(file).unwrap_or(said);
            if log.contains(text) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} logs no {text}", self.proxy);
    }

    /// A client that follows no redirects and keeps no cookies.
    pub fn client() -> reqwest::Client {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port for a proxy, which cannot choose one itself: below those that the system gives to whoever asks for any, since
/// another test could be given this one before the proxy has it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).expect("small");
    let ports = std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    let mut free = ports
        .take(10_000)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a port")
}

/// Runs one test behind each proxy, told each way; not at all where proxies are skipped on purpose.
pub async fn behind_each(test: impl AsyncFn(Front)) {
    behind_each_with(|_| {}, test).await;
}

/// The same with settings of the test's own.
pub async fn behind_each_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(Front)) {
    if std::env::var("MULETEER_TEST_PROXIES").is_ok_and(|value| value == "skip") {
        eprintln!("without reverse proxies: MULETEER_TEST_PROXIES=skip");
        return;
    }
    for proxy in PROXIES {
        for told in [Told::BySettings, Told::ByProxy] {
            eprintln!("behind {proxy}, told {told:?}");
            Box::pin(test(Front::start(proxy, told, &adjust).await)).await;
        }
    }
}
