//! The signals: JSON objects in text messages, read and written.
//!
//! Separate, because nothing here knows of connections or uploads. What a signal may hold is in sections 1, 4 and 6 of
//! `docs/galileo-send.md`.

use serde_json::{Map, Value, json};

use crate::domain::{Algorithm, Checksum, Upload};
use crate::error::Error;
use crate::web::problem::Kind;

/// What a client says of the file that it will send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Whether it speaks protocol 2, and so wants to be told offsets.
    pub wants_offsets: bool,
    /// The upload that it wants to go on with.
    pub resume: Option<String>,
    /// Its credential.
    pub token: Option<String>,
}

/// What a client says once it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// All is sent; with a digest of the whole, if it claims one that we know.
    Finished(Option<Checksum>),
    /// It gives the upload up.
    Abort,
}

/// An error on its way to a client; its text is for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub text: String,
    /// The same for a program.
    pub code: String,
    /// Seconds after which the same may well succeed, where it may.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal in words of our own.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: code.to_owned(),
            retry_after: None,
        }
    }

    /// What it is counted as: the kind of the same error at any other door. `None` for what the client has asked for.
    pub fn kind(&self) -> Option<&'static Kind> {
        let own = match self.code.as_str() {
            "aborted" => return None,
            "bad_metadata" | "bad_message" => "invalid-request",
            "idle" => "body-stalled",
            "resume_unknown" => "not-found",
            "size_mismatch" => "inconsistent-upload-length",
            "too_many_bytes" => "wrong-size",
            shared => return Some(Kind::named(&shared.replace('_', "-"))),
        };
        Some(Kind::named(own))
    }

    /// The signal. One that is not fatal must be followed by a ready, or the client waits for ever.
    pub fn signal(&self, fatal: bool) -> String {
        let mut signal = json!({ "error": self.text, "fatal": fatal, "code": self.code });
        if let Some(seconds) = self.retry_after {
            signal["retry_after"] = json!(seconds);
        }
        signal.to_string()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        crate::web::problem::log(&error);
        let code = Kind::of(&error).slug.replace('-', "_");
        Self {
            retry_after: error.retry_after(),
            ..Self::new(&code, error.to_string())
        }
    }
}

fn bad(text: impl Into<String>) -> Refusal {
    Refusal::new("bad_metadata", text)
}

fn object(text: &str) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(bad("a message must be a JSON object")),
        Err(_) => Err(bad("the message is no JSON")),
    }
}

fn is_true(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name) == Some(&Value::Bool(true))
}

impl Metadata {
    /// Reads the first message.
    ///
    /// # Errors
    /// [`Refusal`] for what is no metadata, or cannot be a file.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let members = object(text)?;
        if members.contains_key("finished") || members.contains_key("abort") {
            return Err(bad(
                "the first message must say what will be sent: its name and size",
            ));
        }
        let name = match members.get("name") {
            Some(Value::String(name)) => name.clone(),
            Some(_) => return Err(bad("the file's name must be a text")),
            None => return Err(bad("the file's name is missing")),
        };
        check_name(&name)?;
        let size = match members.get("size") {
            Some(size) => whole_number(size)
                .ok_or_else(|| bad("the file's size must be a whole number of bytes, not negative"))?,
            None => return Err(bad("the file's size is missing")),
        };
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(bad(format!("{name} must be a text"))),
        };
        let wants_offsets = members
            .get("protocol")
            .and_then(Value::as_f64)
            .is_some_and(|n| n >= 2.0);
        let resume = if wants_offsets { text("resume")? } else { None };
        Ok(Self {
            name,
            size,
            wants_offsets,
            resume,
            token: text("token")?,
        })
    }
}

/// A JSON number that is one of bytes, however it is written.
fn whole_number(value: &Value) -> Option<u64> {
    /// The first whole number above all that a double is sure of.
    const FIRST_UNSURE: f64 = 9_007_199_254_740_992.0;
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value.as_f64()?;
    let is_whole = number.fract() == 0.0 && (0.0..FIRST_UNSURE).contains(&number);
    // Written as an integer it has no more digits than fit.
    is_whole.then(|| format!("{number:.0}").trim_start_matches('-').parse().ok())?
}

/// A name is one name, and no path.
fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(bad("the file's name is empty"));
    }
    if name.contains(['/', '\\']) || matches!(name, "." | "..") {
        return Err(bad("the file's name must be a name and no path"));
    }
    if name.chars().any(char::is_control) {
        return Err(bad("the file's name holds a control character"));
    }
    Ok(())
}

impl Word {
    /// Reads a later message.
    ///
    /// # Errors
    /// [`Refusal`] for one that means nothing here.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let members = object(text)?;
        if is_true(&members, "abort") {
            return Ok(Self::Abort);
        }
        if is_true(&members, "finished") {
            return Ok(Self::Finished(members.get("hash").and_then(claimed)));
        }
        if members.contains_key("name") || members.contains_key("size") {
            return Err(bad(
                "what is sent has been said already; one connection carries one file",
            ));
        }
        Err(Refusal::new("bad_message", "this message means nothing here"))
    }
}

/// The digest in a hash; none that is missing, of an unknown type, or no digest at all.
fn claimed(hash: &Value) -> Option<Checksum> {
    let algorithm = match hash.get("type")?.as_str()?.to_ascii_lowercase().as_str() {
        "sha1" | "sha-1" => Algorithm::Sha1,
        "sha256" | "sha-256" => Algorithm::Sha256,
        _ => return None,
    };
    let value = hash.get("value")?.as_str()?;
    // What is no digest of that type is one that nothing has.
    let bytes = hex::decode(value).unwrap_or_default();
    let never = || Checksum::new(algorithm, vec![0; algorithm.length()]);
    Checksum::new(algorithm, bytes).or_else(never)
}

