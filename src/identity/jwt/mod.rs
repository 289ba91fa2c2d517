//! The application's own tokens: JWTs that it, or its identity provider, has signed for its users.
//!
//! Separate from our own tokens in `signing`, which nobody else can make: what these say comes from outside, so each claim is
//! checked, the owner is put into a namespace of its own, and everything else can only narrow. What is done here and why is
//! in <https://www.rfc-editor.org/rfc/rfc8725#section-3>.

mod claims;
mod keys;
mod source;

use jsonwebtoken::decode_header;
use serde_json::{Map, Value};

use self::claims::Rules;
use self::keys::Signature;
use self::source::Source;
use crate::clock::Clock;
use crate::config::JwtConfig;
use crate::domain::Principal;
use crate::error::Error;

/// Most bytes of one.
const LONGEST: usize = 16 << 10;

const MALFORMED: Error = Error::Unauthenticated("this token is no JWT that is signed in a way known here");
const FORGED: Error = Error::Unauthenticated("this token is not signed with a key that is known here");

/// Knows the application's tokens.
pub(super) struct Verifier {
    source: Source,
    rules: Rules,
    clock: Clock,
}

impl Verifier {
    /// From checked settings; `None` where such tokens are not taken.
    ///
    /// # Errors
    /// What is wrong with the keys, for the operator.
    pub(super) fn open(settings: &JwtConfig, clock: &Clock) -> Result<Option<Self>, String> {
        if !settings.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            source: Source::open(settings)?,
            rules: Rules::new(settings),
            clock: clock.clone(),
        }))
    }

    /// Who the bearer of this token is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for one that is not good, [`Error::Forbidden`] for one without the scope,
    /// [`Error::Unavailable`] while no key could be read.
    pub(super) async fn read(&self, token: &str) -> Result<Principal, Error> {
        let claims = self.signed(token).await?;
        self.rules.read(&claims, self.clock.now())
    }

    /// The claims, if they are signed with one of the keys.
    async fn signed(&self, token: &str) -> Result<Map<String, Value>, Error> {
        if token.len() > LONGEST {
            return Err(MALFORMED);
        }
        let header = decode_header(token).map_err(|_| MALFORMED)?;
        // Nothing that a header may call critical is understood here.
        if header.crit.is_some() {
            return Err(MALFORMED);
        }
        let ring = self.source.ring().await?;
        let mut signature = ring.verify(token, &header);
        if matches!(signature, Signature::NoKey)
            && let Some(newer) = self.source.newer(&ring).await
        {
            signature = newer.verify(token, &header);
        }
        match signature {
            Signature::Good(claims) => Ok(claims),
            Signature::Unreadable(reason) => Err(Error::Unauthenticated(reason)),
            Signature::Bad | Signature::NoKey => Err(FORGED),
        }
    }
}

/// Whether text has the form of a JWT: three pieces, the first of which is a JSON object in base64. No key of ours has.
pub(super) fn looks_like_one(text: &str) -> bool {
    // `{"` in base64.
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}
