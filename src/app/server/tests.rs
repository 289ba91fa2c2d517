//! Over real sockets, plain and with TLS, with a small application: what a client sees, byte for byte where it matters.

#[path = "../../../tests/support/certificate.rs"]
mod certificate;

use std::sync::Mutex;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use self::certificate::Certificate as Made;
use super::*;
use crate::app::certificate::Certificate;
use crate::config::TlsConfig;
use crate::web::interim::Interim;

const PATIENCE: Duration = Duration::from_secs(20);
const LINK: &str = "HTTP/1.1 104 Upload Resumption Supported\r\nlocation: /a\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECT: &str = "Expect: 100-continue\r\n";
/// More than the buffers of a connection hold.
const LARGE: usize = 8 << 20;

/// What a test takes out of a handler.
type Kept = Mutex<Option<Interim>>;

struct Place {
    /// How clients of TLS trust it, where it speaks that.
    trusted: Option<Arc<rustls::ClientConfig>>,
    address: SocketAddr,
    handle: ServerHandle,
    kept: Data<Kept>,
}

impl Place {
    /// One that speaks HTTP, and one that speaks HTTPS.
    fn both() -> [Self; 2] {
        [Self::start(false), Self::start(true)]
    }

    fn start(is_secure: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = is_secure.then(|| Made::make(folder.path()));
        let tls = made.as_ref().map(|made| {
            let files = TlsConfig {
                certificate: made.certificate.display().to_string(),
                key: made.key.display().to_string(),
                ..TlsConfig::default()
            };
            let certificate = Certificate::open(&files).expect("a certificate");
            Tls::new(certificate.expect("TLS is on"), PATIENCE).expect("TLS")
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let settings = ServerConfig {
            workers: 1,
            shutdown_timeout_s: 10,
            ..ServerConfig::default()
        };
        let kept = Data::new(Kept::default());
        let its = kept.clone();
        let server = start(listener, &settings, tls, Metrics::off(), move || {
            App::new()
                .app_data(its.clone())
                .route("/count", web::to(count))
                .route("/count-slowly", web::to(count_slowly))
                .route("/refuse", web::to(async || HttpResponse::Conflict().body("no")))
                .route("/announce", web::to(announce))
                .route("/from-a-thread", web::to(from_a_thread))
                .route("/keep", web::to(keep))
                .route("/flood", web::to(flood))
                .route("/large", web::to(large))
        });
        let server = server.expect("a server");
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            trusted: made.map(|made| made.trusted()),
            address,
            handle,
            kept,
        }
    }

    async fn client(&self) -> Client {
        let socket = TcpStream::connect(self.address).await.expect("a connection");
        let Some(trusted) = &self.trusted else {
            return Client(Box::new(socket));
        };
        let connector = TlsConnector::from(Arc::clone(trusted));
        let name = ServerName::try_from("localhost").expect("a name");
        Client(Box::new(
            connector.connect(name, socket).await.expect("a handshake"),
        ))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Reads the body and says how long it is.
async fn count(mut body: Payload) -> String {
    let mut length = 0;
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => length += piece.len(),
            Err(_) => return "cut".to_owned(),
        }
    }
    length.to_string()
}

/// Reads the body, and then takes its time.
async fn count_slowly(body: Payload) -> String {
    let counted = count(body).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    counted
}

fn send_link(interim: &Interim) -> bool {
    let link = [(LOCATION, HeaderValue::from_static("/a"))];
    interim.send(104, "Upload Resumption Supported", &link)
}

async fn announce(request: HttpRequest, body: Payload) -> String {
    let Some(interim) = Interim::of(&request) else {
        return "no way".to_owned();
    };
    send_link(&interim);
    tokio::time::sleep(Duration::from_millis(100)).await;
    count(body).await
}

async fn from_a_thread(request: HttpRequest, body: Payload) -> String {
    let interim = Interim::of(&request).expect("a way to the client");
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        send_link(&interim);
    });
    count(body).await
}

async fn keep(request: HttpRequest, kept: Data<Kept>) -> &'static str {
    *kept.lock().expect("no panic") = Interim::of(&request);
    "kept"
}

