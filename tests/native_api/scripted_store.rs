//! A store that stumbles on demand, as no real one does: it knows one upload and answers as the test says.
//!
//! Separate, because everything else is tested against a real store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use muleteer::config::{Config, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An answer: status and body.
type Scripted = (u16, String);

/// What it answers to one kind of request before it answers well.
#[derive(Debug, Clone, Default)]
struct Script {
    to_begin: VecDeque<Scripted>,
    to_complete: VecDeque<Scripted>,
    is_mute: bool,
    seen: Vec<String>,
}

/// The store; it ends with the test's runtime.
pub struct ScriptedStore {
    endpoint: String,
    script: Arc<Mutex<Script>>,
}

impl ScriptedStore {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { endpoint, script }
    }

    /// Points a server's settings here.
    pub fn configure(&self, config: &mut Config) {
        config.s3.bucket = "uploads".into();
        config.s3.endpoint.clone_from(&self.endpoint);
        config.s3.access_key_id = "somebody".into();
        config.s3.secret_access_key = Secret::new("something");
        config.s3.min_part_size = 8;
    }

    /// Beginning an upload is answered so, that many times.
    pub fn to_begin(&self, times: usize, status: u16, body: &str) {
        self.change(|script| script.to_begin = vec![(status, body.to_owned()); times].into());
    }

    /// Completing an upload is answered so, that many times.
    pub fn to_complete(&self, times: usize, status: u16, body: &str) {
        self.change(|script| script.to_complete = vec![(status, body.to_owned()); times].into());
    }

    /// From now on it takes requests and never answers; or it does again.
    pub fn mute(&self, is_mute: bool) {
        self.change(|script| script.is_mute = is_mute);
    }

    /// How many requests there were whose first line begins so.
    pub fn seen(&self, beginning: &str) -> usize {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script
            .seen
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An error as S3 writes it.
pub fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>x</Message></Error>")
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut request = Vec::new();
    let head = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let length = text
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(str::to_owned)
        })
        .and_then(|length| length.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let mut rest = vec![0; length.saturating_sub(request.len() - head)];
    if stream.read_exact(&mut rest).await.is_err() {
        return;
    }
    let (status, body) = answer(text.lines().next().unwrap_or_default(), &script);
    if script.lock().unwrap_or_else(PoisonError::into_inner).is_mute {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]).await;
        return;
    }
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn answer(line: &str, script: &Mutex<Script>) -> Scripted {
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    script.seen.push(line.to_owned());
    let (method, target) = line.split_once(' ').unwrap_or_default();
    let query = target.split([' ', '?']).nth(1).unwrap_or_default();
    match method {
        "POST" if query.starts_with("uploads") => script.to_begin.pop_front().unwrap_or_else(|| {
            let body = "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>";
            (200, body.to_owned())
        }),
        "POST" => script.to_complete.pop_front().unwrap_or_else(|| {
            let tag = "<CompleteMultipartUploadResult><ETag>&quot;tag-1&quot;</ETag></CompleteMultipartUploadResult>";
            (200, tag.to_owned())
        }),
        "GET" if query.contains("uploadId=") => {
            let part = "<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag><Size>16</Size></Part>";
            (200, format!("<ListPartsResult><IsTruncated>false</IsTruncated>{part}</ListPartsResult>"))
        }
        "GET" => (200, "<ListMultipartUploadsResult></ListMultipartUploadsResult>".to_owned()),
        "DELETE" => (204, String::new()),
        _ => (404, String::new()),
    }
}
