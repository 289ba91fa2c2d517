//! SigV2's string to sign, read line by line and built anew:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html>.
//!
//! Separate from SigV4: here the path is signed as the client spells it, and the bucket always stands before it.

use std::collections::BTreeMap;

use super::fields::{Fields, is_md5, is_name, is_value, lines_of, pairs_of};
use super::{AskRules, Asked, AskedOperation, Form, Refusal, address, dates};
use crate::signing::v2::StringToSign;

const SHAPE: Refusal = Refusal(
    "string to sign: must be method, Content-MD5, Content-Type, an empty line, x-amz- headers, and the resource",
);

/// Reads and rebuilds one.
pub(super) fn read(text: &str, rules: &AskRules<'_>) -> Result<Asked, Refusal> {
    let lines = lines_of(text).ok_or(SHAPE)?;
    let [method, content_md5, content_type, "", headers @ .., resource] = lines.as_slice() else {
        return Err(SHAPE);
    };
    let headers = pairs_of(headers).ok_or(SHAPE)?;
    let is_ordered = headers.is_sorted_by(|(one, _), (other, _)| one < other);
    let is_well_formed =
        |&(name, value): &(&str, &str)| name.starts_with("x-amz-") && is_name(name) && is_value(value);
    if !is_ordered || !headers.iter().all(is_well_formed) {
        return Err(Refusal(
            "headers: must be x-amz- headers in lower case, sorted, each once",
        ));
    }
    if !(content_md5.is_empty() || is_md5(content_md5)) || !is_value(content_type) {
        return Err(SHAPE);
    }
    let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
    let operation = AskedOperation::of(method, parameters(query)?, rules)?;
    let encoded = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(rules.location.bucket()))
        .and_then(|path| path.strip_prefix('/'))
        .ok_or(Refusal("resource: must be an object of our bucket"))?;
    let key = address::key_of(encoded)?;
    let (date, metadata) = check_fields(&headers, &operation, rules)?;
    let text = StringToSign {
        method,
        content_md5,
        content_type,
        date: "",
        amz_headers: &headers,
        resource,
    }
    .text();
    Ok(Asked {
        operation,
        key,
        content_type: Some(*content_type)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        metadata,
        date: date.to_owned(),
        form: Form::V2 { text },
    })
}

/// The parameters as they stand: SigV2 signs their values unencoded, so an escape has no place here.
fn parameters(query: &str) -> Result<Vec<(&str, String)>, Refusal> {
    let pairs = query.split('&').filter(|_| !query.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && !value.contains(['%', '?', '#']) => {
                Ok((name, value.to_owned()))
            }
            None if pair == "uploads" => Ok((pair, String::new())),
            _ => Err(Refusal(
                "resource: every parameter but uploads must have a value, unencoded",
            )),
        })
        .collect()
}

/// Checks the headers, and gives date and metadata among them.
fn check_fields<'a>(
    headers: &[(&str, &'a str)],
    operation: &AskedOperation,
    rules: &AskRules<'_>,
) -> Result<(&'a str, BTreeMap<String, String>), Refusal> {
    let mut fields = Fields::default();
    let mut date = None;
    for &(name, value) in headers {
        if name == "x-amz-date" {
            dates::check_v2(value, rules.now)?;
            date = Some(value);
        } else {
            fields.admit(operation, name, value, rules)?;
        }
    }
    let date = date.ok_or(Refusal("x-amz-date: must be among the signed headers"))?;
    Ok((date, fields.meta))
}
