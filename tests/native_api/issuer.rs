//! The application that others are known by: it signs tokens, publishes keys, and answers who somebody is, as a test says.
//!
//! Its keys lie in `tests/fixtures/jwt` and are good for nothing else. What it signs is made with a library, and what it
//! publishes with the numbers out of the keys' own files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A secret of the application's.
pub const SECRET: &str = "the-applications-own-secret-of-the-tests";

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../fixtures/jwt/", $name))
    };
}

pub const RSA: &str = key!("rsa.pem");
pub const RSA_PUBLIC: &str = key!("rsa.pub.pem");
pub const EC: &str = key!("ec.pem");
pub const EC_PUBLIC: &str = key!("ec.pub.pem");
pub const ED: &str = key!("ed.pem");
pub const ED_PUBLIC: &str = key!("ed.pub.pem");
/// Of the same kind, and nobody's.
pub const OTHER_ED: &str = key!("other.pem");

/// A token with these claims, signed with a key in PEM or with a secret.
pub fn sign(algorithm: Algorithm, key: &str, kid: Option<&str>, claims: &Value) -> String {
    let bytes = key.as_bytes();
    let key = match algorithm {
        Algorithm::HS256 => Ok(EncodingKey::from_secret(bytes)),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(bytes),
        Algorithm::ES256 => EncodingKey::from_ec_pem(bytes),
        _ => EncodingKey::from_ed_pem(bytes),
    };
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &key.expect("a key")).expect("a token")
}

/// The set that has the two keys without secrets, of those that are named: `ec` and `ed`.
pub fn jwks(names: &[&str]) -> Value {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let keys: Vec<Value> = names
        .iter()
        .map(|name| {
            if *name == "ec" {
                let der = der(EC_PUBLIC);
                let (x, y) = der[der.len() - 64..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": number(x), "y": number(y), "kid": "ec", "use": "sig" })
            } else {
                let der = der(ED_PUBLIC);
                let x = number(&der[der.len() - 32..]);
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed", "alg": "EdDSA" })
            }
        })
        .collect();
    json!({ "keys": keys })
}

fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).expect("base64")
}

#[derive(Default)]
struct Book {
    answer: String,
    seen: Vec<String>,
}

/// The application's own server; it ends with the test's runtime.
pub struct Application {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

impl Application {
    /// On a free port of 127.0.0.1; it answers 500 until it is told better.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("its address"));
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let started = Self { url, book };
        started.answers(500, "", "");
        started
    }

    /// Answers so from now on; `fields` are whole lines.
    pub fn answers(&self, status: u16, fields: &str, body: &str) {
        let length = body.len();
        lock(&self.book).answer = format!(
            "HTTP/1.1 {status} Scripted\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
    }

    /// Publishes these keys.
    pub fn publishes(&self, names: &[&str]) {
        let fields = format!(
            "ETag: \"{}\"\r\nCache-Control: public, max-age=300\r\n",
            names.join("-")
        );
        self.answers(200, &fields, &jwks(names).to_string());
    }

    /// The heads of all requests so far, in small letters.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.book).seen.clone()
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let answer = {
        let mut book = lock(&book);
        book.seen
            .push(String::from_utf8_lossy(&head).to_ascii_lowercase());
        book.answer.clone()
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}
