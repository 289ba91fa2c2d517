//! Which `x-amz-…` fields may be signed with which operation.
//!
//! Separate, because headers in both versions and the fields of a form carry the same things, and because each of them
//! changes what the store does: a copy, an ACL or a foreign token is a header.

use std::collections::BTreeMap;

use super::{AskRules, AskedOperation, Refusal};

/// Most fields of `x-amz-meta-…`, and most bytes of their names and values together: what S3 keeps
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
const MAX_META: usize = 32;
const MAX_META_BYTES: usize = 2048;

const META: &str = "x-amz-meta-";

/// Collects the fields that are stored with an object, and refuses what may not be there.
#[derive(Default)]
pub(super) struct Fields {
    /// Names without what they all begin with.
    pub(super) meta: BTreeMap<String, String>,
}

impl Fields {
    /// One field that is neither date, hash nor credential; `name` is in lower case.
    ///
    /// # Errors
    /// [`Refusal`] for one that the operator has not allowed, or that has no place in this operation.
    pub(super) fn admit(
        &mut self,
        operation: &AskedOperation,
        name: &str,
        value: &str,
        rules: &AskRules<'_>,
    ) -> Result<(), Refusal> {
        let begins = *operation == AskedOperation::Begin;
        if name == "x-amz-acl" {
            return if begins && value == rules.acl {
                Ok(())
            } else {
                Err(Refusal(
                    "x-amz-acl: only the ACL of the settings may be asked for, and only at the beginning",
                ))
            };
        }
        let is_allowed = rules
            .headers
            .iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(kind) => name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()),
                None => allowed == name,
            });
        if !(is_allowed && begins) {
            return Err(Refusal(
                "header: only the x-amz- headers of the settings may be signed, at the beginning",
            ));
        }
        if let Some(name) = name.strip_prefix(META) {
            self.meta.insert(name.to_owned(), value.to_owned());
            let bytes: usize = self
                .meta
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            if self.meta.len() > MAX_META || bytes > MAX_META_BYTES {
                return Err(Refusal("x-amz-meta-: at most 32 fields of 2048 bytes together"));
            }
        }
        Ok(())
    }
}

/// The lines of a text to be signed: at most 16 KiB of visible ASCII. A carriage return above all would make one line look
/// like two.
pub(super) fn lines_of(text: &str) -> Option<Vec<&str>> {
    let is_plain = text
        .bytes()
        .all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~'));
    (is_plain && text.len() <= 16 << 10).then(|| text.split('\n').collect())
}

/// The lines of headers as names and values.
pub(super) fn pairs_of<'a>(lines: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    lines.iter().map(|line| line.split_once(':')).collect()
}

/// Whether a name can be that of a header.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
}

/// Whether a value is written as it is signed: visible ASCII, single blanks between, none at the ends.
pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim_matches(' ') == value
        && !value.contains("  ")
}

/// Whether a value is base64 of an MD5.
pub(super) fn is_md5(value: &str) -> bool {
    value.len() == 24
        && value.ends_with("==")
        && value[..22]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}
