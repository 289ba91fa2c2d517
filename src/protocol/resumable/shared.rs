//! What both protocols have: their settings at one address, who is asking, where an upload is to be found, what can be
//! done here at all.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::{Tongue, ietf, tus};
use crate::config::{LocationStyle, ProtocolsConfig, TusConfig};
use crate::domain::{Principal, UploadId};
use crate::error::Error;
use crate::uploads::Uploads;
use crate::web::{auth, peer};

/// One address at which uploads are made.
pub(super) struct Door {
    mount: String,
    /// All addresses at which uploads are made: one that was made at one can be named at another.
    pub(super) mounts: Vec<String>,
    pub(super) settings: TusConfig,
}

impl Door {
    pub(super) fn new(mount: &str, mounts: Vec<String>, settings: &ProtocolsConfig) -> Self {
        Self {
            mount: mount.to_owned(),
            mounts,
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

    /// The address of an upload, as `Location` tells it: below the one that was asked, behind the same proxies.
    pub(super) fn location(&self, request: &HttpRequest, id: &UploadId) -> String {
        let path = format!("{}{}/{id}", peer::outer_prefix(request), self.mount);
        match self.settings.location {
            LocationStyle::Relative => path,
            // Where nobody tells of a host, a path is still right.
            LocationStyle::Absolute => peer::outer_origin(request).unwrap_or_default() + &path,
        }
    }
}

/// Who is asking.
///
/// # Errors
/// [`Error::Unauthenticated`] without a credential where one is needed.
pub(super) async fn caller(request: &HttpRequest) -> Result<Principal, Error> {
    auth::caller_without_cookies(request).await
}

/// The protocol that began an upload; `None` where there is none of this caller's.
///
/// # Errors
/// [`Error::Unavailable`] where nobody can say.
pub(super) async fn tongue_of(
    uploads: &Uploads,
    request: &HttpRequest,
    id: &str,
) -> Result<Option<Tongue>, Error> {
    let found = async {
        let caller = caller(request).await?;
        uploads.detail(&caller, &UploadId::parse(id)?).await
    };
    match found.await {
        Ok(detail) if detail.upload.protocol == ietf::NAME => Ok(Some(Tongue::Ietf)),
        Ok(_) => Ok(Some(Tongue::Tus)),
        Err(error @ Error::Unavailable { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// What can be done here, for both protocols in one answer.
pub(super) fn discovery(request: &HttpRequest, door: &Door, uploads: &Uploads) -> HttpResponse {
    let mut answer = HttpResponse::NoContent().finish();
    tus::tell_abilities(door, uploads, answer.headers_mut());
    ietf::tell_abilities(request, door, uploads, answer.headers_mut());
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
