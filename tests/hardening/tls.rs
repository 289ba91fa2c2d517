//! Our own TLS, in the real program: what is served behind it, how the certificate is renewed, and what a start refuses.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::Certificate;
use super::process::{Place, Process};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

const CERTIFICATE: &str = "MULETEER_SERVER__TLS__CERTIFICATE";
const KEY: &str = "MULETEER_SERVER__TLS__KEY";

/// The program with a certificate of its own, and further settings.
struct Secure {
    place: Place,
    made: Certificate,
    process: Process,
}

impl Secure {
    fn start(settings: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let made = Certificate::make(place.path());
        // Relative to the working folder, as operators write them.
        let files = [(CERTIFICATE, "certificate.pem"), (KEY, "key.pem")];
        let variables: Vec<_> = files.iter().chain(settings).copied().collect();
        let process = place.serve(&variables);
        assert!(process.base.starts_with("https://"), "{}", process.base);
        Self { place, made, process }
    }

    fn address(&self) -> SocketAddr {
        let text = self.process.base.trim_start_matches("https://");
        text.parse().expect("an address")
    }

    /// A connection of somebody who trusts what `trusted` does; `None` where that is not what the server shows.
    async fn connect(&self, trusted: &Arc<rustls::ClientConfig>) -> Option<Connection> {
        let socket = TcpStream::connect(self.address()).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let connected = TlsConnector::from(Arc::clone(trusted))
            .connect(name, socket)
            .await;
        connected.ok().map(Connection)
    }

    /// A connection of somebody who trusts what `trusted` does, which must be what the server shows.
    async fn trusted(&self, trusted: &Arc<rustls::ClientConfig>) -> Connection {
        self.connect(trusted).await.expect("it is trusted")
    }

    /// A client of HTTP that trusts the certificate as it is now.
    fn client(&self) -> reqwest::Client {
        let pem = std::fs::read(&self.made.certificate).expect("the certificate");
        let root = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .build()
            .expect("a client")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("stderr.txt")).unwrap_or_default()
    }

    /// Waits until the log holds `text` so many times.
    async fn logs(&self, text: &str, times: usize) {
        for _ in 0..600 {
            if self.log().matches(text).count() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no {text:?} in {}", self.log());
    }
}

struct Connection(TlsStream<TcpStream>);

impl Connection {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// Reads until the bytes hold `text`.
    async fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&bytes).contains(text) {
                let count = self.0.read_buf(&mut bytes).await.expect("bytes");
                assert_ne!(count, 0, "the end before {text:?}");
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, read).await;
        let read = String::from_utf8_lossy(&bytes).into_owned();
        assert!(in_time.is_ok(), "no {text:?} in {read:?}");
        read
    }

    /// Asks for something small.
    async fn lives(&mut self) {
        self.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        self.until("HTTP/1.1 200 OK").await;
        self.until("}").await;
    }
}

