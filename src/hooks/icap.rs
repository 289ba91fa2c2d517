//! A virus scanner that speaks ICAP (<https://www.rfc-editor.org/rfc/rfc3507>), as c-icap with `ClamAV`, and most that can
//! be bought: it is shown the file as the answer to a request for it (RESPMOD), with a preview where it likes one.
//!
//! Separate from the HTTP hook: here the bytes always pass through us, and the answer is a status rather than a document.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::pre_complete::rejected;
use crate::domain::{Opinion, Upload, UploadId};
use crate::error::Error;
use crate::uploads::{ByteStream, Scanner, Source, Subject};

/// The port where none is named.
const PORT: u16 = 1344;

/// Most bytes of an answer's head.
const LONGEST_HEAD: usize = 16 << 10;

/// Most bytes of a preview, whatever the scanner would like.
const LONGEST_PREVIEW: usize = 64 << 10;

/// What scanners name what they found in; the first that is there is told.
const FINDINGS: [&str; 4] = [
    "x-infection-found",
    "x-virus-id",
    "x-violations-found",
    "x-blocked-reason",
];

/// A scanner at an address.
pub(super) struct IcapScanner {
    /// `icap://host[:port]/service` as requests name it.
    url: String,
    /// `host:port`
    host: String,
    patience: Duration,
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    status: u16,
    /// Names in small letters.
    fields: Vec<(String, String)>,
}

impl Head {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Answer<T> = Result<T, String>;

impl IcapScanner {
    /// A scanner, where nothing takes longer than `patience`.
    ///
    /// # Errors
    /// [`Error::Internal`] for an address that the settings' check would have refused.
    pub(super) fn new(url: &str, patience: Duration) -> Result<Self, Error> {
        let parsed = Url::parse(url).map_err(Error::internal)?;
        let host = parsed.host_str().unwrap_or_default();
        Ok(Self {
            url: url.to_owned(),
            host: format!("{host}:{}", parsed.port().unwrap_or(PORT)),
            patience,
        })
    }

    async fn look(&self, upload: &Upload, bytes: ByteStream) -> Answer<Opinion> {
        let mut wire = Wire::open(&self.host).await?;
        let preview = self.preview(&mut wire).await?;
        // Some close after OPTIONS.
        let mut wire = if wire.is_open {
            wire
        } else {
            Wire::open(&self.host).await?
        };
        let mut bytes = Bytewise::new(bytes);
        let head = self.request(upload, preview);
        wire.send(head.as_bytes()).await?;
        let answer = match preview {
            Some(most) => {
                let (first, is_all) = bytes.up_to(most).await?;
                wire.send_chunk(&first).await?;
                wire.send(if is_all { b"0; ieof\r\n\r\n" } else { b"0\r\n\r\n" })
                    .await?;
                let head = wire.head().await?;
                if head.status == 100 && !is_all {
                    wire.pour(&mut bytes).await?
                } else {
                    head
                }
            }
            None => wire.pour(&mut bytes).await?,
        };
        self.judge(&answer, &mut wire).await
    }

    /// How many bytes the scanner wants to see first; `None` where it wants all at once.
    async fn preview(&self, wire: &mut Wire) -> Answer<Option<usize>> {
        let text = format!(
            "OPTIONS {} ICAP/1.0\r\nHost: {}\r\nUser-Agent: Muleteer\r\nEncapsulated: null-body=0\r\n\r\n",
            self.url, self.host
        );
        wire.send(text.as_bytes()).await?;
        let head = wire.head().await?;
        if head.status != 200 {
            return Err(format!("answered OPTIONS with {}", head.status));
        }
        let methods = head.field("methods").unwrap_or("RESPMOD").to_ascii_uppercase();
        if !methods.contains("RESPMOD") {
            return Err(format!("offers {methods} at this address, not RESPMOD"));
        }
        let has_body = head
            .field("encapsulated")
            .is_some_and(|parts| !parts.contains("null-body"));
        wire.is_open = !has_body && head.field("connection") != Some("close");
        let preview = head.field("preview").and_then(|text| text.parse::<usize>().ok());
        Ok(preview.map(|most| most.min(LONGEST_PREVIEW)))
    }

    fn request(&self, upload: &Upload, preview: Option<usize>) -> String {
        let path: String =
            url::form_urlencoded::byte_serialize(upload.filename.as_str().as_bytes()).collect();
        let asked = format!(
            "GET http://muleteer.invalid/{}/{path} HTTP/1.1\r\nHost: muleteer.invalid\r\n\r\n",
            upload.id
        );
        let answered = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            upload.content_type.as_str(),
            upload.size
        );
        let preview = preview.map_or(String::new(), |most| format!("Preview: {most}\r\n"));
        format!(
            "RESPMOD {} ICAP/1.0\r\nHost: {}\r\nUser-Agent: Muleteer\r\nAllow: 204\r\n{preview}\
             Encapsulated: req-hdr=0, res-hdr={}, res-body={}\r\n\r\n{asked}{answered}",
            self.url,
            self.host,
            asked.len(),
            asked.len() + answered.len()
        )
    }

    /// What an answer means. A scanner that changes a file without a word about why has not said that it is clean.
    async fn judge(&self, head: &Head, wire: &mut Wire) -> Answer<Opinion> {
        if let Some(found) = FINDINGS.iter().find_map(|name| head.field(name)) {
            return Ok(rejected(&threat(found)));
        }
        match head.status {
            204 => Ok(Opinion::Accept),
            200 | 201 => {
                let has_answer = head
                    .field("encapsulated")
                    .is_some_and(|parts| parts.contains("res-hdr"));
                let inner = if has_answer {
                    wire.head().await?
                } else {
                    return Err(UNCLEAR.to_owned());
                };
                match inner.status {
                    200..=299 => Err(UNCLEAR.to_owned()),
                    status => Ok(rejected(&format!("the scanner answered {status} in its place"))),
                }
            }
            status => Err(format!("answered {status}")),
        }
    }
}

