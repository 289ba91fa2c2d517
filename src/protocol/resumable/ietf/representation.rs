//! What the request that makes an upload says of the file: its name, its type, its encoding, its digest.
//!
//! Separate, because these fields are of HTTP and not of the draft ("Representation metadata", section "Upload
//! Creation"), and count in that request alone: those of a PATCH are about the piece that it brings. Clients that come from
//! tus tell name and type in that protocol's field, which counts where HTTP's own are silent.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, Charset, ContentDisposition, ExtendedValue,
    HeaderMap,
};

use super::super::metadata::{self, Metadata};
use super::request::PARTIAL;
use super::version::{NUMBER, Version};
use super::{digests, fields};
use crate::domain::{CONTENT_ENCODING_FIELD, FileName, MediaType, Sha256Sum};
use crate::error::Error;

/// Longest encoding that is kept; there is no honest one of more than two or three names.
const LONGEST_ENCODING: usize = 100;

/// The file's name.
///
/// # Errors
/// [`Error::Invalid`] cannot happen: a name that is none is replaced.
pub(super) fn name(headers: &HeaderMap) -> Result<FileName, Error> {
    let disposition = headers
        .get(CONTENT_DISPOSITION)
        .and_then(|value| ContentDisposition::from_raw(value).ok());
    let told = disposition.and_then(|told| {
        let extended = told.get_filename_ext().and_then(decoded);
        // The form with a character set is the better one: <https://www.rfc-editor.org/rfc/rfc6266#section-4.3>.
        extended
            .and_then(|name| sanitised(&name))
            .or_else(|| sanitised(told.get_filename()?))
    });
    match told {
        Some(name) => FileName::new(&name).map_err(|error| Error::Invalid(vec![error])),
        None => told_by_tus(headers).filename(),
    }
}

/// What the field of tus says, for what it is worth here: one that cannot be read is left alone.
pub(super) fn told_by_tus(headers: &HeaderMap) -> Metadata {
    fields::text(headers, metadata::NAME)
        .and_then(|text| Metadata::parse(&text).ok())
        .unwrap_or_default()
}

fn decoded(value: &ExtendedValue) -> Option<String> {
    match value.charset {
        Charset::Iso_8859_1 => Some(value.value.iter().copied().map(char::from).collect()),
        _ => String::from_utf8(value.value.clone()).ok(),
    }
}

/// The last piece of a name that may be a path, without what no name may have; `None` where nothing is left.
fn sanitised(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).find(|piece| !piece.is_empty())?;
    let mut clean: String = base.chars().filter(|c| !c.is_control()).collect();
    clean.truncate(clean.floor_char_boundary(FileName::LONGEST));
    let clean = clean.trim();
    (!matches!(clean, "" | "." | "..")).then(|| clean.to_owned())
}

/// The file's type, the general one where it is not told in a way that could be told again.
pub(super) fn kind(headers: &HeaderMap) -> MediaType {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        // That of a PATCH is about the request, and tells nothing of the file.
        .filter(|text| !text.eq_ignore_ascii_case(PARTIAL))
        .and_then(|text| MediaType::new(text).ok())
        .unwrap_or_else(|| told_by_tus(headers).media_type())
}

/// The digest that the whole file must have, in `Repr-Digest`: <https://www.rfc-editor.org/rfc/rfc9530#section-3>. Of the
/// algorithms SHA-256 is looked at; a claim in others alone is left to the client.
///
/// # Errors
/// [`Error::Invalid`] for one that cannot be read.
pub(super) fn digest(headers: &HeaderMap) -> Result<Option<Sha256Sum>, Error> {
    let name = "Repr-Digest";
    fields::text(headers, name)
        .map_or(Ok(None), |text| Sha256Sum::from_digest_header(&text, name))
        .map_err(|error| Error::Invalid(vec![error]))
}

/// What later requests for the upload need to know of this one.
pub(super) fn remembered(request: &HttpRequest, version: &Version) -> BTreeMap<String, String> {
    let headers = request.headers();
    let mut kept = BTreeMap::new();
    if let Some(number) = version.number {
        kept.insert(NUMBER.to_owned(), number.to_string());
    }
    let encoding = fields::text(headers, CONTENT_ENCODING.as_str());
    let is_plain = |text: &String| {
        text.len() <= LONGEST_ENCODING
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_, ".contains(&b))
    };
    if let Some(encoding) = encoding.filter(is_plain) {
        kept.insert(CONTENT_ENCODING_FIELD.to_owned(), encoding);
    }
    // A tus client that goes on with this upload is told it again.
    if let Some(told) = fields::text(headers, metadata::NAME) {
        kept.insert(metadata::NAME.to_owned(), told);
    }
    if let Some(wanted) = digests::wanted(headers) {
        kept.insert(digests::WANTED.to_owned(), wanted.name().to_owned());
    }
    kept
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn name_in(disposition: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(disposition).unwrap());
        name(&headers).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_name_is_taken_from_either_form() {
        for (disposition, expected) in [
            ("inline; filename=\"file name.jpg\"", "file name.jpg"),
            ("inline; filename=plain.jpg", "plain.jpg"),
            (
                "attachment; filename*=UTF-8''na%C3%AFve%20%E6%97%A5.bin",
                "naïve 日.bin",
            ),
            (
                "inline; filename=\"x.bin\"; filename*=UTF-8''%E6%97%A5.bin",
                "日.bin",
            ),
            (
                "inline; filename=\"x.bin\"; filename*=ISO-8859-1''%E9.bin",
                "é.bin",
            ),
            ("inline; filename=\"x.bin\"; filename*=UTF-8''%FF.bin", "x.bin"),
            ("inline", "file"),
            ("nonsense;;;=", "file"),
        ] {
            assert_eq!(name_in(disposition), expected, "{disposition}");
        }
        assert_eq!(name(&HeaderMap::new()).unwrap().as_str(), "file");
    }

    #[test]
    fn where_http_is_silent_the_field_of_tus_is_heard() {
        let mut headers = HeaderMap::new();
        let told = "filename Y2xpcC5tcDQ=,filetype dmlkZW8vbXA0";
        headers.insert(
            HeaderName::from_static("upload-metadata"),
            HeaderValue::from_static(told),
        );
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/partial-upload"),
        );

        assert_eq!(name(&headers).unwrap().as_str(), "clip.mp4");
        assert_eq!(kind(&headers).as_str(), "video/mp4");

        headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
        headers.insert(
            CONTENT_DISPOSITION,
            HeaderValue::from_static("inline; filename=x.png"),
        );
        assert_eq!(name(&headers).unwrap().as_str(), "x.png");
        assert_eq!(kind(&headers).as_str(), "image/png");
    }

    #[test]
    fn nothing_of_a_name_leads_anywhere() {
        for (disposition, expected) in [
            ("inline; filename=\"../../etc/passwd\"", "passwd"),
            ("inline; filename=\"C:\\\\photos\\\\x.jpg\"", "x.jpg"),
            (
                "inline; filename*=UTF-8''a%0D%0AX-Evil%3A%20b.txt",
                "aX-Evil: b.txt",
            ),
            ("inline; filename*=UTF-8''%2e%2e", "file"),
            ("inline; filename=\"/\"", "file"),
            ("inline; filename=\"  \"", "file"),
            ("inline; filename*=UTF-8''%00", "file"),
        ] {
            assert_eq!(name_in(disposition), expected, "{disposition}");
        }
        let long = format!("inline; filename*=UTF-8''{}", "%C3%A9".repeat(2000));
        assert_eq!(name_in(&long), "é".repeat(512));
    }
}