#[tokio::test]
async fn pages_cookies_interim_answers_and_web_sockets_work_behind_it() {
    let server = Secure::start(&[]);
    let client = server.client();

    let page = client.get(&server.process.base).send().await.expect("the page");
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("strict-transport-security"), "max-age=31536000");

    let begun = client
        .post(format!("{}/api/v1/uploads", server.process.base))
        .json_text(r#"{"filename":"a","size":3}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(begun.status(), 201);
    let cookie = begun.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.contains("; Secure"), "{cookie}");

    let mut connection = server.trusted(&server.made.trusted()).await;
    connection
        .send(
            b"POST /files HTTP/1.1\r\nHost: localhost\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\n\
              Content-Length: 3\r\n\r\n",
        )
        .await;
    connection.until("HTTP/1.1 104 ").await;
    connection.send(b"abc").await;
    connection.until("HTTP/1.1 20").await;

    let mut socket = server.trusted(&server.made.trusted()).await;
    socket
        .send(
            b"GET /galileo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    socket.until("HTTP/1.1 101 ").await;
    // Masked with zeros, which change nothing.
    let mut frame = vec![0x81, 0x80 | 0x15, 0, 0, 0, 0];
    frame.extend(br#"{"name":"x","size":3}"#);
    socket.send(&frame).await;
    socket.until("\"ready\":true").await;
    socket.send(b"\x82\x83\0\0\0\0abc").await;
    socket.until("\"ready\":true").await;
    socket.send(b"\x81\x91\0\0\0\0{\"finished\":true}").await;
    socket.until("\"close\":true").await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_is_told_where_it_is() {
    let server = Secure::start(&[]);
    let trusted = server.made.trusted();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(server.made.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let only = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        server.trusted(&Arc::new(only)).await.lives().await;
    }

    let mut plain = TcpStream::connect(server.address()).await.expect("a connection");
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    plain
        .read_to_string(&mut answer)
        .await
        .expect("an answer and an end");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{answer}"
    );

    server.trusted(&trusted).await.lives().await;
    let port = server.address().port().to_string();
    let variables = [
        (CERTIFICATE, "certificate.pem"),
        (KEY, "key.pem"),
        ("MULETEER_SERVER__PORT", &port),
    ];
    let health = server.place.run_with(&["health"], &variables);
    assert!(health.status.success(), "{health:?}");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go_and_keeps_nobody_from_stopping() {
    let server = Secure::start(&[("MULETEER_SERVER__TLS__HANDSHAKE_TIMEOUT_S", "1")]);
    for begins in [&b""[..], &[22, 3, 1]] {
        let mut silent = TcpStream::connect(server.address()).await.expect("a connection");
        silent.write_all(begins).await.expect("sent");
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
        // However the connection ends.
        let _ = end.expect("an end");
        assert!(rest.len() < 16, "nothing but an alert: {rest:?}");
    }

    let patient = Secure::start(&[("MULETEER_SERVER__TLS__HANDSHAKE_TIMEOUT_S", "300")]);
    let trusted = patient.made.trusted();
    patient.trusted(&trusted).await.lives().await;
    let _silent = TcpStream::connect(patient.address()).await.expect("a connection");
    // In good order within less than the time that running requests get.
    patient.process.stop();
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_restart_and_half_of_one_is_not() {
    let server = Secure::start(&[("MULETEER_SERVER__TLS__RELOAD_S", "0")]);
    let first = server.made.trusted();
    let mut old = server.trusted(&first).await;

    // The certificate is there and its key is not yet.
    let other = tempfile::tempdir().expect("a folder");
    let renewed = Certificate::make(other.path());
    std::fs::copy(&renewed.certificate, &server.made.certificate).expect("copied");
    server.process.signal("HUP");
    server.logs("goes on with the old certificate", 1).await;
    assert!(
        server.log().contains("not the key of the certificate"),
        "{}",
        server.log()
    );
    assert!(server.connect(&renewed.trusted()).await.is_none());
    server.trusted(&first).await.lives().await;

    std::fs::copy(&renewed.key, &server.made.key).expect("copied");
    server.process.signal("HUP");
    server.logs("the certificate as it is now", 1).await;
    server.trusted(&renewed.trusted()).await.lives().await;
    assert!(server.connect(&first).await.is_none());
    old.lives().await;

    std::fs::remove_file(&server.made.key).expect("removed");
    server.process.signal("HUP");
    server.logs("cannot be read", 1).await;
    server.trusted(&renewed.trusted()).await.lives().await;
}

#[tokio::test]
async fn changed_files_are_noticed_by_themselves_and_bad_ones_told_once() {
    let server = Secure::start(&[("MULETEER_SERVER__TLS__RELOAD_S", "1")]);
    let good = std::fs::read(&server.made.key).expect("the key");
    std::fs::write(&server.made.key, "nothing").expect("written");
    server.logs("holds no private key", 1).await;
    std::fs::write(&server.made.key, "").expect("written");
    server.logs("holds no private key", 2).await;
    std::fs::write(&server.made.key, good).expect("written");

    let renewed = Certificate::make(server.place.path());
    server.logs("the certificate as it is now", 1).await;
    server
        .logs(
            server
                .made
                .certificate
                .file_name()
                .expect("a name")
                .to_str()
                .expect("text"),
            1,
        )
        .await;
    let mut trusted = None;
    for _ in 0..600 {
        trusted = server.connect(&renewed.trusted()).await;
        if trusted.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    trusted.expect("the second certificate").lives().await;
    assert_eq!(
        server.log().matches("holds no private key").count(),
        2,
        "{}",
        server.log()
    );
}

#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
#[test]
fn a_start_names_what_is_wrong_with_the_files_and_shows_nothing_of_a_key() {
    let place = Place::new();
    let made = Certificate::make(place.path());
    let (certificate, key) = (text(&made.certificate), text(&made.key));
    let other = tempfile::tempdir().expect("a folder");
    let others = text(&Certificate::make(other.path()).key);
    let secret: String = key.lines().nth(1).expect("a line of it").into();
    let cut = &key[..key.len() / 2];
    let noise = key.replacen(&secret[..8], "!!!!????", 1);
    for (certificate, key, setting, words) in [
        (None, Some(key.as_str()), "certificate", "cannot be read"),
        (Some(certificate.as_str()), None, "key", "cannot be read"),
        (Some(""), Some(&key), "certificate", "holds no certificate"),
        (Some(&key), Some(&key), "certificate", "holds no certificate"),
        (
            Some(&certificate),
            Some(&certificate),
            "key",
            "holds no private key",
        ),
        (
            Some(&certificate),
            Some(&others),
            "key",
            "not the key of the certificate",
        ),
        (Some(&certificate), Some(cut), "key", "breaks off"),
        (Some(&certificate), Some(&noise), "key", "no PEM file"),
        (
            Some(&certificate),
            Some("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
            "key",
            "password",
        ),
    ] {
        for (name, content) in [("c.pem", certificate), ("k.pem", key)] {
            let path = place.path().join(name);
            let _ = std::fs::remove_file(&path);
            if let Some(content) = content {
                std::fs::write(path, content).expect("written");
            }
        }
        let output = place.run_with(
            &["serve", "--port", "0"],
            &[(CERTIFICATE, "c.pem"), (KEY, "k.pem")],
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}: {told}");
        assert!(
            told.contains(&format!("server.tls.{setting}: ")),
            "{words}: {told}"
        );
        assert!(told.contains(words), "{words}: {told}");
        for line in key
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.starts_with('-'))
        {
            assert!(!told.contains(line), "{told}");
        }
    }
    let half = place.run_with(&["serve", "--port", "0"], &[(KEY, "k.pem")]);
    let told = String::from_utf8_lossy(&half.stderr);
    assert!(
        !half.status.success() && told.contains("server.tls.certificate: must be given"),
        "{told}"
    );
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("text")
}

/// A body of JSON, without that feature of the client.
trait JsonText {
    fn json_text(self, text: &'static str) -> Self;
}

impl JsonText for reqwest::RequestBuilder {
    fn json_text(self, text: &'static str) -> Self {
        self.header("content-type", "application/json").body(text)
    }
}
