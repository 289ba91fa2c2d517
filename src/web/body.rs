//! Reading a JSON body or a query, so that whatever is wrong with it names the field; and letting go of a body of
//! bytes, so that it can pass through us.
//!
//! Separate from the handlers and instead of actix's own extractors, whose errors name a line and a column or nothing.

use std::pin::pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload, Query};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use serde::de::DeserializeOwned;

use crate::domain::{Algorithm, Checksum, Sha256Sum};
use crate::error::Error;
use crate::uploads::BodyError;

/// Most bytes of a body: ten thousand part records with room to spare.
const MAX_BODY: u32 = 4 << 20;

/// How long a body that is read whole may bring no byte, where the settings do not say. Whoever sends one has it at hand.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a body that is read whole may bring no byte, as the settings have it.
#[derive(Debug, Clone, Copy)]
pub struct BodyPatience(pub Duration);

/// Pieces of a body that may wait between the connection and the storage; each has some 64 KiB at most.
const PIECES_UNDER_WAY: usize = 4;

/// The body's pieces as a stream that may go to another thread and outlive the handler. What is not taken waits in the
/// connection, so a slow storage slows the client down. Nothing is read before somebody asks for the first piece: reading
/// is what tells a client to go on that waits for it (`Expect: 100-continue`).
///
/// actix drops a handler whose client has reset the connection, and its payload may stay on its own thread only: so a
/// small task of that thread passes the pieces on, and whoever takes them decides what becomes of a body that ends
/// too soon. The end of a body is said; where the task is gone without a word, the body was cut.
pub fn detach(mut payload: Payload) -> BoxStream<'static, Result<Bytes, BodyError>> {
    let (pass_on, pieces) = tokio::sync::mpsc::channel(PIECES_UNDER_WAY);
    let (ask, asked) = tokio::sync::oneshot::channel::<()>();
    actix_web::rt::spawn(async move {
        if asked.await.is_err() {
            return;
        }
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|_| BodyError::Cut);
            let is_over = piece.is_err();
            if pass_on.send(Some(piece)).await.is_err() || is_over {
                return;
            }
        }
        let _ = pass_on.send(None).await;
    });
    futures_util::stream::unfold(Some((Some(ask), pieces)), async |state| {
        let (mut ask, mut pieces) = state?;
        if let Some(ask) = ask.take() {
            // Where nobody listens any more, there are no pieces either.
            let _ = ask.send(());
        }
        match pieces.recv().await {
            Some(Some(piece)) => Some((piece, Some((ask, pieces)))),
            Some(None) => None,
            None => Some((Err(BodyError::Cut), None)),
        }
    })
    .boxed()
}

/// The same pieces, which end with [`BodyError::TooLong`] as soon as there are more than `most` bytes of them.
pub fn at_most(
    pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    most: u64,
) -> BoxStream<'static, Result<Bytes, BodyError>> {
    let limited = pieces.scan(0, move |received, piece| {
        let piece = piece.and_then(|piece| {
            *received += piece.len() as u64;
            if *received > most {
                return Err(BodyError::TooLong { expected: most });
            }
            Ok(piece)
        });
        std::future::ready(Some(piece))
    });
    limited.boxed()
}

/// The length that a request announces; `None` for one that comes in chunks.
pub fn announced_length(request: &HttpRequest) -> Option<u64> {
    let value = request.headers().get(CONTENT_LENGTH)?;
    value.to_str().ok()?.trim().parse().ok()
}

/// The SHA-256 that a request claims for its body, in `Content-Digest`
/// (<https://www.rfc-editor.org/rfc/rfc9530#section-2>), in `Repr-Digest`, or in `X-Checksum-Sha256` as hexadecimal.
///
/// # Errors
/// [`Error::Invalid`] naming the header whose digest cannot be read.
pub fn claimed_sha256(request: &HttpRequest) -> Result<Option<Sha256Sum>, Error> {
    let refused = |error| Error::Invalid(vec![error]);
    for name in ["Content-Digest", "Repr-Digest"] {
        if let Some(value) = text_header(request, name)?
            && let Some(sum) = Sha256Sum::from_digest_header(value, name).map_err(refused)?
        {
            return Ok(Some(sum));
        }
    }
    let name = "X-Checksum-Sha256";
    text_header(request, name)?
        .map(|value| Sha256Sum::from_hex(value.trim(), name).map_err(refused))
        .transpose()
}

/// What a request claims of its body: a SHA-256 as [`claimed_sha256`] reads it, else one of the checksums of S3 under S3's own
/// names, the strongest first.
///
/// # Errors
/// [`Error::Invalid`] naming the header whose value cannot be read.
pub fn claimed_checksum(request: &HttpRequest) -> Result<Option<Checksum>, Error> {
    if let Some(sum) = claimed_sha256(request)? {
        return Ok(Some(sum.into()));
    }
    for (name, algorithm) in [
        ("x-amz-checksum-sha256", Algorithm::Sha256),
        ("x-amz-checksum-crc64nvme", Algorithm::Crc64Nvme),
        ("Content-MD5", Algorithm::Md5),
        ("x-amz-checksum-crc32c", Algorithm::Crc32c),
    ] {
        if let Some(text) = text_header(request, name)? {
            let sum = Checksum::from_base64(algorithm, text.trim(), name);
            return sum.map(Some).map_err(|error| Error::Invalid(vec![error]));
        }
    }
    Ok(None)
}

fn text_header<'a>(request: &'a HttpRequest, name: &'static str) -> Result<Option<&'a str>, Error> {
    let value = request.headers().get(name);
    value
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| Error::invalid(name, "is made of visible ASCII characters"))
}

