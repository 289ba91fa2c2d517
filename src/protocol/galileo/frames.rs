//! WebSocket frames, read as a stream: <https://www.rfc-editor.org/rfc/rfc6455#section-5>.
//!
//! Separate, because it is pure: bytes in, what they say out. Ours and no crate's, because those that there are hold a
//! whole frame before they say anything about it. Here a message that is too long is known by its head, and every other
//! is passed on as it arrives, however its sender has cut it into frames: nothing of a file is ever gathered.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest control frame: <https://www.rfc-editor.org/rfc/rfc6455#section-5.5>.
const MAX_CONTROL: u64 = 125;

/// Longest head of a masked frame.
const MAX_HEAD: usize = 14;

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes of a file.
    Binary,
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A frame of a message begins; the message has at least `length` bytes now.
    Head {
        /// What the message is made of.
        kind: Kind,
        /// Bytes of the message up to the end of this frame.
        length: u64,
    },
    /// Bytes of the message that has begun, unmasked. What they mean is known by its head.
    Bytes(Bytes),
    /// The message is whole.
    End,
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The other side closes, with this code if it gave one.
    Close(Option<u16>),
}

/// Why a connection cannot go on, as its close code tells: <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// The close code.
    pub code: u16,
    /// Why, in a few words for whoever looks at the wire.
    pub reason: &'static str,
}

impl Broken {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    /// A message over its limit.
    pub const TOO_LONG: Self = Self {
        code: 1009,
        reason: "the message is longer than asked for",
    };

    /// A text that is no UTF-8.
    pub const NOT_TEXT: Self = Self {
        code: 1007,
        reason: "the text is not UTF-8",
    };
}

/// The frame that is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: u64,
    mask: [u8; 4],
    is_last: bool,
}

/// A message that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: Kind,
    length: u64,
}

/// Reads what a client sends.
#[derive(Debug)]
pub struct Decoder {
    /// A head, or a control frame, that has not come whole.
    start: BytesMut,
    /// What has come and was not looked at.
    input: BytesMut,
    frame: Option<Frame>,
    message: Option<Message>,
    /// Most bytes of a binary message.
    pub binary_limit: u64,
    /// Most bytes of a text.
    pub text_limit: u64,
}

impl Decoder {
    /// Reads messages up to these limits.
    pub fn new(text_limit: u64, binary_limit: u64) -> Self {
        Self {
            start: BytesMut::new(),
            input: BytesMut::new(),
            frame: None,
            message: None,
            binary_limit,
            text_limit,
        }
    }

