//! SigV4's canonical request, read line by line and built anew:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
//!
//! Separate from SigV2, which writes the same facts in another order.

use std::collections::BTreeMap;

use super::fields::{Fields, is_md5, is_name, is_value, lines_of, pairs_of};
use super::{AskRules, Asked, AskedOperation, Form, Refusal, address, dates, encoding};

/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const SHAPE: Refusal = Refusal(
    "canonical request: must be method, path, query, headers, an empty line, their names, and the hash of the body",
);

/// The lines of a canonical request.
struct Lines<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    signed: &'a str,
    payload: &'a str,
}

impl<'a> Lines<'a> {
    fn split(text: &'a str) -> Result<Self, Refusal> {
        let lines = lines_of(text).ok_or(SHAPE)?;
        let [method, path, query, headers @ .., "", signed, payload] = lines.as_slice() else {
            return Err(SHAPE);
        };
        Ok(Self {
            method,
            path,
            query,
            headers: pairs_of(headers).ok_or(SHAPE)?,
            signed,
            payload,
        })
    }

    /// The parameters, decoded. A canonical query has an equals sign in each.
    fn parameters(&self) -> Result<Vec<(&'a str, String)>, Refusal> {
        let pairs = self.query.split('&').filter(|_| !self.query.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or(SHAPE)?;
                Ok((name, address::decode(value)?))
            })
            .collect()
    }

    /// Each header is signed, each once, in the order of the alphabet: as the client will list them for the store.
    fn check_headers(&self) -> Result<(), Refusal> {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let well_formed = self
            .headers
            .iter()
            .all(|(name, value)| is_name(name) && is_value(value));
        if !well_formed || !names.is_sorted_by(|one, other| one < other) {
            return Err(Refusal(
                "headers: must be in lower case, sorted, each once, with values of visible ASCII",
            ));
        }
        if names.join(";") != self.signed {
            return Err(Refusal(
                "signed headers: must be the headers of the canonical request",
            ));
        }
        Ok(())
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
    }
}

/// Reads and rebuilds one.
pub(super) fn read(date: &str, scope: &str, text: &str, rules: &AskRules<'_>) -> Result<Asked, Refusal> {
    dates::check_v4(date, rules.now)?;
    if scope != format!("{}/{}/s3/aws4_request", &date[..8], rules.location.region()) {
        return Err(Refusal(
            "scope: must be the day of the date, our region, s3 and aws4_request",
        ));
    }
    let lines = Lines::split(text)?;
    lines.check_headers()?;
    let operation = AskedOperation::of(lines.method, lines.parameters()?, rules)?;
    check_payload(&operation, lines.payload)?;
    let host = lines
        .header("host")
        .ok_or(Refusal("host: must be among the signed headers"))?;
    let place = address::find(host, lines.path, rules.location)?;
    if lines.header("x-amz-date") != Some(date) {
        return Err(Refusal("x-amz-date: must be the date of the string to sign"));
    }
    let metadata = check_fields(&lines, &operation, rules)?;
    let mut canonical = format!("{}\n{}\n{}\n", lines.method, place.path, query_of(&lines)?);
    for (name, value) in &lines.headers {
        let value = if *name == "host" { &place.host } else { *value };
        canonical.extend([name, ":", value, "\n"]);
    }
    canonical.extend(["\n", lines.signed, "\n", lines.payload]);
    Ok(Asked {
        operation,
        key: place.key,
        content_type: lines.header("content-type").map(str::to_owned),
        metadata,
        date: date.to_owned(),
        form: Form::V4 { canonical },
    })
}

/// A part may go unhashed, a list of parts may not, and nothing else has a body.
fn check_payload(operation: &AskedOperation, payload: &str) -> Result<(), Refusal> {
    let is_hash = payload.len() == 64
        && payload
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_right = match operation {
        AskedOperation::Part { .. } => is_hash || payload == UNSIGNED,
        AskedOperation::Complete { .. } => is_hash && payload != EMPTY,
        _ => payload == EMPTY,
    };
    if is_right {
        Ok(())
    } else {
        Err(Refusal(
            "payload: must be the SHA-256 that belongs to the operation",
        ))
    }
}

/// Checks the headers, and gives the metadata among them.
fn check_fields(
    lines: &Lines<'_>,
    operation: &AskedOperation,
    rules: &AskRules<'_>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut fields = Fields::default();
    for &(name, value) in &lines.headers {
        match name {
            "host" | "x-amz-date" | "content-type" => {}
            "content-md5" if is_md5(value) => {}
            "x-amz-content-sha256" if value == lines.payload => {}
            _ if name.starts_with("x-amz-") => fields.admit(operation, name, value, rules)?,
            _ => {
                return Err(Refusal(
                    "headers: only host, content-type, content-md5 and x-amz- headers are signed",
                ));
            }
        }
    }
    Ok(fields.meta)
}

/// The query as S3 encodes it, sorted.
fn query_of(lines: &Lines<'_>) -> Result<String, Refusal> {
    let mut parameters = lines.parameters()?;
    parameters.sort_unstable();
    let mut query = String::new();
    for (name, value) in parameters {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        encoding::push_query(&mut query, &value);
    }
    Ok(query)
}
