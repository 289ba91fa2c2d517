//! What both protocols have: their settings at one address, who is asking, where an upload is to be found, what can be
//! done here at all.

use actix_web::{HttpRequest, HttpResponse};

use super::{Tongue, ietf, tus};
use crate::config::{ProtocolsConfig, TusConfig};
use crate::domain::{Principal, UploadId};
use crate::error::Error;
use crate::uploads::Uploads;
use crate::web::auth;

/// One address at which uploads are made.
pub(super) struct Door {
    mount: String,
    pub(super) settings: TusConfig,
}

impl Door {
    pub(super) fn new(mount: &str, settings: &ProtocolsConfig) -> Self {
        Self {
            mount: mount.to_owned(),
            settings: settings.tus.clone(),
        }
    }

    /// Whether the IETF's protocol is spoken here; the Goa example's clients speak tus alone.
    pub(super) fn speaks_ietf(&self) -> bool {
        self.settings.ietf && self.mount == self.settings.path
    }

    /// Most bytes of one file.
    pub(super) fn max_size(&self, uploads: &Uploads) -> u64 {
        match self.settings.max_size {
            0 => uploads.relay_max_size(),
            size => size.min(uploads.relay_max_size()),
        }
    }

    /// The address of an upload, as `Location` tells it.
    pub(super) fn location(&self, _request: &HttpRequest, id: &UploadId) -> String {
        format!("{}/{id}", self.mount)
    }
}

/// Who is asking.
///
/// # Errors
/// [`Error::Unauthenticated`] without a credential where one is needed.
pub(super) async fn caller(request: &HttpRequest) -> Result<Principal, Error> {
    auth::caller_without_cookies(request).await
}

/// The protocol that began an upload; tus where there is none.
pub(super) async fn tongue_of(uploads: &Uploads, request: &HttpRequest, id: &str) -> Tongue {
    let found = async {
        let caller = caller(request).await?;
        uploads.detail(&caller, &UploadId::parse(id)?).await
    };
    match found.await {
        Ok(detail) if detail.upload.protocol == ietf::NAME => Tongue::Ietf,
        _ => Tongue::Tus,
    }
}

/// What can be done here, for both protocols in one answer.
pub(super) fn discovery(door: &Door, uploads: &Uploads) -> HttpResponse {
    let mut answer = HttpResponse::NoContent().finish();
    tus::tell_abilities(door, uploads, answer.headers_mut());
    ietf::tell_abilities(door, uploads, answer.headers_mut());
    answer
}
