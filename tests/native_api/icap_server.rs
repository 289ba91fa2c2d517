//! A scanner that speaks ICAP on a loopback socket (RFC 3507): OPTIONS, RESPMOD with a preview, 204, and 200 with what it
//! found. It finds what the tests call infected.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is found.
pub const INFECTED: &[u8] = b"this is infected";

/// Bytes that it wants to see first.
const PREVIEW: usize = 4;

/// One file as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request's head, and those of the answer that it encapsulates.
    pub heads: String,
    pub body: Vec<u8>,
}

pub struct IcapServer {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl IcapServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&book)));
            }
        });
        Self {
            url: format!("icap://{address}/scan"),
            seen,
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(stream: TcpStream, book: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let head = head(&mut stream).await?;
        if head.starts_with("OPTIONS ") {
            let answer = format!(
                "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"t1\"\r\nAllow: 204\r\nPreview: {PREVIEW}\r\n\
                 Transfer-Preview: *\r\nEncapsulated: null-body=0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        assert!(head.starts_with("RESPMOD "), "{head}");
        assert!(
            head.contains("Allow: 204") && head.contains(&format!("Preview: {PREVIEW}")),
            "{head}"
        );
        let mut heads = head.clone();
        let encapsulated = head.split("Encapsulated: ").nth(1)?.lines().next()?;
        let body_at: usize = encapsulated.split("res-body=").nth(1)?.parse().ok()?;
        let mut inner = vec![0; body_at];
        stream.read_exact(&mut inner).await.ok()?;
        let inner = String::from_utf8(inner).ok()?;
        let answer_at: usize = encapsulated
            .split("res-hdr=")
            .nth(1)?
            .split(',')
            .next()?
            .parse()
            .ok()?;
        assert!(inner[answer_at..].starts_with("HTTP/1.1 200 OK"), "{inner}");
        heads.push_str(&inner);
        let (mut body, is_all) = chunks(&mut stream).await?;
        assert!(
            body.len() <= PREVIEW,
            "no more than a preview before it is asked for"
        );
        if !is_all {
            stream.write_all(b"ICAP/1.0 100 Continue\r\n\r\n").await.ok()?;
            body.extend(chunks(&mut stream).await?.0);
        }
        let is_infected = body.windows(INFECTED.len()).any(|window| window == INFECTED);
        book.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Seen { heads, body });
        let answer: &[u8] = if is_infected {
            b"ICAP/1.0 200 OK\r\nISTag: \"t1\"\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Test-Signature;\r\n\
              Encapsulated: res-hdr=0, res-body=45\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n2\r\nno\r\n0\r\n\r\n"
        } else {
            b"ICAP/1.0 204 No modifications\r\nISTag: \"t1\"\r\nEncapsulated: null-body=0\r\n\r\n"
        };
        stream.write_all(answer).await.ok()?;
    }
}

async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let read = stream.read_line(&mut head).await.ok()?;
        if read == 0 {
            return None;
        }
        if head.ends_with("\r\n\r\n") {
            return Some(head);
        }
    }
}

/// The chunks up to an end, and whether that is the end of all (`ieof`).
async fn chunks(stream: &mut BufReader<TcpStream>) -> Option<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim_end();
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).expect("a chunk's size");
        let mut piece = vec![0; size + 2];
        stream.read_exact(&mut piece).await.ok()?;
        if size == 0 {
            return Some((body, line.contains("ieof")));
        }
        body.extend_from_slice(&piece[..size]);
    }
}
