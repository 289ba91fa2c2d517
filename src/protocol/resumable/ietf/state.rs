//! Sections "Offset Retrieval" and "Upload Cancellation": where an upload stands, and its end.

use actix_web::HttpResponse;

use super::Desk;
use crate::domain::{Principal, State, UploadId};
use crate::error::Error;
use crate::uploads::Rivals;

impl Desk<'_> {
    /// Says where an upload stands. Whoever is sending to it is stopped, so that what is told stays true.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fields that the version forbids here, and as
    /// [`Uploads::standing`](crate::uploads::Uploads::standing).
    pub(super) async fn tell(&self, caller: &Principal, id: &UploadId) -> Result<HttpResponse, Error> {
        self.refuse_state_fields()?;
        let upload = self.uploads.standing(caller, id, Rivals::Yield).await?;
        match upload.state {
            State::Open | State::Completing | State::Complete => Ok(self.standing(&upload)),
            State::Aborted | State::Expired => Err(Error::NotFound("upload")),
            State::Failed => Err(Error::Vanished),
        }
    }

    /// Ends an upload. Whoever is sending to it is stopped.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub(super) async fn cancel(&self, caller: &Principal, id: &UploadId) -> Result<HttpResponse, Error> {
        self.refuse_state_fields()?;
        self.uploads.terminate(caller, id).await?;
        Ok(HttpResponse::NoContent().finish())
    }

    fn refuse_state_fields(&self) -> Result<(), Error> {
        let headers = self.request.headers();
        let forbidden = self.version.not_when_looking;
        match forbidden.iter().find(|name| headers.contains_key(**name)) {
            Some(name) => Err(Error::invalid(*name, "has no place in this request")),
            None => Ok(()),
        }
    }
}