/// `ready`, for a client that knows nothing else.
pub fn ready(chunk_size: u64) -> String {
    json!({ "ready": true, "chunksize": chunk_size }).to_string()
}

/// `ready` with where the upload stands, for a client of protocol 2.
pub fn ready_at(chunk_size: u64, upload: &Upload, offset: u64, window: u64) -> String {
    json!({
        "ready": true,
        "chunksize": chunk_size,
        "upload": upload.id.as_str(),
        "offset": offset,
        "window": window,
    })
    .to_string()
}

/// `close`, with what has become of the file.
pub fn close(upload: &Upload, path: &str, hash: Option<&Checksum>) -> String {
    let mut signal = json!({
        "close": true,
        "upload": upload.id.as_str(),
        "path": path,
        "size": upload.size,
    });
    if let (Some(hash), Value::Object(members)) = (hash, &mut signal) {
        let kind = match hash.algorithm() {
            Algorithm::Sha1 => "sha1",
            _ => "sha256",
        };
        let hash = json!({ "type": kind, "value": hex::encode(hash.as_bytes()) });
        members.insert("hash".into(), hash);
    }
    signal.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_an_error_is_counted_as_a_kind_that_there_is() {
        for (code, slug) in [
            ("bad_metadata", "invalid-request"),
            ("bad_message", "invalid-request"),
            ("idle", "body-stalled"),
            ("resume_unknown", "not-found"),
            ("size_mismatch", "inconsistent-upload-length"),
            ("too_many_bytes", "wrong-size"),
            ("incomplete", "incomplete"),
            ("superseded", "superseded"),
            ("forbidden", "forbidden"),
            ("wrong_state", "wrong-state"),
        ] {
            let kind = Refusal::new(code, "words").kind();
            assert_eq!(kind.map(|kind| kind.slug), Some(slug), "{code}");
        }
        let stopping = Refusal::from(Error::Stopping).kind();
        assert_eq!(stopping.map(|kind| kind.slug), Some("stopping"));
        assert_eq!(Refusal::new("aborted", "as asked").kind(), None);
    }

    #[test]
    fn the_first_message_says_name_and_size_and_may_say_more() {
        let old = Metadata::read(r#"{"name": "a b.bin", "size": 5, "path": "x", "resume": "u"}"#).unwrap();
        assert_eq!(
            (old.name.as_str(), old.size, old.wants_offsets),
            ("a b.bin", 5, false)
        );
        assert_eq!(old.resume, None, "an old client knows no resume");

        let new = r#"{"name": "a", "size": 5.0, "protocol": 2, "resume": "u", "token": "t"}"#;
        let new = Metadata::read(new).unwrap();
        assert!(new.wants_offsets);
        assert_eq!(
            (new.size, new.resume.as_deref(), new.token.as_deref()),
            (5, Some("u"), Some("t"))
        );
    }

    #[test]
    fn what_cannot_be_a_file_is_refused_with_a_text() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "\"x\"",
            "5",
            r#"{"size": 5}"#,
            r#"{"name": "", "size": 5}"#,
            r#"{"name": " ", "size": 5}"#,
            r#"{"name": 7, "size": 5}"#,
            r#"{"name": null, "size": 5}"#,
            r#"{"name": "..", "size": 5}"#,
            r#"{"name": ".", "size": 5}"#,
            r#"{"name": "../x", "size": 5}"#,
            r#"{"name": "a\\b", "size": 5}"#,
            r#"{"name": "a\u0000b", "size": 5}"#,
            r#"{"name": "a\nb", "size": 5}"#,
            r#"{"name": "\ud800", "size": 5}"#,
            r#"{"name": "a"}"#,
            r#"{"name": "a", "size": -1}"#,
            r#"{"name": "a", "size": 1.5}"#,
            r#"{"name": "a", "size": "5"}"#,
            r#"{"name": "a", "size": null}"#,
            r#"{"name": "a", "size": 1e300}"#,
            r#"{"finished": true}"#,
        ] {
            let refused = Metadata::read(text).unwrap_err();
            assert_eq!(refused.code, "bad_metadata", "{text}");
            assert!(refused.text.len() > 10, "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_in_any_case_and_an_unknown_one_is_none() {
        let sum = "aB".repeat(20);
        let read = |text: &str| match Word::read(text).unwrap() {
            Word::Finished(claimed) => claimed,
            Word::Abort => panic!("it is no abort"),
        };

        let known = read(&format!(
            r#"{{"finished": true, "hash": {{"type": "SHA1", "value": "{sum}"}}}}"#
        ));
        assert_eq!(known.unwrap().as_bytes(), [0xab; 20]);
        let short = read(r#"{"finished": true, "hash": {"type": "sha256", "value": "ab"}}"#);
        assert_eq!(short.unwrap().as_bytes(), [0; 32]);
        assert_eq!(
            read(r#"{"finished": true, "hash": {"type": "crc", "value": "ab"}}"#),
            None
        );
        assert_eq!(read(r#"{"finished": true}"#), None);
        assert_eq!(Word::read(r#"{"abort": true}"#), Ok(Word::Abort));
        assert_eq!(
            Word::read(r#"{"name": "a", "size": 1}"#).unwrap_err().code,
            "bad_metadata"
        );
        assert_eq!(Word::read(r#"{"finished": 0}"#).unwrap_err().code, "bad_message");
    }
}
