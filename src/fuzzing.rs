//! Every parser that faces the network, by name, for the fuzz targets in `fuzz/` and the tests that run their corpus.
//!
//! Separate, because nobody else may reach into so many places; it holds no rule, but for what must be true of whatever
//! a parser accepts. A target panics where that is broken.

use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use chrono::{DateTime, TimeZone as _, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use crate::config::ServerConfig;
use crate::protocol::galileo::frames::{Decoder, Piece};
use crate::protocol::mule::query::MuleQuery;
use crate::protocol::offset::requests::Chunk;
use crate::protocol::resumable::ietf::fields;
use crate::protocol::resumable::metadata::Metadata;
use crate::protocol::resumable::tus::fields::Fields;
use crate::signing::{
    AddressingStyle, AskRules, AskedPolicy, BucketLocation, Credentials, Signable, SigningKeys, Tokens,
};
use crate::storage::s3;
use crate::storage::s3::answers::Answer;
use crate::web::body::claimed_sha256;
use crate::web::peer::{TrustedProxies, client_ip, outer_origin, outer_prefix};

/// Something that reads bytes of a stranger.
pub type Target = fn(&[u8]);

/// All targets; each has a folder of its name in `fuzz/corpus`, and a file in `fuzz/fuzz_targets`.
pub const TARGETS: [(&str, Target); 9] = [
    ("mule_query", mule_query),
    ("asked_request", asked_request),
    ("asked_policy", asked_policy),
    ("tus_metadata", tus_metadata),
    ("request_fields", request_fields),
    ("store_answer", store_answer),
    ("completion_list", completion_list),
    ("socket_frames", socket_frames),
    ("tokens", tokens),
];

/// Runs one target.
///
/// # Panics
/// Where there is none of that name, and where what was read breaks a promise.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(own, _)| *own == name)
        .expect("a target of this name");
    target(data);
}

/// A query of mule-uploader's first generation: nothing in it is refused.
fn mule_query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let query = MuleQuery::parse(&text);
    for name in ["key", "chunk", "upload_id", "filename", "mime_type", ""] {
        assert_eq!(query.get(name).is_some(), query.raw(name).is_some());
    }
    assert_eq!(query, MuleQuery::parse(&text));
}

const KEY_ID: &str = "EXAMPLEKEYID00000000";

fn with_rules<T>(act: impl FnOnce(&AskRules<'_>) -> T) -> T {
    static LOCATION: LazyLock<BucketLocation> = LazyLock::new(|| {
        BucketLocation::new(
            "https://s3.amazonaws.com",
            "media",
            AddressingStyle::Path,
            "us-east-1",
        )
        .expect("a bucket")
    });
    act(&AskRules {
        location: &LOCATION,
        now: now(),
        acl: "private",
        headers: &["x-amz-meta-*".to_owned()],
        existence: true,
        access_key_id: KEY_ID,
    })
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 5, 10, 0, 0).unwrap()
}

fn credentials() -> Credentials {
    Credentials::long_term(KEY_ID, "example/Secret+Key0000000000000000000000")
}

/// A request that a page wants signed, as Evaporate and Fine Uploader write it: only what is for our bucket is.
fn asked_request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    with_rules(|rules| {
        let Ok(signable) = Signable::whole(text) else {
            return;
        };
        let is_v2 = signable.is_v2();
        let Ok(asked) = signable.read(rules) else {
            return;
        };
        assert!(text.contains("/media/"), "another bucket: {text:?}");
        // In whatever letters: what is signed has our own spelling.
        assert!(
            is_v2 || text.to_ascii_lowercase().contains("\nhost:s3.amazonaws.com"),
            "another host: {text:?}"
        );
        assert!(!asked.key.is_empty() && !asked.key.contains('\0'), "{text:?}");
        let signed = asked.sign(&SigningKeys::new(), rules.location, &credentials());
        assert!(signed.is_ok_and(|signature| !signature.is_empty()), "{text:?}");
    });
}

/// The policy of a form, as Fine Uploader writes it: what is signed is read the same again.
fn asked_policy(data: &[u8]) {
    const MOST: u64 = 1 << 30;
    let Ok(document) = serde_json::from_slice(data) else {
        return;
    };
    with_rules(|rules| {
        let Ok(policy) = AskedPolicy::read(&document, MOST, rules) else {
            return;
        };
        let is_v2 = policy.is_v2();
        let signed = policy
            .sign(&SigningKeys::new(), rules.location.region(), &credentials())
            .expect("it can be signed");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &signed.policy);
        let again = serde_json::from_slice(&bytes.expect("base64")).expect("JSON");
        let again = AskedPolicy::read(&again, MOST, rules).expect("what is signed may be signed");
        assert_eq!(again.is_v2(), is_v2);
    });
}

/// `Upload-Metadata` of tus.
fn tus_metadata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(metadata) = Metadata::parse(&text) {
        let _ = (metadata.filename(), metadata.media_type(), metadata.texts());
        assert_eq!(Metadata::parse(&text).ok(), Some(metadata));
    }
}

