//! What an application keeps beside a file, as the store keeps it beside the object.
//!
//! Separate, because text from a stranger becomes header fields here, and the store has a limit of its own:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html#UserMetadata>.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::FieldError;

/// What the names of the store's header fields begin with.
const PREFIX: &str = "x-amz-meta-";

/// Most fields: a server reads only so many header lines of one request.
const MAX_FIELDS: usize = 32;

/// Most bytes of all names and values together that the store takes.
const MAX_METADATA: usize = 2048;

/// Bytes of UTF-8 in one encoded word, so that it has at most 75 characters: <https://www.rfc-editor.org/rfc/rfc2047#section-2>.
const WORD: usize = 45;

/// The header fields that keep this with the object, names in lower case. A value of other letters than ASCII is written
/// in words of <https://www.rfc-editor.org/rfc/rfc2047>. A name that no header can have, and an empty value, is left out.
pub fn object_metadata(metadata: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in metadata {
        let name = name.to_ascii_lowercase();
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let value = header_value(value);
        if is_name && !value.is_empty() {
            fields.insert(format!("{PREFIX}{name}"), value);
        }
    }
    fields.into_iter().collect()
}

/// Refuses what the store would refuse later.
///
/// # Errors
/// [`FieldError`] on `metadata` for control characters, for more than 32 fields, and for more than 2,048 bytes of names
/// and values together, as they are stored.
pub fn check_object_metadata(metadata: &BTreeMap<String, String>) -> Result<(), FieldError> {
    let mut texts = metadata.iter().flat_map(|(name, value)| [name, value]);
    if texts.any(|text| text.chars().any(char::is_control)) {
        return Err(FieldError::new(
            "metadata",
            "names and values hold no control characters",
        ));
    }
    if metadata.len() > MAX_FIELDS {
        let detail = format!("has at most {MAX_FIELDS} fields, this one has {}", metadata.len());
        return Err(FieldError::new("metadata", detail));
    }
    let fields = object_metadata(metadata);
    let bytes: usize = fields
        .iter()
        .map(|(name, value)| name.len() - PREFIX.len() + value.len())
        .sum();
    if bytes > MAX_METADATA {
        let detail = format!("names and values have at most {MAX_METADATA} bytes together, these {bytes}");
        return Err(FieldError::new("metadata", detail));
    }
    Ok(())
}

/// The size of the file in bytes, where a page tells it: text without a number in it, as pages write it for a size that
/// they do not know, is none.
///
/// # Errors
/// [`FieldError`] on `metadata.size` for anything else than a whole number of bytes.
pub fn told_size(metadata: &BTreeMap<String, String>) -> Result<Option<u64>, FieldError> {
    let text = metadata.get("size").map_or("", |text| text.trim());
    if ["", "null", "undefined"].contains(&text) {
        return Ok(None);
    }
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = is_whole.then(|| text.parse().ok()).flatten();
    let detail = "is the file's size, a whole number of bytes such as 1048576, or is left out";
    size.map(Some)
        .ok_or_else(|| FieldError::new("metadata.size", detail))
}

fn header_value(text: &str) -> String {
    let text = text.trim();
    // What looks like an encoded word would be read as one.
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word)))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn ascii_stays_as_it_is_and_other_letters_become_encoded_words() {
        let fields = object_metadata(&of(&[
            ("Name", "a b.mp4"),
            ("title", "日本"),
            ("naïve", "x"),
            ("no", ""),
        ]));

        let expected = [
            ("x-amz-meta-name", "a b.mp4"),
            ("x-amz-meta-title", "=?UTF-8?B?5pel5pys?="),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn a_long_text_becomes_several_words_of_at_most_75_characters() {
        let fields = object_metadata(&of(&[("t", &"é".repeat(60))]));

        let words: Vec<&str> = fields[0].1.split(' ').collect();
        assert_eq!(words.len(), 3);
        assert!(words.iter().all(|word| word.len() <= 75));
    }

    #[test]
    fn a_size_is_a_whole_number_of_bytes_or_not_told() {
        let told = |text: &str| told_size(&of(&[("size", text)]));

        assert_eq!(told_size(&of(&[])), Ok(None));
        for none in ["", "null", "undefined"] {
            assert_eq!(told(none), Ok(None));
        }
        assert_eq!(told(" 12 "), Ok(Some(12)));
        for wrong in ["1e20", "-1", "+1", "abc", "1.5", "99999999999999999999999"] {
            assert_eq!(told(wrong).unwrap_err().field, "metadata.size", "{wrong}");
        }
    }

    #[test]
    fn two_kibibytes_are_taken_and_one_byte_more_is_refused_with_the_limit() {
        assert!(check_object_metadata(&of(&[("note", &"x".repeat(2044))])).is_ok());

        let refused = check_object_metadata(&of(&[("note", &"x".repeat(2045))])).unwrap_err();

        assert!(refused.detail.contains("at most 2048 bytes together, these 2049"));
        assert!(check_object_metadata(&of(&[("a", "b\r\nc")])).is_err());
    }
}
