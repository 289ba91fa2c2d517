//! Structured fields: <https://www.rfc-editor.org/rfc/rfc9651>.
//!
//! Separate, because of one rule that the draft has for all of its fields: one that cannot be read, is of another type or
//! stands twice counts as absent and is never an error.

use actix_web::http::header::HeaderMap;
use sfv::{Dictionary, Item, Parser};

/// An integer from 0 on; parameters are ignored.
pub(crate) fn integer(headers: &HeaderMap, name: &str) -> Option<u64> {
    item(headers, name)?
        .bare_item
        .as_integer()
        .and_then(|number| u64::try_from(number).ok())
}

/// A boolean; parameters are ignored.
pub(crate) fn boolean(headers: &HeaderMap, name: &str) -> Option<bool> {
    item(headers, name)?.bare_item.as_boolean()
}

fn item(headers: &HeaderMap, name: &str) -> Option<Item> {
    let mut lines = headers.get_all(name);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    Parser::new(line.as_bytes()).parse().ok()
}

/// A dictionary, whose members may stand on several lines.
pub(crate) fn dictionary(headers: &HeaderMap, name: &str) -> Option<Dictionary> {
    let text = text(headers, name)?;
    Parser::new(text.as_bytes()).parse().ok()
}

/// A field's lines as one, as a list or a dictionary has it; `None` where there is no line of visible ASCII.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .filter_map(|line| line.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static("x"), HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn integers_are_those_of_structured_fields() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("007", Some(7)),
            ("7;a=1;b", Some(7)),
            ("999999999999999", Some(999_999_999_999_999)),
            ("1000000000000000", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
            ("\"7\"", None),
            ("?1", None),
            ("7, 7", None),
            ("7 7", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(integer(&headers(&[text]), "x"), expected, "{text:?}");
        }
    }

    #[test]
    fn booleans_are_those_of_structured_fields() {
        for (text, expected) in [
            ("?1", Some(true)),
            ("?0", Some(false)),
            ("?1;a=b", Some(true)),
            ("?2", None),
            ("1", None),
            ("true", None),
            ("yes", None),
            ("?", None),
            ("?1?", None),
        ] {
            assert_eq!(boolean(&headers(&[text]), "x"), expected, "{text:?}");
        }
    }

    #[test]
    fn an_item_that_stands_twice_is_absent_and_a_dictionary_may_have_several_lines() {
        assert_eq!(integer(&headers(&["7", "7"]), "x"), None);
        assert_eq!(boolean(&headers(&["?1", "?1"]), "x"), None);
        assert_eq!(integer(&headers(&[]), "x"), None);

        let both = dictionary(&headers(&["a=1", "b=2"]), "x").unwrap();

        assert_eq!(both.len(), 2);
        assert!(dictionary(&headers(&["a=1, =2"]), "x").is_none());
    }
}
