//! What the client tells in forms: names and values, of which only two count.
//!
//! Separate from the handlers, because everything else in a form is the page's own and passes unread.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;

use crate::error::Error;
use crate::web::body;

/// Most bytes of a form: the client's own fields and the page's parameters.
const MAX_FORM: u32 = 64 << 10;

/// The type of a form. One that says nothing of its type is taken for it.
const FORM: &str = "application/x-www-form-urlencoded";

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
    /// [`Error::BodyTooLarge`], [`Error::BodyStalled`], [`Error::Interrupted`], and [`Error::Invalid`] naming what is
    /// missing, or `Content-Type` for a body of another type.
    pub async fn from_form(request: &HttpRequest, payload: Payload) -> Result<Self, Error> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or(FORM);
        let essence = kind.split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case(FORM) {
            return Err(Error::invalid("Content-Type", format!("must be {FORM}")));
        }
        Self::read(&body::whole(request, payload, MAX_FORM).await?)
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
