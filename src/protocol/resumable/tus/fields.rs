//! The header fields that come in, each read as strictly as the protocol writes it:
//! <https://tus.io/protocols/resumable-upload#headers>.
//!
//! Separate from the handlers, because what may stand in a field is decided here once, for whichever request it comes
//! with. A field that stands twice is refused everywhere: two readers would take two values for the one.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::{Algorithm, Checksum};
use crate::error::Error;

/// The one version that is spoken here.
pub(crate) const VERSION: &str = "1.0.0";

/// The digests that a client may claim, as the protocol writes them: compared exactly.
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("sha1", Algorithm::Sha1),
    ("sha256", Algorithm::Sha256),
    ("md5", Algorithm::Md5),
    ("crc32", Algorithm::Crc32),
];

/// The type of a body that is a piece of a file.
pub(crate) const BYTES: &str = "application/offset+octet-stream";

/// The fields of one request.
pub(crate) struct Fields<'a>(&'a HeaderMap);

/// What a request says of the length of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// So many bytes.
    Now(u64),
    /// It will be told later.
    Later,
}

impl<'a> Fields<'a> {
    /// Those of this request.
    pub(crate) fn of(request: &'a HttpRequest) -> Self {
        Self(request.headers())
    }

    /// A field's value; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that stands twice or is not of visible ASCII characters.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Error> {
        let mut values = self.0.get_all(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Error::invalid(name, "stands more than once"));
        }
        value
            .to_str()
            .map(Some)
            .map_err(|_| Error::invalid(name, "is made of visible ASCII characters"))
    }

    /// A whole number of bytes. One that is too large for us to count is as large as we can count: whatever it is held
    /// against is smaller.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but digits, and as [`text`](Self::text).
    pub(crate) fn bytes(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid(
                name,
                "is a whole number of bytes, in digits alone",
            ));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// Whether the request speaks our version.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(crate) fn speaks_our_version(&self) -> Result<bool, Error> {
        Ok(self.text("Tus-Resumable")? == Some(VERSION))
    }

    /// Whether the body is a piece of a file.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(crate) fn brings_bytes(&self) -> Result<bool, Error> {
        let kind = self.text("Content-Type")?.unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim();
        Ok(essence.eq_ignore_ascii_case(BYTES))
    }

    /// The length of a new upload's file: <https://tus.io/protocols/resumable-upload#creation>.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is told both ways or none, and for a value that cannot be.
    pub(crate) fn length(&self) -> Result<Told, Error> {
        let now = self.bytes("Upload-Length")?;
        let later = self.text("Upload-Defer-Length")?;
        match (now, later) {
            (Some(size), None) => Ok(Told::Now(size)),
            (None, Some("1")) => Ok(Told::Later),
            (None, Some(_)) => Err(Error::invalid("Upload-Defer-Length", "is 1 or missing")),
            (Some(_), Some(_)) => Err(Error::invalid(
                "Upload-Defer-Length",
                "must not stand beside Upload-Length",
            )),
            (None, None) => Err(Error::invalid(
                "Upload-Length",
                "is required, or Upload-Defer-Length: 1",
            )),
        }
    }

    /// The digest that the body must have: <https://tus.io/protocols/resumable-upload#upload-checksum>.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not [offered](algorithms), and for what is no digest of it.
    pub(crate) fn checksum(&self) -> Result<Option<Checksum>, Error> {
        const NAME: &str = "Upload-Checksum";
        let Some(text) = self.text(NAME)? else {
            return Ok(None);
        };
        let (name, digest) = text
            .split_once(' ')
            .ok_or_else(|| Error::invalid(NAME, "is an algorithm, a space, and the digest in base64"))?;
        let offered = ALGORITHMS.iter().find(|(offered, _)| *offered == name);
        let (_, algorithm) =
            offered.ok_or_else(|| Error::invalid(NAME, format!("the algorithms are {}", algorithms())))?;
        let sum = STANDARD
            .decode(digest)
            .ok()
            .and_then(|bytes| Checksum::new(*algorithm, bytes));
        sum.map(Some).ok_or_else(|| {
            let length = algorithm.length();
            Error::invalid(
                NAME,
                format!("a digest of {name} is {length} bytes in padded base64"),
            )
        })
    }
}

