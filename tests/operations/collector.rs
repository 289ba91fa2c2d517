//! A collector of traces on a loopback socket, which reads of OTLP what the tests ask for:
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! Separate from the tests, and by hand, so that what is sent is not read by the code that sent it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Export {
    /// Its first line.
    pub line: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// One span.
#[derive(Debug, Clone, Default)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    /// Text as it is, numbers in decimal.
    pub attributes: BTreeMap<String, String>,
    /// 2 is an error.
    pub status: u64,
}

/// A collector; it ends with the process.
pub struct Collector {
    pub address: String,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let exports = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&exports);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let book = Arc::clone(&book);
                std::thread::spawn(move || serve(&stream, &book));
            }
        });
        Self { address, exports }
    }

    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().expect("nobody panicked").clone()
    }

    /// All spans that came, and what the resource of the last of them says.
    pub fn spans(&self) -> (Vec<Span>, BTreeMap<String, String>) {
        let (mut spans, mut resource) = (Vec::new(), BTreeMap::new());
        for export in self.exports() {
            for of_resource in fields(&export.body).filter_map(|(_, field)| field.message()) {
                for (number, field) in fields(of_resource) {
                    let Some(message) = field.message() else { continue };
                    if number == 1 {
                        resource = attributes(message, 1);
                        continue;
                    }
                    let of_scope = fields(message).filter(|(number, _)| *number == 2);
                    spans.extend(of_scope.filter_map(|(_, span)| span.message().map(read_span)));
                }
            }
        }
        (spans, resource)
    }
}

fn serve(stream: &TcpStream, book: &Mutex<Vec<Export>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let headers: BTreeMap<String, String> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|text| text.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        reader.read_exact(&mut body).expect("a whole body");
        book.lock().expect("nobody panicked").push(Export {
            line: head[0].clone(),
            headers,
            body,
        });
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if (&*stream).write_all(answer).is_err() {
            return;
        }
    }
}

fn read_span(message: &[u8]) -> Span {
    let mut span = Span {
        attributes: attributes(message, 9),
        ..Span::default()
    };
    for (number, field) in fields(message) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => span.trace = hex::encode(bytes),
            (2, Field::Bytes(bytes)) => span.id = hex::encode(bytes),
            (4, Field::Bytes(bytes)) => span.parent = hex::encode(bytes),
            (5, Field::Bytes(bytes)) => span.name = String::from_utf8_lossy(bytes).into_owned(),
            (15, Field::Bytes(status)) => {
                let code = fields(status).find(|(number, _)| *number == 3);
                if let Some((_, Field::Number(code))) = code {
                    span.status = code;
                }
            }
            _ => {}
        }
    }
    span
}

/// The attributes that stand in the field with this number.
fn attributes(message: &[u8], place: u64) -> BTreeMap<String, String> {
    let pairs = fields(message).filter(|(number, _)| *number == place);
    pairs
        .filter_map(|(_, pair)| {
            let (mut name, mut value) = (String::new(), String::new());
            for (number, field) in fields(pair.message()?) {
                let bytes = field.message()?;
                if number == 1 {
                    name = String::from_utf8_lossy(bytes).into_owned();
                } else if let Some((_, inner)) = fields(bytes).next() {
                    value = match inner {
                        Field::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
                        Field::Number(number) => number.to_string(),
                        Field::Fixed => String::new(),
                    };
                }
            }
            Some((name, value))
        })
        .collect()
}

/// One field of a message of protocol buffers: <https://protobuf.dev/programming-guides/encoding/>.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of 4 or 8 bytes, which nobody here asks for.
    Fixed,
}

impl<'a> Field<'a> {
    fn message(self) -> Option<&'a [u8]> {
        match self {
            Field::Bytes(bytes) => Some(bytes),
            Field::Number(_) | Field::Fixed => None,
        }
    }
}

fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let tag = varint(&mut message);
        let mut take = |count: usize| {
            let (taken, rest) = message.split_at(count);
            message = rest;
            taken
        };
        let field = match tag & 7 {
            1 => {
                take(8);
                Field::Fixed
            }
            5 => {
                take(4);
                Field::Fixed
            }
            0 => Field::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a length");
                let (taken, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(taken)
            }
            other => panic!("wire type {other}"),
        };
        Some((tag >> 3, field))
    })
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("a whole number");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