/// Reads the body as `T`.
///
/// # Errors
/// [`Error::Invalid`] naming the field that is missing, unknown, or of the wrong type; naming `Content-Type` where
/// it is not JSON (a form of another site can send no JSON without asking first), and `body` where it is no JSON
/// object. [`Error::BodyTooLarge`], [`Error::BodyStalled`], [`Error::Interrupted`].
pub async fn json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Error> {
    if !is_json(request) {
        return Err(Error::invalid("Content-Type", "must be application/json"));
    }
    untyped_json(request, payload).await
}

fn is_json(request: &HttpRequest) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Reads the body as `T`, whatever the request says of its type: for clients that say nothing, at addresses that no form
/// of another site can reach.
///
/// # Errors
/// As [`json`], but for the type.
pub async fn untyped_json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Error> {
    parse(&whole(request, payload, MAX_BODY).await?)
}

/// Reads the body as `T`, where the request brings JSON; its default where it brings nothing or something else.
///
/// # Errors
/// As [`json`].
pub async fn optional_json<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Error> {
    let bytes = whole(request, payload, MAX_BODY).await?;
    let is_empty = bytes.iter().all(u8::is_ascii_whitespace);
    if is_empty || !is_json(request) {
        return Ok(T::default());
    }
    parse(&bytes)
}

/// Reads a body that has at most `most` bytes.
///
/// # Errors
/// [`Error::BodyTooLarge`], before anything is read where the length is announced; [`Error::BodyStalled`] where no
/// byte comes for too long; [`Error::Interrupted`].
pub async fn whole(request: &HttpRequest, payload: Payload, most: u32) -> Result<Vec<u8>, Error> {
    if announced_length(request).is_some_and(|length| length > most.into()) {
        return Err(Error::BodyTooLarge { limit: most.into() });
    }
    let patience = request.app_data::<BodyPatience>();
    gather(payload, most, patience.map_or(PATIENCE, |patience| patience.0)).await
}

async fn gather<E>(
    pieces: impl Stream<Item = Result<Bytes, E>>,
    most: u32,
    patience: Duration,
) -> Result<Vec<u8>, Error> {
    let (mut pieces, mut bytes) = (pin!(pieces), Vec::new());
    loop {
        let stalled = |_| Error::BodyStalled {
            seconds: patience.as_secs(),
        };
        let piece = tokio::time::timeout(patience, pieces.next())
            .await
            .map_err(stalled)?;
        let Some(piece) = piece else { return Ok(bytes) };
        bytes.extend_from_slice(&piece.map_err(|_| Error::Interrupted)?);
        if bytes.len() > most as usize {
            return Err(Error::BodyTooLarge { limit: most.into() });
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Serde would take a list for an object as well, its members in the order of the fields.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::invalid("body", "must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| complaint(&error))?;
    reader
        .end()
        .map_err(|_| Error::invalid("body", "must be one JSON object and nothing after it"))?;
    Ok(value)
}

/// Reads the query as `T`, whose fields are all text.
///
/// # Errors
/// [`Error::Invalid`] naming the parameter that is unknown or given twice.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Error> {
    let read = Query::<T>::from_query(request.query_string());
    read.map(Query::into_inner).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit("error: ").next().unwrap_or(&text);
        Error::invalid(named_field(text).unwrap_or("query"), text)
    })
}

/// The field that serde names in the text alone: a missing, an unknown or a doubled one.
fn named_field(text: &str) -> Option<&str> {
    text.split('`').nth(1).filter(|_| text.contains(" field `"))
}

/// The field and what is wrong with it, without serde's position in the text.
fn complaint(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let text = error.inner().to_string();
    let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let path = error.path().to_string();
    let field = match (path.as_str(), named_field(&text)) {
        ("." | "?", Some(name)) => name.to_owned(),
        ("." | "?", None) => "body".to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    };
    let detail = if text.starts_with("missing field") {
        "is required".to_owned()
    } else {
        text
    };
    Error::invalid(field, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Sample {
        filename: String,
        size: u64,
        #[serde(default)]
        parts: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Inner {
        number: u64,
    }

    fn refused(text: &str) -> String {
        parse::<Sample>(text.as_bytes()).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_body_that_stalls_ends_and_so_does_one_that_is_longer_than_it_may_be() {
        let piece = || Ok::<_, ()>(Bytes::from_static(b"{\"a\":"));
        let short = Duration::from_millis(20);
        let stalls = futures_util::stream::iter([piece()]).chain(futures_util::stream::pending());
        assert!(matches!(
            gather(stalls, 100, short).await,
            Err(Error::BodyStalled { .. })
        ));

        let endless = futures_util::stream::repeat_with(piece);
        assert!(matches!(
            gather(endless, 100, PATIENCE).await,
            Err(Error::BodyTooLarge { limit: 100 })
        ));
        let cut = futures_util::stream::iter([piece(), Err(())]);
        assert!(matches!(
            gather(cut, 100, PATIENCE).await,
            Err(Error::Interrupted)
        ));
    }

    #[test]
    fn every_mistake_names_its_field() {
        assert_eq!(refused("{\"filename\":\"a\"}"), "size: is required");
        assert!(refused("{\"filename\":\"a\",\"size\":-1}").starts_with("size: invalid value"));
        assert!(refused("{\"filename\":7,\"size\":1}").starts_with("filename: invalid type"));
        assert!(refused("{\"name\":\"a\"}").starts_with("name: unknown field"));
        assert_eq!(
            refused("{\"filename\":\"a\",\"size\":1,\"parts\":[{}]}"),
            "parts[0].number: is required"
        );
        for text in [
            "nonsense",
            "",
            "{",
            "[\"a\", 1]",
            "{\"filename\":\"a\",\"size\":1} more",
        ] {
            assert!(refused(text).starts_with("body: "), "{text}");
        }
    }
}
