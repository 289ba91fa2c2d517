//! What the store keeps with an object that the browser makes: its type, its name, and the page's metadata.
//!
//! Separate, because whole objects come by two ways that both sign it: so nobody makes a page of the store's own site of
//! a file.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::Upload;
use crate::error::Error;
use crate::uploads::{ObjectHeaders, Operation, SignedRequest, Uploads};

/// The values, and whether they are signed at all.
pub struct Stored {
    kind: String,
    disposition: String,
    fields: Vec<(String, String)>,
    is_signed: bool,
}

impl Stored {
    /// Those of an upload.
    pub fn of(upload: &Upload, is_signed: bool) -> Self {
        Self {
            kind: upload.content_type.as_str().to_owned(),
            disposition: upload.filename.content_disposition(),
            fields: upload.stored_fields(),
            is_signed,
        }
    }

    /// The metadata as [`headers`](Self::headers) takes it.
    pub fn extra(&self) -> Vec<(&str, &str)> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// As headers to sign; none where they are the client's to choose.
    pub fn headers<'a>(&'a self, extra: &'a [(&'a str, &'a str)]) -> ObjectHeaders<'a> {
        if !self.is_signed {
            return ObjectHeaders::default();
        }
        ObjectHeaders {
            content_type: Some(&self.kind),
            content_disposition: Some(&self.disposition),
            extra,
        }
    }
}

/// Signs a PUT of the whole object, whose size only shows once it is there; when it dies.
///
/// # Errors
/// [`Error::WrongState`] once the upload has ended, [`Error::Unavailable`].
pub async fn sign_put(
    uploads: &Uploads,
    upload: &Upload,
    is_signed: bool,
) -> Result<(SignedRequest, DateTime<Utc>), Error> {
    let stored = Stored::of(upload, is_signed);
    let extra = stored.extra();
    let operation = Operation::PutObject {
        content_length: None,
        headers: stored.headers(&extra),
    };
    uploads.presign_end(upload, operation).await
}

/// The headers that must be sent with a signed request, by name.
pub fn headers_of(signed: &SignedRequest) -> Map<String, Value> {
    let headers = signed.headers.iter();
    headers
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect()
}
