//! Sessions of the admin pages: a cookie in exchange for an admin key.
//!
//! Separate from keys and tokens, because a session is kept by us: it can be ended, and it ends with its key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Identity, hash};
use crate::domain::Principal;
use crate::error::Error;

/// How long a session is good.
pub const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);

const ADMINS_ONLY: Error = Error::Forbidden("this key is good, but without the scope admin");

/// A random text that a browser keeps as a cookie; forms prove with its [token](Self::form_token) that they are of a page
/// that we gave to the same browser.
#[derive(Clone)]
pub struct CookieSecret(String);

impl CookieSecret {
    /// A new one: 244 random bits, spread by a hash.
    pub fn generate() -> Self {
        let mut random = [0; 32];
        random[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        random[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(random)))
    }

    /// One that a browser sent.
    pub fn sent(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What the browser keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands in the forms of pages for this browser. Nothing of the cookie can be told from it.
    pub fn form_token(&self) -> String {
        hex::encode(Sha256::digest(format!("form\0{}", self.0)))
    }

    /// Whether a form's token belongs to this cookie.
    pub fn gave(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn hash(&self) -> String {
        hex::encode(Sha256::digest(format!("session\0{}", self.0)))
    }
}

impl Identity {
    /// A session for the holder of an admin key.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a key that is not ours or was revoked, [`Error::Forbidden`] for one that is no
    /// admin's, [`Error::Unavailable`].
    pub async fn log_in(&self, key: &str) -> Result<(Principal, CookieSecret), Error> {
        let principal = self.by_key(key).await?;
        if !principal.is_admin() {
            return Err(ADMINS_ONLY);
        }
        let (cookie, now) = (CookieSecret::generate(), self.clock.now());
        self.db
            .insert_session(&cookie.hash(), &hash(key), now, now + SESSION_LIFE)
            .await?;
        Ok((principal, cookie))
    }

    /// The admin behind a session's cookie; `None` where it has ended, or its key is not good for it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn by_session(&self, cookie: &CookieSecret) -> Result<Option<Principal>, Error> {
        let key = self.db.session_key(&cookie.hash(), self.clock.now()).await?;
        let Some(key) = key else { return Ok(None) };
        match self.by_key_hash(&key).await {
            Ok(principal) => Ok(Some(principal).filter(Principal::is_admin)),
            Err(Error::Unauthenticated(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a session for good.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn log_out(&self, cookie: &CookieSecret) -> Result<(), Error> {
        self.db.delete_session(&cookie.hash()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forms_token_belongs_to_one_cookie() {
        let (one, other) = (CookieSecret::generate(), CookieSecret::generate());

        assert!(one.gave(&one.form_token()));
        assert!(!one.gave(&other.form_token()));
        assert!(!one.gave(""));
        assert!(!one.form_token().contains(one.as_str()));
        assert_ne!(one.form_token(), one.hash());
    }
}