/// The method that a request means: some clients can only send GET and POST, and say it in a field of its own.
///
/// # Errors
/// [`Error::Invalid`] for a field that is no method.
pub(crate) fn method_of(request: &HttpRequest) -> Result<Method, Error> {
    const NAME: &str = "X-HTTP-Method-Override";
    match Fields::of(request).text(NAME)? {
        None => Ok(request.method().clone()),
        Some(text) => Method::from_bytes(text.trim().to_ascii_uppercase().as_bytes())
            .map_err(|_| Error::invalid(NAME, "is a method")),
    }
}

/// The digests that are offered, as `Tus-Checksum-Algorithm` lists them.
pub(crate) fn algorithms() -> String {
    ALGORITHMS.map(|(name, _)| name).join(",")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with(fields: &[(&'static str, &'static str)]) -> HttpRequest {
        let mut request = TestRequest::default();
        for field in fields {
            request = request.append_header(*field);
        }
        request.to_http_request()
    }

    fn length(fields: &[(&'static str, &'static str)]) -> Result<Told, Error> {
        Fields::of(&with(fields)).length()
    }

    #[test]
    fn a_number_is_digits_alone() {
        for (text, expected) in [
            ("0", 0),
            ("5", 5),
            ("0005", 5),
            ("18446744073709551616", u64::MAX),
        ] {
            assert_eq!(
                length(&[("Upload-Length", text)]).unwrap(),
                Told::Now(expected),
                "{text}"
            );
        }
        for text in ["", "-1", "+5", "abc", "1.5", "0x10", "1e3", "5 x", "5, 5", "٥"] {
            assert!(length(&[("Upload-Length", text)]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_is_told_in_one_way() {
        assert_eq!(length(&[("Upload-Defer-Length", "1")]).unwrap(), Told::Later);
        for fields in [
            vec![],
            vec![("Upload-Defer-Length", "0")],
            vec![("Upload-Defer-Length", "")],
            vec![("Upload-Length", "1"), ("Upload-Defer-Length", "1")],
            vec![("Upload-Length", "1"), ("Upload-Length", "1")],
        ] {
            assert!(length(&fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn a_checksum_is_of_an_offered_algorithm_and_of_its_length() {
        let checksum = |text| Fields::of(&with(&[("Upload-Checksum", text)])).checksum();

        let sum = checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").unwrap().unwrap();
        assert_eq!(sum.algorithm(), Algorithm::Sha1);
        assert!(checksum("crc32 /////w==").unwrap().is_some());
        for text in [
            "",
            "sha1",
            "sha1 ",
            "sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0=",
            "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0",
            "sha1 AAAA",
            "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha512 AAAA",
            "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        ] {
            assert!(checksum(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_field_is_the_method_where_it_stands() {
        let posted = |text| {
            TestRequest::post()
                .insert_header(("X-HTTP-Method-Override", text))
                .to_http_request()
        };

        assert_eq!(
            method_of(&TestRequest::post().to_http_request()).unwrap(),
            Method::POST
        );
        assert_eq!(method_of(&posted("PATCH")).unwrap(), Method::PATCH);
        assert_eq!(method_of(&posted("delete")).unwrap(), Method::DELETE);
        assert!(method_of(&posted("")).is_err());
    }

    #[test]
    fn the_type_of_a_piece_may_have_parameters() {
        let brings = |kind| {
            Fields::of(&with(&[("Content-Type", kind)]))
                .brings_bytes()
                .unwrap()
        };

        assert!(brings("application/offset+octet-stream"));
        assert!(brings("Application/Offset+Octet-Stream; charset=UTF-8"));
        assert!(!brings("application/octet-stream"));
        assert!(!Fields::of(&with(&[])).brings_bytes().unwrap());
    }
}
