//! What the fields of a request say.
//!
//! Separate from what is done about it: the lengths that one request tells in several ways are held against each other
//! here, before anything is made or read.

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_TYPE, TRANSFER_ENCODING};

use super::fields;
use super::version::Version;
use crate::domain::Checksum;
use crate::error::Error;
use crate::uploads::Ends;
use crate::web::body;

/// The media type of content that is appended: section "Media Type `application/partial-upload`".
pub(super) const PARTIAL: &str = "application/partial-upload";

/// Content that comes for an upload, and where it belongs.
#[derive(Debug)]
pub(super) struct Content {
    /// Where it begins.
    pub(super) offset: u64,
    /// Whether its end is the file's.
    pub(super) is_last: bool,
    /// Bytes of the whole file, where the request tells them.
    pub(super) size: Option<u64>,
    /// Bytes of the content, where the request tells them.
    pub(super) length: Option<u64>,
    /// The digest that it must have.
    pub(super) checksum: Option<Checksum>,
}

impl Content {
    /// Of a request whose content begins at `offset`.
    ///
    /// The length of a file is told by `Upload-Length`, or by the end of the last request's content; both must agree, and
    /// no content may pass it (section "Length").
    ///
    /// # Errors
    /// [`Error::LengthConflict`] where they do not; [`Error::Invalid`] for a digest that cannot be read.
    pub(super) fn of(request: &HttpRequest, offset: u64, is_last: bool) -> Result<Self, Error> {
        let headers = request.headers();
        let length = content_length(request);
        let end = length.map(|length| offset.saturating_add(length));
        let told = fields::integer(headers, "upload-length");
        if let (Some(known), Some(end)) = (told, end)
            && (end > known || (is_last && end != known))
        {
            return Err(Error::LengthConflict { known, told: end });
        }
        let name = "Content-Digest";
        let checksum = fields::text(headers, name)
            .map_or(Ok(None), |text| Checksum::from_digest_header(&text, name))
            .map_err(|error| Error::Invalid(vec![error]))?;
        Ok(Self {
            offset,
            is_last,
            size: told.or(end.filter(|_| is_last)),
            length,
            checksum,
        })
    }

    /// Which end this content is of.
    pub(super) fn ends(&self) -> Ends {
        if self.is_last { Ends::Here } else { Ends::Later }
    }
}

/// Bytes of a request's content; `None` for what comes in chunks.
fn content_length(request: &HttpRequest) -> Option<u64> {
    if request.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    // A request with neither field has none: <https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.7>.
    Some(body::announced_length(request).unwrap_or(0))
}

/// Whether a request's content is a piece of an upload by its media type.
pub(super) fn is_partial_upload(request: &HttpRequest) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(PARTIAL))
}

/// Whether the content of a PATCH is the file's end; `None` where the request must say so and does not.
pub(super) fn is_last(request: &HttpRequest, version: &Version) -> Option<bool> {
    version
        .completeness
        .told(request.headers())
        .or((!version.needs_completeness).then_some(true))
}
