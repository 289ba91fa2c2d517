//! Webhooks: an event about an upload, the address that it goes to, and what becomes of it.
//!
//! Separate from the sending, so that the address is judged where it is given, long before anybody calls it.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use url::{Host, Url};
use uuid::Uuid;

use super::address::AllowedHosts;
use super::id::UploadId;
use crate::error::{Error, FieldError};

/// The field that an address is given in, in every protocol that knows one.
const FIELD: &str = "webhook_url";

/// Most characters of an address.
const MAX_URL: usize = 2_000;

/// An address that may be called: `http` or `https`, a host, no user, and no address that is not public unless the
/// operator lists it. What a host name leads to is known only when it is called, and judged once more then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// Judges an address.
    ///
    /// # Errors
    /// [`FieldError`] on `webhook_url`.
    pub fn new(text: &str, allowed: &AllowedHosts) -> Result<Self, FieldError> {
        let refused = |detail: &str| Err(FieldError::new(FIELD, detail));
        if text.chars().count() > MAX_URL {
            return refused("has at most 2,000 characters");
        }
        // Parsers drop some of these without a word, so that what was read and what is called would differ.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refused("has no spaces and no control characters");
        }
        let Ok(url) = Url::parse(text) else {
            return refused("must be a whole address such as https://example.org/hook");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refused("must begin with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("has no user and no password; put a secret into the path");
        }
        let admitted = match url.host() {
            None => return refused("must have a host"),
            Some(Host::Domain(name)) => allowed.lists(name) || !is_this_machine(name),
            Some(Host::Ipv4(address)) => allowed.admits(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => allowed.admits(IpAddr::V6(address)),
        };
        if !admitted {
            return refused("must be a public address");
        }
        Ok(Self(url))
    }

    /// The address as it is called.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host without its port: whoever is slow there is slow for all that goes there.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// Names that never leave a machine: <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>.
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// The bytes behind a signing secret: `whsec_` and base64 as Standard Webhooks writes them, or any other text as it
/// stands (<https://www.standardwebhooks.com/>).
///
/// # Errors
/// A sentence on what is wrong with the secret, without the secret.
pub fn signing_key(secret: &str) -> Result<Vec<u8>, &'static str> {
    // Some tools leave the padding off.
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => GeneralPurpose::new(&STANDARD, lenient)
            .decode(encoded)
            .map_err(|_| "must be base64 after whsec_")?,
        None => secret.as_bytes().to_vec(),
    };
    if key.len() < 16 {
        return Err("must have at least 16 bytes");
    }
    Ok(key)
}

/// An event's id, the same on every delivery: `msg_` and 32 hexadecimal digits that sort by time of creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

impl EventId {
    /// A fresh id that sorts at `now`.
    pub fn generate(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let moment = uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos());
        Self(format!("msg_{}", Uuid::new_v7(moment).simple()))
    }

    /// Reads an id that somebody sent back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for text that is none of our ids.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix("msg_").unwrap_or_default();
        let well_formed =
            digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::NotFound("webhook"))
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An upload has begun.
    Created,
    /// An upload has become complete.
    Complete,
    /// A complete upload has another object now, which was looked at like the first.
    Replaced,
    /// A scanner did not want it.
    Rejected,
    /// Somebody gave it up.
    Aborted,
    /// Nobody came back in time.
    Expired,
    /// The store lost it, or it was not what its client had claimed.
    Failed,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Complete,
        Self::Replaced,
        Self::Rejected,
        Self::Aborted,
        Self::Expired,
        Self::Failed,
    ];

    /// The name in the payload, in every API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "upload.created",
            Self::Complete => "upload.complete",
            Self::Replaced => "upload.replaced",
            Self::Rejected => "upload.rejected",
            Self::Aborted => "upload.aborted",
            Self::Expired => "upload.expired",
            Self::Failed => "upload.failed",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where an event's delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// It will be sent, now or again.
    Pending,
    /// Its receiver has taken it.
    Delivered,
    /// It was given up; an admin can have it sent again.
    Parked,
}