/// Sends interim heads until no more are taken, and says how many were.
async fn flood(request: HttpRequest) -> String {
    let interim = Interim::of(&request).expect("a way to the client");
    let padding = HeaderValue::from_str(&"x".repeat(4000)).expect("a value");
    let header = [(HeaderName::from_static("padding"), padding)];
    let (mut sent, mut refused) = (0, 0);
    while refused < 20 {
        if interim.send(104, "Upload Resumption Supported", &header) {
            sent += 1;
        } else {
            refused += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    sent.to_string()
}

async fn large() -> HttpResponse {
    let piece = web::Bytes::from(vec![b'.'; 1 << 16]);
    let pieces = std::iter::repeat_n(Ok::<_, std::convert::Infallible>(piece), LARGE >> 16);
    HttpResponse::Ok()
        .no_chunking(LARGE as u64)
        .streaming(futures_util::stream::iter(pieces))
}

struct Client(Box<dyn Stream>);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// Sends a request's head, with these further lines.
    async fn ask(&mut self, request: &str, lines: &str) {
        self.send(format!("{request} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
            .await;
    }

    /// Reads just as much as is expected, and compares.
    async fn reads(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        let read = tokio::time::timeout(PATIENCE, self.0.read_exact(&mut bytes)).await;
        assert!(read.is_ok_and(|read| read.is_ok()), "no {expected:?}");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    /// Reads one head.
    async fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            bytes.push(byte.expect("a head in time").expect("a head"));
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Reads a final answer whose body is `body`; its head.
    async fn answer(&mut self, status: u16, body: &str) -> String {
        let head = self.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        self.reads(body).await;
        head
    }

    /// Nothing comes any more.
    async fn ends(mut self) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        assert!(end.expect("an end in time").is_ok(), "no reset");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    async fn is_silent(&mut self) {
        let read = tokio::time::timeout(Duration::from_millis(200), self.0.read_u8()).await;
        assert!(read.is_err(), "something came");
    }

    /// The connection serves another request.
    async fn goes_on(mut self) {
        self.ask("POST /count", "Content-Length: 2\r\n").await;
        self.send("ab").await;
        self.answer(200, "2").await;
    }
}

#[actix_web::test]
async fn an_interim_answer_comes_before_the_body_has_been_sent() {
    for place in Place::both() {
        for path in ["/announce", "/from-a-thread"] {
            let mut client = place.client().await;
            client.ask(&format!("POST {path}"), "Content-Length: 3\r\n").await;

            client.reads(LINK).await;

            client.send("abc").await;
            client.answer(200, "3").await;
            client.goes_on().await;
        }
    }
}

#[actix_web::test]
async fn a_late_interim_answer_lands_in_no_other() {
    for place in Place::both() {
        let mut client = place.client().await;
        client.ask("GET /keep", "").await;
        client.answer(200, "kept").await;
        let late = place.kept.lock().expect("no panic").take();
        let late = late.expect("a way to the client");

        assert!(!send_link(&late));
        client.ask("POST /count", "Content-Length: 3\r\n").await;
        client.send("a").await;
        client.is_silent().await;
        assert!(!send_link(&late));

        client.send("bc").await;
        client.answer(200, "3").await;
        client.goes_on().await;
    }
}

#[actix_web::test]
async fn a_client_of_http_1_0_gets_no_interim_answers() {
    for place in Place::both() {
        let mut client = place.client().await;

        client
            .send(format!("GET /announce HTTP/1.0\r\n{EXPECT}\r\n"))
            .await;

        assert!(client.head().await.starts_with("HTTP/1.0 200 "));
        client.reads("no way").await;
        client.ends().await;
    }
}

#[actix_web::test]
async fn a_client_that_does_not_read_keeps_nobody_waiting_and_gets_whole_heads() {
    for place in Place::both() {
        let mut client = place.client().await;
        client.ask("GET /flood", "").await;
        // The handler is through before anything is read.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut got = 0;

        let head = loop {
            let head = client.head().await;
            if !head.starts_with("HTTP/1.1 104 ") {
                break head;
            }
            assert_eq!(
                head.len(),
                "HTTP/1.1 104 Upload Resumption Supported\r\n".len() + 4013
            );
            got += 1;
        };

        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(got > 1);
        client.reads(&got.to_string()).await;
        client.goes_on().await;
    }
}

#[actix_web::test]
async fn an_interim_answer_waits_for_the_answer_to_an_earlier_request() {
    for place in Place::both() {
        for (path, body) in [("/count", "0"), ("/large", &".".repeat(LARGE))] {
            let mut client = place.client().await;
            let first = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let second = format!("POST /announce HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{EXPECT}\r\n");
            client.send(first + &second).await;
            tokio::time::sleep(Duration::from_millis(200)).await;

            client.answer(200, body).await;
            client.reads(LINK).await;
            client.reads(CONTINUE).await;
            client.send("abc").await;
            client.answer(200, "3").await;
            client.goes_on().await;
        }
    }
}

#[actix_web::test]
async fn who_asks_first_is_told_to_go_on_when_the_body_is_read() {
    for place in Place::both() {
        for lines in [EXPECT, "Expect: something, 100-Continue\r\n"] {
            let mut client = place.client().await;
            client
                .ask("POST /count", &format!("Content-Length: {LARGE}\r\n{lines}"))
                .await;

            client.reads(CONTINUE).await;
            client.is_silent().await;

            client.send(vec![b'a'; LARGE]).await;
            client.answer(200, &LARGE.to_string()).await;
            client
                .ask("POST /announce", &format!("Content-Length: 3\r\n{lines}"))
                .await;
            client.reads(LINK).await;
            client.reads(CONTINUE).await;
            client.send("abc").await;
            client.answer(200, "3").await;
            client.goes_on().await;
        }
    }
}

#[actix_web::test]
async fn who_asks_in_vain_is_answered_at_once_and_nothing_after_it_is_a_request() {
    for place in Place::both() {
        let smuggled = "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n";
        for length in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
            for sends in [false, true] {
                let mut client = place.client().await;

                client.ask("POST /refuse", &format!("{length}\r\n{EXPECT}")).await;

                let head = client.answer(409, "no").await;
                assert!(head.contains("connection: close"), "{head}");
                if sends {
                    client.send(smuggled).await;
                }
                client.ends().await;
            }
        }
        assert!(place.kept.lock().expect("no panic").is_none());
    }
}

#[actix_web::test]
async fn who_does_not_wait_is_not_told_to_go_on() {
    for place in Place::both() {
        for (lines, body) in [
            ("Content-Length: 3\r\n", "abc"),
            ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ] {
            let mut client = place.client().await;

            client
                .send(format!(
                    "POST /count-slowly HTTP/1.1\r\nHost: a\r\n{lines}{EXPECT}\r\n{body}"
                ))
                .await;

            client.answer(200, "3").await;
            client.goes_on().await;
        }
    }
}

#[actix_web::test]
async fn an_expectation_without_a_body_or_of_something_else_changes_nothing() {
    for place in Place::both() {
        for (request, lines, status, body) in [
            ("GET /count", EXPECT, 200, "0"),
            ("HEAD /refuse", EXPECT, 409, ""),
            ("GET /refuse", EXPECT, 409, "no"),
            ("GET /count", "Expect: something\r\n", 200, "0"),
            ("GET /large", EXPECT, 200, &".".repeat(LARGE)),
        ] {
            let mut client = place.client().await;

            client.ask(request, lines).await;

            client.answer(status, body).await;
            client.goes_on().await;
        }
    }
}

#[actix_web::test]
async fn a_stop_lets_a_request_finish_that_has_asked_first() {
    for place in Place::both() {
        let mut client = place.client().await;
        client
            .ask("POST /count", &format!("Content-Length: 3\r\n{EXPECT}"))
            .await;
        client.reads(CONTINUE).await;

        let stopped = actix_web::rt::spawn(place.handle.stop(true));
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send("abc").await;

        client.answer(200, "3").await;
        client.ends().await;
        let stopped = tokio::time::timeout(Duration::from_secs(5), stopped).await;
        stopped.expect("a stop in time").expect("a stop");
    }
}