/// A request whose fields are the lines of `data`, by the readers of tus, of structured fields, of chunks with offsets,
/// of digests, and of what proxies tell.
fn request_fields(data: &[u8]) {
    let request = request_of(data);
    let tus = Fields::of(&request);
    let _ = (
        tus.length(),
        tus.checksum(),
        tus.brings_bytes(),
        tus.speaks_our_version(),
    );
    let _ = (tus.bytes("upload-offset"), tus.text("upload-metadata"));
    let headers = request.headers();
    for name in [
        "upload-offset",
        "upload-length",
        "upload-complete",
        "upload-limit",
        "repr-digest",
    ] {
        let _ = (fields::integer(headers, name), fields::boolean(headers, name));
        let _ = (fields::dictionary(headers, name), fields::text(headers, name));
    }
    let offset = headers.get("upload-offset");
    let offset = offset.and_then(|value| value.to_str().ok()).unwrap_or("");
    if let Ok(chunk) = Chunk::read(&request, offset) {
        assert_eq!(offset.parse(), Ok(chunk.offset));
    }
    let _ = (
        claimed_sha256(&request),
        client_ip(&request),
        outer_prefix(&request),
    );
    if let Some(origin) = outer_origin(&request) {
        let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
        let host = host.expect("http or https");
        assert!(!host.contains(['/', '"', '<', ' ', '\\', '@']), "{origin:?}");
    }
}

fn request_of(data: &[u8]) -> HttpRequest {
    let trusting = ServerConfig {
        trusted_proxies: vec!["10.0.0.1".into()],
        ..ServerConfig::default()
    };
    let mut request = TestRequest::default()
        .app_data(TrustedProxies::new(&trusting))
        .peer_addr(([10, 0, 0, 1], 4711).into());
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request = request.append_header((name, value));
        }
    }
    request.to_http_request()
}

/// The store's XML.
fn store_answer(data: &[u8]) {
    let answer = |status| Answer::bare(status, String::from_utf8_lossy(data));
    let _ = (
        answer(500).code(),
        answer(500).is_transient(),
        answer(400).success(),
    );
    let _ = (
        answer(200).multipart_id(),
        answer(200).objects(),
        answer(200).uploads(),
    );
    let _ = (
        answer(200).completed(),
        answer(200).copied_etag(),
        answer(200).last_part_at(),
    );
    if let Ok((parts, _)) = answer(200).parts() {
        assert!(parts.len() <= data.len());
    }
}

/// The list of parts that a completion sends: it holds the store's own tags, whatever is in them, and names the parts that
/// the store has listed, these alone.
fn completion_list(data: &[u8]) {
    #[derive(Deserialize)]
    #[serde(rename = "CompleteMultipartUpload")]
    struct Written {
        #[serde(rename = "Part", default)]
        parts: Vec<WrittenPart>,
    }
    #[derive(Deserialize)]
    struct WrittenPart {
        #[serde(rename = "PartNumber")]
        number: u16,
        #[serde(rename = "ETag", default)]
        etag: String,
    }
    let listed = Answer::bare(200, String::from_utf8_lossy(data));
    let Ok((parts, _)) = listed.parts() else {
        return;
    };
    let written = s3::completion_list(&parts);
    let again: Written = quick_xml::de::from_reader(&written[..]).expect("our own list is XML");
    // Blanks round a text, and the ends of lines in it, are the reader's to change.
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(again.parts.len(), parts.len());
    for (read, part) in again.parts.iter().zip(&parts) {
        assert_eq!(read.number, part.number.get());
        assert_eq!(bare(&read.etag), bare(&part.etag));
    }
}

/// Frames of a WebSocket: what they mean does not depend on how they arrive.
fn socket_frames(data: &[u8]) {
    let whole = pieces_of(data, usize::MAX);
    for each in [1, 3, 7] {
        assert_eq!(pieces_of(data, each), whole, "in pieces of {each}: {data:?}");
    }
}

/// What a decoder makes of `data` that comes `each` bytes at a time: neighbouring bytes as one, and how it broke.
fn pieces_of(data: &[u8], each: usize) -> (Vec<Piece>, Option<u16>) {
    let (mut decoder, mut pieces) = (Decoder::new(1 << 10, 1 << 20), Vec::new());
    for piece in data.chunks(each.min(data.len().max(1))) {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(Piece::Bytes(more))) => match pieces.last_mut() {
                    Some(Piece::Bytes(bytes)) => *bytes = [&bytes[..], &more[..]].concat().into(),
                    _ => pieces.push(Piece::Bytes(more)),
                },
                Ok(Some(piece)) => pieces.push(piece),
                Err(broken) => return (pieces, Some(broken.code)),
            }
        }
    }
    (pieces, None)
}

/// Tokens and cookies: nobody has ours, so none is good.
fn tokens(data: &[u8]) {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
        Tokens::new(&SecretString::from(
            "a secret that no corpus was ever signed with",
        ))
    });
    let text = String::from_utf8_lossy(data);
    assert!(TOKENS.read_upload(&text, now()).is_none(), "{text:?}");
    assert!(TOKENS.read_part(&text, now()).is_none(), "{text:?}");
    assert!(TOKENS.read_ticket(&text, now()).is_none(), "{text:?}");
    assert!(TOKENS.read_pass(&text, now()).is_none(), "{text:?}");
    assert!(TOKENS.read_visitor(&text).is_none(), "{text:?}");
}
