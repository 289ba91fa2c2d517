//! Section "Upload Append": content at the end of what is there; and what becomes of content that came with the request
//! that made the upload.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;
use actix_web::web::Payload;

use super::announce::Herald;
use super::answers::wrong_media_type;
use super::request::{Content, is_last, is_partial_upload};
use super::{Desk, fields};
use crate::domain::{Principal, State, UploadId};
use crate::error::Error;
use crate::uploads::{Append, Appended, BodyError, Receipt, Rivals};
use crate::web::body;

impl Desk<'_> {
    /// Takes more of an upload.
    ///
    /// # Errors
    /// What is wrong with the fields, in the order of the draft; and as [`Uploads::append`](crate::uploads::Uploads).
    pub(super) async fn append(
        &self,
        caller: &Principal,
        id: &UploadId,
        payload: Payload,
    ) -> Result<HttpResponse, Error> {
        if self.version.needs_media_type && !is_partial_upload(self.request) {
            return Ok(wrong_media_type());
        }
        let missing = |field: &str, detail: &str| Error::invalid(field, detail);
        let offset = fields::integer(self.request.headers(), "upload-offset")
            .ok_or_else(|| missing("Upload-Offset", "must be where the content begins, an integer"))?;
        let is_last = is_last(self.request, self.version).ok_or_else(|| {
            missing(
                "Upload-Complete",
                "must be ?1 if the content ends the file, else ?0",
            )
        })?;
        let content = Content::of(self.request, offset, is_last)?;
        let herald = Herald::of(self.request);
        let taken = self.take(caller, id, content, payload, herald).await;
        let appended = taken.map_err(|error| self.limit_meant(error, offset))?;
        self.conclude(caller, appended, None).await
    }

    /// Passes the content on, and tells meanwhile how far it has come.
    pub(super) async fn take(
        &self,
        caller: &Principal,
        id: &UploadId,
        content: Content,
        payload: Payload,
        herald: Option<Herald>,
    ) -> Result<Appended, Error> {
        let receipt = Receipt::default();
        let _telling = herald.map(|herald| herald.follow(content.offset, &receipt));
        let append = Append {
            offset: content.offset,
            size: content.size,
            length: content.length,
            ends: content.ends(),
            checksum: content.checksum,
            most: self.door.max_size(self.uploads),
            pieces: body::detach(payload),
            rivals: Rivals::Yield,
            is_whole: false,
            receipt,
        };
        self.uploads.append(caller, id, append).await
    }

    /// The answer to content that was taken. `made_at` is the upload's address where this request made it too.
    ///
    /// # Errors
    /// For content that did not arrive whole, or passed the length: then the upload is void (section "Upload Append").
    pub(super) async fn conclude(
        &self,
        caller: &Principal,
        appended: Appended,
        made_at: Option<HeaderValue>,
    ) -> Result<HttpResponse, Error> {
        let Appended { upload, failure } = appended;
        match (failure, made_at) {
            (Some(BodyError::TooLong { .. }), _) => {
                if self.version.voids_overrun {
                    self.uploads.terminate(caller, &upload.id).await?;
                }
                Err(self.passed(upload.known_size()))
            }
            (Some(failure), _) => Err(failure.into()),
            (None, made_at) if upload.state == State::Complete => Ok(self.whole(&upload, made_at).await),
            (None, Some(location)) => Ok(self.made(&upload, location)),
            (None, None) => Ok(self.appended(&upload)),
        }
    }

    /// Content that does not fit by its length: it passes the file's own, or what any file may have.
    fn limit_meant(&self, error: Error, offset: u64) -> Error {
        match error {
            Error::BodyTooLarge { limit: room } => {
                let end = offset.saturating_add(room);
                self.passed(Some(end).filter(|end| *end < self.door.max_size(self.uploads)))
            }
            other => other,
        }
    }

    /// Content that passes the file's length, or what any file may have where that is not known.
    fn passed(&self, size: Option<u64>) -> Error {
        if let Some(expected) = size {
            let actual = expected.saturating_add(1);
            return Error::WrongSize {
                what: "the upload",
                expected,
                actual,
            };
        }
        let limit = self.door.max_size(self.uploads);
        Error::TooLarge {
            limit,
            size: limit.saturating_add(1),
        }
    }
}
