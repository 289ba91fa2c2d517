//! A proxy between browsers and a store that changes what passes, as a careless one does.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does to the bytes of one way.
pub type Change = fn(Vec<u8>, &str) -> Vec<u8>;

/// Starts one before `store` (`http://host:port`); its own address.
pub async fn start(store: &str, there: Change, back: Change) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("its address").to_string();
    let store = store.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&store).await.expect("the store");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server, there, store.clone()));
            tokio::spawn(pass(from_server, to_client, back, store.clone()));
        }
    });
    format!("http://{own}")
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: Change,
    store: String,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0
            || to
                .write_all(&change(buffer[..count].to_vec(), &store))
                .await
                .is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// Passes everything on as it is.
pub fn nothing(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    bytes
}

/// Answers as a web server does that has no such page.
pub fn not_found(_: Vec<u8>, _: &str) -> Vec<u8> {
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
}

/// Puts the store's own address into `Host`.
pub fn rewrite_host(bytes: Vec<u8>, store: &str) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else {
        return bytes;
    };
    let lines = text.split("\r\n").map(|line| {
        if line.to_lowercase().starts_with("host:") {
            format!("host: {store}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// Drops what lets pages read an answer.
pub fn hide_cors(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else {
        return bytes;
    };
    let lines = text
        .split("\r\n")
        .filter(|line| !line.to_lowercase().starts_with("access-control-"));
    lines.collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// Calls a body well received that the store found damaged.
pub fn forgive_md5(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    if String::from_utf8_lossy(&bytes).contains("BadDigest") {
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    }
    bytes
}

/// The last part that a store takes behind [`few_parts`] and [`tell_limit`].
pub const LAST_PART: u16 = 1000;

/// Spoils the signature of every part with a higher number than [`LAST_PART`].
pub fn few_parts(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else {
        return bytes;
    };
    let asked = text.split("partNumber=").nth(1);
    let number = asked.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    match number.and_then(|number| number.parse::<u16>().ok()) {
        Some(number) if number > LAST_PART => text
            .replace(&format!("partNumber={number}"), "partNumber=1")
            .into_bytes(),
        _ => bytes,
    }
}

/// Tells of a spoilt signature as a store does of a part too many.
pub fn tell_limit(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    if !String::from_utf8_lossy(&bytes).contains("SignatureDoesNotMatch") {
        return bytes;
    }
    let words = format!("Part number must be an integer between 1 and {LAST_PART}, inclusive");
    refusal(400, "InvalidArgument", &words)
}

/// Answers as a store does whose owner has not paid.
pub fn close_account(_: Vec<u8>, _: &str) -> Vec<u8> {
    refusal(403, "AccountProblem", "There is a problem with your account.")
}

/// Answers as a store does that has lost its disks.
pub fn break_down(_: Vec<u8>, _: &str) -> Vec<u8> {
    refusal(500, "InternalError", "We encountered an internal error.")
}

fn refusal(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    format!(
        "HTTP/1.1 {status} Refused\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Takes the signature off what joins parts, which no key may do then.
pub fn unsign_joining(bytes: Vec<u8>, _: &str) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else {
        return bytes;
    };
    let first = text.split("\r\n").next().unwrap_or_default();
    if !first.starts_with("POST ") || !first.contains("uploadId=") {
        return bytes;
    }
    let lines = text
        .split("\r\n")
        .filter(|line| !line.to_lowercase().starts_with("authorization:"));
    lines.collect::<Vec<_>>().join("\r\n").into_bytes()
}
