//! What the client tells in forms: names and values, of which only two count.
//!
//! Separate from the handlers, because everything else in a form is the page's own and passes unread.

use actix_web::web::Payload;

use crate::error::Error;

/// Most bytes of a form: the client's own fields and the page's parameters.
const MAX_FORM: usize = 64 << 10;

/// Which object is meant.
pub struct Told {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The method that a form stands for, where it says so.
    pub method: Option<String>,
}

impl Told {
    /// From a form in a body.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::Interrupted`], and [`Error::Invalid`] naming what is missing.
    pub async fn from_form(payload: Payload) -> Result<Self, Error> {
        let too_large = |_| Error::BodyTooLarge {
            limit: MAX_FORM as u64,
        };
        let bytes = payload.to_bytes_limited(MAX_FORM).await.map_err(too_large)?;
        Self::read(&bytes.map_err(|_| Error::Interrupted)?)
    }

    /// From a query.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is missing.
    pub fn from_query(query: &str) -> Result<Self, Error> {
        Self::read(query.as_bytes())
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let (mut bucket, mut key, mut method) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(bytes) {
            let place = match name.as_ref() {
                "bucket" => &mut bucket,
                "key" => &mut key,
                "_method" => &mut method,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(Error::invalid(name.as_ref(), "is given twice"));
            }
        }
        let required = |name: &str| Error::invalid(name, "is required");
        Ok(Self {
            bucket: bucket.ok_or_else(|| required("bucket"))?,
            key: key.ok_or_else(|| required("key"))?,
            method,
        })
    }
}
