//! Section "Upload Creation": a request that makes an upload, and perhaps brings its first bytes or all of them.
//!
//! Separate from appending, because only here the client does not know the upload's address yet: it is told in a 104
//! before anything of the content is read, and an upload that failed with this request is not left behind.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;
use actix_web::web::Payload;
use chrono::TimeDelta;

use super::announce::Herald;
use super::request::Content;
use super::{Desk, NAME, representation, shared};
use crate::domain::{NewAppending, NewUpload, Principal, Role, Transfer, Upload, Wishes};
use crate::error::Error;

impl Desk<'_> {
    /// Makes an upload.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a request that names no completeness: it is not of this protocol.
    pub(super) async fn create(&self, payload: Payload) -> Result<HttpResponse, Error> {
        let completeness = self.version.completeness;
        let Some(is_last) = completeness.told(self.request.headers()) else {
            let detail = "must be ?0 or ?1 to make an upload by Resumable Uploads for HTTP; a request of tus carries \
                          Tus-Resumable: 1.0.0";
            return Err(Error::invalid(completeness.field(), detail));
        };
        let caller = shared::caller(self.request).await?;
        let content = Content::of(self.request, 0, is_last)?;
        let limit = self.door.max_size(self.uploads);
        if let Some(size) = content.size.max(content.length).filter(|size| *size > limit) {
            return Err(Error::TooLarge { limit, size });
        }
        let new = self.new_upload(&content)?;
        let upload = self.uploads.create(&caller, new, false).await?.status.upload;
        let location = self.door.location(self.request, &upload.id);
        let location = HeaderValue::try_from(location).map_err(Error::internal)?;
        let herald = Herald::of(self.request);
        if let Some(herald) = &herald {
            let limits = self.limits(Some(&upload));
            herald.made(
                location.clone(),
                limits.filter(|_| self.version.tells_limits_early),
            );
        }
        if !content.is_last && content.length == Some(0) {
            return Ok(self.made(&upload, location));
        }
        let outcome = self.take(&caller, &upload.id, content, payload, herald).await;
        match outcome {
            Ok(appended) => self.conclude(&caller, appended, Some(location)).await,
            Err(error) => {
                self.forget_if_hopeless(&caller, &upload, &error).await;
                Err(error)
            }
        }
    }

    fn new_upload(&self, content: &Content) -> Result<NewUpload, Error> {
        let headers = self.request.headers();
        let hours = i64::try_from(self.door.settings.ttl_hours).unwrap_or(i64::MAX / 3600);
        Ok(NewUpload {
            filename: representation::name(headers)?,
            size: content.size.unwrap_or(0),
            content_type: representation::kind(headers),
            last_modified: None,
            fingerprint: None,
            metadata: representation::told_by_tus(headers).texts(),
            part_size: None,
            transfer: Transfer::Relay,
            wishes: Wishes {
                sha256: representation::digest(headers)?,
                time_to_live: TimeDelta::try_hours(hours),
                appending: Some(NewAppending {
                    is_deferred: content.size.is_none(),
                    role: Role::Whole,
                    fields: representation::remembered(self.request, self.version),
                }),
                ..Wishes::default()
            },
            protocol: NAME,
        })
    }

    /// Content that was not what it claimed to be ends the upload that it came with: a client that was told no address
    /// could do nothing with it, and one that was begins anew.
    async fn forget_if_hopeless(&self, caller: &Principal, upload: &Upload, error: &Error) {
        if matches!(error, Error::ChecksumMismatch { .. })
            && let Err(error) = self.uploads.terminate(caller, &upload.id).await
        {
            tracing::warn!(upload = %upload.id, %error, "an upload that failed stays until it expires");
        }
    }
}
