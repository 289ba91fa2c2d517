//! A body on its way out: which bytes of which segments, read as fast as the client takes them.
//!
//! Separate because ranges and part numbers are arithmetic over the segments that neither the store nor the answer's
//! headers should repeat.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use s3s::dto::StreamingBlob;
use s3s::{Body, S3Result, s3_error};

use super::layout::Segment;
use super::store::Object;

/// Bytes read at a time.
const CHUNK: usize = 512 << 10;

/// The part of an object that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In bytes of the whole object.
    pub range: Range<u64>,
    /// Whether the answer is 206 with `Content-Range`.
    pub partial: bool,
}

impl Selection {
    /// `Content-Range`, where the answer has one.
    pub fn content_range(&self, object: &Object) -> Option<String> {
        let last = self.range.end.saturating_sub(1);
        self.partial
            .then(|| format!("bytes {}-{last}/{}", self.range.start, object.record.size))
    }
}

/// What `Range` and `partNumber` select.
///
/// # Errors
/// `InvalidRange` for a range outside of the object, `InvalidPartNumber` for a part that it has not, and
/// `InvalidRequest` for both at once.
pub fn select(object: &Object, range: Option<s3s::dto::Range>, part: Option<i32>) -> S3Result<Selection> {
    let size = object.record.size;
    match (range, part) {
        (None, None) => Ok(Selection {
            range: 0..size,
            partial: false,
        }),
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (Some(range), None) => {
            let range = range
                .check(size)
                .map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?;
            Ok(Selection { range, partial: true })
        }
        (None, Some(number)) => {
            let range = range_of_part(object, number).ok_or_else(|| {
                let mut error = s3s::S3Error::with_message(
                    s3s::S3ErrorCode::Custom("InvalidPartNumber".into()),
                    "The requested partnumber is not satisfiable",
                );
                error.set_status_code(http::StatusCode::RANGE_NOT_SATISFIABLE);
                error
            })?;
            // An empty part has no first and last byte that `Content-Range` could name.
            let partial = !range.is_empty();
            Ok(Selection { range, partial })
        }
    }
}

fn range_of_part(object: &Object, number: i32) -> Option<Range<u64>> {
    let mut start = 0;
    for part in &object.record.parts {
        if i32::from(part.number) == number {
            return Some(start..start + part.size);
        }
        start += part.size;
    }
    None
}

/// The selected bytes as a body. The segments stay alive until it ends or is dropped.
pub fn stream(object: &Arc<Object>, range: Range<u64>) -> StreamingBlob {
    let reader = Reader {
        pieces: pieces(object, range),
        open: None,
    };
    let frames = futures_util::stream::try_unfold(reader, |reader| async move {
        let read = tokio::task::spawn_blocking(move || reader.next())
            .await
            .map_err(io::Error::other)??;
        Ok::<_, io::Error>(read.map(|(bytes, reader)| (Frame::data(bytes), reader)))
    });
    StreamingBlob::from(Body::http_body_unsync(StreamBody::new(frames)))
}

/// A stretch of one segment.
type Piece = (Arc<Segment>, Range<u64>);

fn pieces(object: &Object, range: Range<u64>) -> VecDeque<Piece> {
    let mut pieces = VecDeque::new();
    let mut start = 0;
    for (part, segment) in object.record.parts.iter().zip(&object.segments) {
        let end = start + part.size;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push_back((segment.clone(), from - start..to - start));
        }
        start = end;
    }
    pieces
}

struct Reader {
    pieces: VecDeque<Piece>,
    /// The file of the first piece, standing at the piece's start.
    open: Option<File>,
}

impl Reader {
    /// The next bytes, or none at the end. Blocks.
    fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some((segment, range)) = self.pieces.front_mut() else {
            return Ok(None);
        };
        let mut file = match self.open.take() {
            Some(file) => file,
            None => open_at(segment, range.start)?,
        };
        let length = usize::try_from(range.end - range.start)
            .unwrap_or(CHUNK)
            .min(CHUNK);
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        range.start += length as u64;
        if range.is_empty() {
            self.pieces.pop_front();
        } else {
            self.open = Some(file);
        }
        Ok(Some((bytes.into(), self)))
    }
}

fn open_at(segment: &Segment, start: u64) -> io::Result<File> {
    let mut file = File::open(segment.path())?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}
