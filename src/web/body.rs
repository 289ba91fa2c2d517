//! Reading a JSON body, so that whatever is wrong with it names the field.
//!
//! Separate from the handlers and instead of actix's own extractor, whose errors name a line and a column.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Most bytes of a body: ten thousand part records with room to spare.
const MAX_BODY: usize = 4 << 20;

/// Reads the body as `T`.
///
/// # Errors
/// [`Error::Invalid`] naming the field that is missing, unknown, or of the wrong type; naming `Content-Type` where
/// it is not JSON (a form of another site can send no JSON without asking first), and `body` where it is no JSON.
pub async fn json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Error> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Error::invalid("Content-Type", "must be application/json"));
    }
    let bytes = match payload.to_bytes_limited(MAX_BODY).await {
        Err(_) => {
            return Err(Error::invalid(
                "body",
                format!("may have at most {MAX_BODY} bytes"),
            ));
        }
        Ok(read) => read.map_err(|error| Error::invalid("body", format!("cannot be read: {error}")))?,
    };
    parse(&bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| complaint(&error))?;
    // What follows the first value was meant to be read as well.
    reader
        .end()
        .map_err(|_| Error::invalid("body", "has something after its JSON value"))?;
    Ok(value)
}

/// The field and what is wrong with it, without serde's position in the text.
fn complaint(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let text = error.inner().to_string();
    let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let path = error.path().to_string();
    // serde names a missing or unknown field in the text alone.
    let named = text.split('`').nth(1).filter(|_| text.contains(" field `"));
    let field = match (path.as_str(), named) {
        (".", Some(name)) => name.to_owned(),
        (".", None) => "body".to_owned(),
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
        assert!(refused("nonsense").starts_with("body: "));
        assert!(refused("{\"filename\":\"a\",\"size\":1}{}").starts_with("body: "));
    }
}