const UNCLEAR: &str = "sent the file back without saying what it found; it must answer 204 for a clean one";

/// The name in `Type=0; Resolution=2; Threat=Eicar-Test-Signature;`, or the text as it stands.
fn threat(text: &str) -> String {
    let named = text
        .split(';')
        .find_map(|piece| piece.trim().strip_prefix("Threat="))
        .unwrap_or(text);
    named.to_owned()
}

#[async_trait]
impl Scanner for IcapScanner {
    fn fetches(&self) -> bool {
        false
    }

    async fn scan(&self, subject: Subject<'_>) -> Result<Option<Opinion>, Error> {
        let Source::Bytes(bytes) = subject.source else {
            return Err(Error::internal("ICAP is given the bytes"));
        };
        let looking = tokio::time::timeout(self.patience, self.look(subject.upload, bytes));
        let outcome = looking
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", self.patience.as_secs())));
        outcome
            .map(Some)
            .map_err(|reason| Error::unavailable("the scanner", reason))
    }

    fn is_token(&self, _id: &UploadId, _etag: Option<&str>, _token: &str) -> bool {
        false
    }
}

/// One connection.
struct Wire {
    stream: TcpStream,
    /// What has come and was not read yet.
    ahead: BytesMut,
    is_open: bool,
}

impl Wire {
    async fn open(host: &str) -> Answer<Self> {
        let stream = TcpStream::connect(host).await;
        let stream = stream.map_err(|_| "no connection could be made".to_owned())?;
        Ok(Self {
            stream,
            ahead: BytesMut::new(),
            is_open: true,
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> Answer<()> {
        self.stream.write_all(bytes).await.map_err(|_| BROKE.to_owned())
    }

    async fn send_chunk(&mut self, bytes: &[u8]) -> Answer<()> {
        if bytes.is_empty() {
            // It would be taken for the end.
            return Ok(());
        }
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        self.send(bytes).await?;
        self.send(b"\r\n").await
    }

    /// Sends what is left, and reads the answer. A scanner may answer before it has seen all, and then reads no more.
    async fn pour(&mut self, bytes: &mut Bytewise) -> Answer<Head> {
        while let Some(piece) = bytes.next().await? {
            let mut one = [0];
            let has_answered = !self.ahead.is_empty()
                || matches!(
                    tokio::time::timeout(Duration::ZERO, self.stream.peek(&mut one)).await,
                    Ok(Ok(1..))
                );
            if has_answered || self.send_chunk(&piece).await.is_err() {
                self.is_open = false;
                return self.head().await;
            }
        }
        self.send(b"0\r\n\r\n").await?;
        self.head().await
    }

    /// The next head that comes: of ICAP, or of HTTP within it.
    async fn head(&mut self) -> Answer<Head> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err("its answer's head is too long".to_owned());
            }
            let read = self
                .stream
                .read_buf(&mut self.ahead)
                .await
                .map_err(|_| BROKE.to_owned())?;
            if read == 0 {
                return Err(BROKE.to_owned());
            }
        };
        let head = self.ahead.split_to(end + 4);
        parse(&String::from_utf8_lossy(&head))
    }
}

const BROKE: &str = "the connection broke before the answer";

fn parse(text: &str) -> Answer<Head> {
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let is_answer = first.starts_with("ICAP/") || first.starts_with("HTTP/");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.filter(|_| is_answer);
    let fields = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    Ok(Head {
        status: status.ok_or("its answer is no ICAP")?,
        fields: fields.collect(),
    })
}

/// The file, of which the first bytes can be taken apart.
struct Bytewise {
    stream: ByteStream,
    ahead: Option<Bytes>,
}

impl Bytewise {
    fn new(stream: ByteStream) -> Self {
        Self { stream, ahead: None }
    }

    async fn next(&mut self) -> Answer<Option<Bytes>> {
        if let Some(piece) = self.ahead.take() {
            return Ok(Some(piece));
        }
        loop {
            match self.stream.next().await {
                None => return Ok(None),
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return Ok(Some(piece)),
                Some(Err(error)) => return Err(format!("the file could not be read: {error}")),
            }
        }
    }

    /// The first bytes, and whether these are all.
    async fn up_to(&mut self, most: usize) -> Answer<(BytesMut, bool)> {
        let mut first = BytesMut::new();
        while let Some(mut piece) = self.next().await? {
            let room = most - first.len();
            if piece.len() > room {
                first.extend_from_slice(&piece.split_to(room));
                self.ahead = Some(piece);
                return Ok((first, false));
            }
            first.extend_from_slice(&piece);
        }
        Ok((first, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threat_is_told_by_its_name() {
        assert_eq!(
            threat("Type=0; Resolution=2; Threat=Eicar-Test-Signature;"),
            "Eicar-Test-Signature"
        );
        assert_eq!(threat("EICAR"), "EICAR");
    }

    #[tokio::test]
    async fn the_first_bytes_are_cut_wherever_pieces_end() {
        for most in 0..8 {
            let pieces = ["ab", "", "cde"].map(|piece| Ok(Bytes::from(piece)));
            let mut bytes = Bytewise::new(Box::pin(futures_util::stream::iter(pieces)));

            let (first, is_all) = bytes.up_to(most).await.unwrap();
            let mut all = first.clone();
            while let Some(piece) = bytes.next().await.unwrap() {
                all.extend_from_slice(&piece);
            }

            assert_eq!((first.len(), is_all), (most.min(5), most >= 5));
            assert_eq!(&all[..], b"abcde");
        }
    }
}
