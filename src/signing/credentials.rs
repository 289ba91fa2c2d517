//! Who signs, and how long what they sign can live.
//!
//! It is separate from where credentials come from (environment, profile, metadata service), which is I/O.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::SigningError;

/// The longest that a signed URL may live:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html> (`X-Amz-Expires`).
pub const MAX_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// A key pair that S3 knows, with the session token of a temporary one. `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    /// Names the key; sent in the clear with every request.
    pub access_key_id: String,
    /// Never leaves the process.
    pub secret_access_key: SecretString,
    /// Sent along when the key is a temporary one.
    pub session_token: Option<SecretString>,
    /// When the key stops working; `None` for a long-term key.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Credentials {
    /// A long-term key: no session token, no end.
    pub fn long_term(access_key_id: impl Into<String>, secret_access_key: impl Into<SecretString>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires_at: None,
        }
    }

    /// Whether they have stopped working by `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether a request that is signed with one looks like one that is signed with the other. Only their end may differ.
    pub fn is_same(&self, other: &Self) -> bool {
        let token = |one: &Self| {
            one.session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned())
        };
        self.access_key_id == other.access_key_id
            && self.secret_access_key.expose_secret() == other.secret_access_key.expose_secret()
            && token(self) == token(other)
    }

    /// Whether the two have an id or a secret in common. The signing key of a day follows from the secret alone, so
    /// whoever has one key of such a pair has the other's, too.
    pub fn is_akin_to(&self, other: &Self) -> bool {
        self.access_key_id == other.access_key_id
            || self.secret_access_key.expose_secret() == other.secret_access_key.expose_secret()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("temporary", &self.session_token.is_some())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The store's clock and that of whoever gave the credentials may differ by so much: a URL dies so long before them, or a
/// tenth of what is left of them, if that is less.
const SKEW: Duration = Duration::from_secs(30);

/// How long a URL signed at `now` really lives, in whole seconds: at most `ttl`, [`MAX_LIFETIME`], and a little less than
/// what is left of the credentials, because S3 refuses a URL whose session token has expired. Zero means not at all.
pub fn lifetime(ttl: Duration, credentials: &Credentials, now: DateTime<Utc>) -> Duration {
    let left = match credentials.expires_at {
        Some(end) => {
            let left = (end - now).to_std().unwrap_or(Duration::ZERO);
            left.saturating_sub(SKEW.min(left / 10))
        }
        None => MAX_LIFETIME,
    };
    Duration::from_secs(ttl.min(MAX_LIFETIME).min(left).as_secs())
}

/// As [`lifetime`], for those who cannot go on without one.
pub(super) fn some_lifetime(
    ttl: Duration,
    credentials: &Credentials,
    now: DateTime<Utc>,
) -> Result<Duration, SigningError> {
    let lifetime = lifetime(ttl, credentials, now);
    if lifetime.is_zero() {
        Err(SigningError::NoLifetime)
    } else {
        Ok(lifetime)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 5, 5, 10, 0, 0).unwrap()
    }

    fn ending_in(left: TimeDelta) -> Credentials {
        Credentials {
            expires_at: Some(now() + left),
            ..Credentials::long_term("AKID", "secret")
        }
    }

    #[test]
    fn a_url_lives_no_longer_than_asked_than_a_week_and_than_its_credentials() {
        let long_term = Credentials::long_term("AKID", "secret");
        assert_eq!(
            lifetime(Duration::from_mins(15), &long_term, now()),
            Duration::from_mins(15)
        );
        assert_eq!(
            lifetime(Duration::from_secs(700_000), &long_term, now()),
            MAX_LIFETIME
        );

        let ending = ending_in(TimeDelta::milliseconds(59_900));
        assert_eq!(
            lifetime(Duration::from_mins(15), &ending, now()),
            Duration::from_secs(53)
        );
        let ending = ending_in(TimeDelta::minutes(10));
        assert_eq!(
            lifetime(Duration::from_mins(15), &ending, now()),
            Duration::from_secs(570)
        );
    }

    #[test]
    fn credentials_are_the_same_whatever_end_is_told_of_them() {
        let one = ending_in(TimeDelta::seconds(9));
        let token = |token: &str| Credentials {
            session_token: Some(token.into()),
            ..one.clone()
        };

        assert!(one.is_same(&Credentials::long_term("AKID", "secret")));
        assert!(token("a").is_same(&token("a")));
        assert!(!token("a").is_same(&token("b")) && !one.is_same(&token("a")));
        assert!(one.is_over(now() + TimeDelta::seconds(9)) && !one.is_over(now()));
    }

    #[test]
    fn expired_credentials_and_lifetimes_under_a_second_give_no_lifetime() {
        let expired = ending_in(TimeDelta::seconds(-1));
        assert!(matches!(
            some_lifetime(Duration::from_mins(15), &expired, now()),
            Err(SigningError::NoLifetime)
        ));

        let long_term = Credentials::long_term("AKID", "secret");
        assert!(some_lifetime(Duration::from_millis(999), &long_term, now()).is_err());
    }

    #[test]
    fn credentials_are_akin_by_id_or_by_secret() {
        let one = Credentials::long_term("AKID", "secret");

        assert!(one.is_akin_to(&Credentials::long_term("AKID", "other")));
        assert!(one.is_akin_to(&Credentials::long_term("OTHER", "secret")));
        assert!(!one.is_akin_to(&Credentials::long_term("OTHER", "other")));
    }

    #[test]
    fn debug_output_holds_neither_secret_nor_token() {
        let credentials = Credentials {
            session_token: Some("the-token".into()),
            ..Credentials::long_term("AKID", "the-secret")
        };

        let shown = format!("{credentials:?}");

        assert!(shown.contains("AKID"));
        assert!(
            !shown.contains("the-secret") && !shown.contains("the-token"),
            "{shown}"
        );
    }
}