impl EventState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Parked];

    /// The state's name in every API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
        }
    }

    /// Reads a state's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// An event on its way to its receiver.
#[derive(Debug, Clone)]
pub struct WebhookEvent {
    /// Its id, by which a receiver knows it again.
    pub id: EventId,
    /// The upload that it is about.
    pub upload_id: UploadId,
    /// What has happened.
    pub kind: EventKind,
    /// Where it goes.
    pub url: String,
    /// The host in `url`.
    pub host: String,
    /// What is sent, the same bytes each time: JSON.
    pub payload: String,
    /// Where its delivery stands.
    pub state: EventState,
    /// How often it was sent since it was made or replayed.
    pub attempts: u32,
    /// While pending: when it is sent next. It is pushed out for as long as an attempt may last.
    pub next_attempt_at: DateTime<Utc>,
    /// The status of the last answer; `None` where there was none.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When anything last happened to it.
    pub updated_at: DateTime<Utc>,
    /// When its receiver took it.
    pub delivered_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<String, String> {
        let allowed = AllowedHosts::new(&["hooks.localhost".to_owned(), "10.1.0.0/16".to_owned()]).unwrap();
        WebhookUrl::new(text, &allowed)
            .map(|url| url.as_str().to_owned())
            .map_err(|error| {
                assert_eq!(error.field, "webhook_url");
                error.detail
            })
    }

    #[test]
    fn ordinary_addresses_are_taken() {
        for text in [
            "https://example.org/hook?a=1",
            "http://example.org:8080/",
            "https://93.184.216.34/hook",
            "https://[2606:4700::1111]:8443/x",
            "http://10.1.2.3/listed",
            "http://hooks.localhost/listed",
        ] {
            assert_eq!(judge(text), Ok(text.to_owned()));
        }
        assert_eq!(
            judge("HTTPS://Exämple.org"),
            Ok("https://xn--exmple-cua.org/".to_owned())
        );
    }

    #[test]
    fn what_is_no_address_to_call_is_refused() {
        let long = format!("https://example.org/{}", "x".repeat(2_000));
        for text in [
            "",
            "example.org/hook",
            "/hook",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org/",
            "javascript:alert(1)",
            "https://",
            "https://user@example.org/",
            "https://user:password@example.org/",
            "https://:password@example.org/",
            " https://example.org/",
            "https://example.org/a b",
            "https://exa\nmple.org/",
            "https://example.org/\0",
            "https://example.org:99999/",
            long.as_str(),
        ] {
            assert!(judge(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_however_they_are_written() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://0/",
            "http://１２７.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://192.168.0.1/",
            "http://10.2.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[fe80::1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://app.localhost:3000/",
        ] {
            assert_eq!(judge(text), Err("must be a public address".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_secret_is_base64_after_its_prefix_and_plain_text_otherwise() {
        let key = b"sixteen bytes at least".to_vec();

        assert_eq!(
            signing_key("whsec_c2l4dGVlbiBieXRlcyBhdCBsZWFzdA==").unwrap(),
            key
        );
        assert_eq!(signing_key("whsec_c2l4dGVlbiBieXRlcyBhdCBsZWFzdA").unwrap(), key);
        assert_eq!(signing_key("sixteen bytes at least").unwrap(), key);
        for secret in [
            "",
            "short",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_not base64 at all, is it",
        ] {
            assert!(signing_key(secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn ids_are_known_again_and_sort_by_time() {
        let early = EventId::generate("2026-01-01T00:00:00Z".parse().unwrap());
        let late = EventId::generate("2026-01-01T00:00:01Z".parse().unwrap());

        assert!(early < late);
        assert_eq!(EventId::parse(early.as_str()).unwrap(), early);
        for text in [
            "",
            "msg_",
            "msg_x",
            &early.as_str()[4..],
            "msg_0123456789ABCDEF0123456789ABCDEF",
        ] {
            assert!(
                matches!(EventId::parse(text), Err(Error::NotFound("webhook"))),
                "{text}"
            );
        }
    }
}