    /// Takes bytes as they came. What came before must have been [read](Self::next) to its end.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(bytes);
    }

    /// What comes next; `None` where more bytes are needed.
    ///
    /// # Errors
    /// [`Broken`] for what is against the rules or over a limit; nothing can be read after that.
    pub fn next(&mut self) -> Result<Option<Piece>, Broken> {
        loop {
            if let Some(frame) = &mut self.frame {
                if frame.left == 0 {
                    let is_last = frame.is_last;
                    self.frame = None;
                    if is_last {
                        self.message = None;
                        return Ok(Some(Piece::End));
                    }
                    continue;
                }
                if self.input.is_empty() {
                    return Ok(None);
                }
                let most = usize::try_from(frame.left).unwrap_or(usize::MAX);
                let mut bytes = self.input.split_to(most.min(self.input.len()));
                unmask(&mut bytes, frame.mask);
                frame.mask.rotate_left(bytes.len() % 4);
                frame.left -= bytes.len() as u64;
                return Ok(Some(Piece::Bytes(bytes.freeze())));
            }
            return self.read_head();
        }
    }

    /// The next frame's head, with the whole frame where it is one of control.
    fn read_head(&mut self) -> Result<Option<Piece>, Broken> {
        loop {
            match parse_head(&self.start)? {
                Some((length, head)) if head.is_control() => {
                    let whole = length + usize::try_from(head.length).unwrap_or(usize::MAX);
                    if !self.gather(whole) {
                        return Ok(None);
                    }
                    let mut bytes = self.start.split().split_off(length);
                    unmask(&mut bytes, head.mask);
                    return control(head.opcode, bytes.freeze()).map(Some);
                }
                Some((_, head)) => {
                    self.start.clear();
                    return self.begin(head).map(Some);
                }
                None => {
                    let more = self.start.len() + 1;
                    debug_assert!(more <= MAX_HEAD, "a head is known by then");
                    if !self.gather(more) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Moves input to the start of a frame until that has `length` bytes; false where there are not enough.
    fn gather(&mut self, length: usize) -> bool {
        let missing = length.saturating_sub(self.start.len()).min(self.input.len());
        self.start.extend_from_slice(&self.input[..missing]);
        self.input.advance(missing);
        self.start.len() >= length
    }

    fn begin(&mut self, head: RawHead) -> Result<Piece, Broken> {
        let before = match (head.opcode, self.message) {
            (0, Some(message)) => message,
            (0, None) => return Err(Broken::protocol("there is no message to go on with")),
            (_, Some(_)) => return Err(Broken::protocol("the message before has not ended")),
            (1, None) => Message {
                kind: Kind::Text,
                length: 0,
            },
            _ => Message {
                kind: Kind::Binary,
                length: 0,
            },
        };
        let limit = match before.kind {
            Kind::Text => self.text_limit,
            Kind::Binary => self.binary_limit,
        };
        let length = before.length.saturating_add(head.length);
        if length > limit {
            return Err(Broken::TOO_LONG);
        }
        let kind = before.kind;
        self.message = Some(Message { kind, length });
        self.frame = Some(Frame {
            left: head.length,
            mask: head.mask,
            is_last: head.is_last,
        });
        Ok(Piece::Head { kind, length })
    }
}

/// The head of a frame: <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
#[derive(Debug, Clone, Copy)]
struct RawHead {
    is_last: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
}

impl RawHead {
    fn is_control(self) -> bool {
        self.opcode >= 8
    }
}

/// Reads a head and says how long it is; what is wrong with it is said as soon as it shows.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, RawHead)>, Broken> {
    let &[first, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(Broken::protocol(
            "reserved bits are set, and no extension was agreed on",
        ));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Broken::protocol("there is no such opcode"));
    }
    if opcode >= 8 && !is_last {
        return Err(Broken::protocol("a control frame cannot be fragmented"));
    }
    let &[second, ref rest @ ..] = rest else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(Broken::protocol("a client must mask its frames"));
    }
    let (size, length) = match second & 0x7f {
        126 => (
            2,
            rest.first_chunk()
                .map(|length| u16::from_be_bytes(*length).into()),
        ),
        127 => (8, rest.first_chunk().map(|length| u64::from_be_bytes(*length))),
        short => (0, Some(u64::from(short))),
    };
    let Some(length) = length else {
        return Ok(None);
    };
    if length >> 63 != 0 {
        return Err(Broken::protocol("a length has 63 bits"));
    }
    if opcode >= 8 && length > MAX_CONTROL {
        return Err(Broken::protocol("a control frame has at most 125 bytes"));
    }
    let mask = rest.get(size..).and_then(|rest| rest.first_chunk());
    Ok(mask.map(|mask| {
        let head = RawHead {
            is_last,
            opcode,
            length,
            mask: *mask,
        };
        (2 + size + 4, head)
    }))
}

fn control(opcode: u8, bytes: Bytes) -> Result<Piece, Broken> {
    match opcode {
        9 => return Ok(Piece::Ping(bytes)),
        10 => return Ok(Piece::Pong),
        _ => {}
    }
    // A close: <https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1>.
    match bytes.split_first_chunk() {
        None if bytes.is_empty() => Ok(Piece::Close(None)),
        None => Err(Broken::protocol("a close code has two bytes")),
        Some((code, reason)) => {
            let code = u16::from_be_bytes(*code);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Broken::protocol("there is no such close code"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Broken::NOT_TEXT);
            }
            Ok(Piece::Close(Some(code)))
        }
    }
}

/// Masks or unmasks: <https://www.rfc-editor.org/rfc/rfc6455#section-5.3>.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// A text as a frame.
pub fn text(text: &str) -> Bytes {
    frame(1, text.as_bytes())
}

/// A ping without bytes.
pub fn ping() -> Bytes {
    frame(9, &[])
}

/// The answer to a ping.
pub fn pong(bytes: &[u8]) -> Bytes {
    frame(10, bytes)
}

/// A close frame, empty where there is no code.
pub fn close(code: Option<u16>, reason: &str) -> Bytes {
    let mut bytes = Vec::new();
    if let Some(code) = code {
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(reason.as_bytes());
    }
    frame(8, &bytes)
}

fn frame(opcode: u8, bytes: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(bytes.len() + 10);
    frame.push(0x80 | opcode);
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(bytes);
    frame.into()
}

#[cfg(test)]
mod tests;
