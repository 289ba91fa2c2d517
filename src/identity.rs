//! Who is asking: API keys, upload tokens, the application's own tokens and word, and visitors' cookies, each turned into a
//! [`Principal`].
//!
//! Separate from `web`, which only knows where in a request each of them stands, and from `uploads`, which only
//! asks what a principal may reach.

mod forward;
mod jwt;
mod outside;
mod sessions;
mod tickets;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{ForwardConfig, JwtConfig};
use crate::db::{ApiKeyRecord, Database};
use crate::domain::{Grant, Owner, Principal, Upload, UploadId};
use crate::error::Error;
use crate::signing::{Tokens, UploadClaim};

pub use crate::signing::{PartClaim, TicketClaim};
pub use forward::{Circumstances, Shown};
pub use sessions::{CookieSecret, SESSION_LIFE};
pub use tickets::{Ticket, TicketBounds};

/// What every key of ours begins with, so that scanners for leaked secrets can know it.
const KEY_PREFIX: &str = "mule_";

/// The owner of the one key that the settings name.
const CONFIGURED_OWNER: &str = "default";

/// What an API key may do; at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// Begin uploads, and everything with one's own.
    pub upload: bool,
    /// Look at and end everybody's.
    pub admin: bool,
}

impl Scopes {
    /// Both.
    pub const ALL: Self = Self {
        upload: true,
        admin: true,
    };

    /// Reads `upload`, `admin` or both with a comma between.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `scopes` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut scopes = Self {
            upload: false,
            admin: false,
        };
        for word in text.split(',').map(str::trim) {
            match word {
                "upload" => scopes.upload = true,
                "admin" => scopes.admin = true,
                other => {
                    let detail = format!("\"{other}\" is no scope; the scopes are upload and admin");
                    return Err(Error::invalid("scopes", detail));
                }
            }
        }
        Ok(scopes)
    }

    /// The scopes that a grant comes from; none for an upload's token.
    pub fn of(grant: &Grant) -> Self {
        match grant {
            Grant::Upload => Self {
                upload: true,
                admin: false,
            },
            Grant::Admin => Self {
                upload: false,
                admin: true,
            },
            Grant::UploadAndAdmin => Self::ALL,
            Grant::OneUpload(_) => Self {
                upload: false,
                admin: false,
            },
        }
    }

    /// The scopes' names.
    pub fn names(self) -> Vec<&'static str> {
        [("upload", self.upload), ("admin", self.admin)]
            .into_iter()
            .filter_map(|(n, on)| on.then_some(n))
            .collect()
    }

    fn grant(self) -> Grant {
        match (self.upload, self.admin) {
            (true, true) => Grant::UploadAndAdmin,
            (false, true) => Grant::Admin,
            _ => Grant::Upload,
        }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// A fresh visitor, and the cookie value that will prove it.
#[derive(Debug, Clone)]
pub struct NewVisitor {
    /// Who the visitor is from now on.
    pub principal: Principal,
    /// What the browser keeps.
    pub cookie: String,
}

/// Knows keys, tokens and cookies.
pub struct Identity {
    db: Database,
    clock: Clock,
    tokens: Tokens,
    configured_key: Option<ConfiguredKey>,
    jwt: Option<jwt::Verifier>,
    forward: Option<forward::Forward>,
    anonymous: bool,
    token_lifetime: TimeDelta,
}

/// The one key that the settings name.
struct ConfiguredKey {
    hash: String,
    /// What stands for its id, which it has none of.
    id: String,
}

/// How [`Identity`] is set up.
pub struct IdentitySettings {
    /// Signs tokens and cookies; at least 32 characters.
    pub secret: SecretString,
    /// The one key that the settings name; empty for none.
    pub api_key: String,
    /// Whether visitors without any credential may upload.
    pub anonymous: bool,
    /// How long an upload's token is good.
    pub token_lifetime: TimeDelta,
    /// The application's own tokens.
    pub jwt: JwtConfig,
    /// The application's address that is asked.
    pub forward: ForwardConfig,
}

const NOT_OURS: Error = Error::Unauthenticated("this upload token is not ours, or has expired");

const EXPIRED: Error =
    Error::Unauthenticated("this upload's token has expired; begin the same upload again for another");

impl Identity {
    /// Everything that tells who is asking. Where keys are read from an address, that goes on in the background.
    ///
    /// # Errors
    /// What is wrong with the keys of the application's tokens, for the operator.
    pub fn open(db: Database, clock: Clock, settings: &IdentitySettings) -> Result<Self, String> {
        let key = &settings.api_key;
        let tokens = Tokens::new(&settings.secret);
        let configured_key = (!key.is_empty()).then(|| ConfiguredKey {
            hash: hash(key),
            id: tokens.alias(key),
        });
        Ok(Self {
            db,
            tokens,
            configured_key,
            jwt: jwt::Verifier::open(&settings.jwt, &clock)?,
            forward: forward::Forward::open(&settings.forward, &clock)?,
            clock,
            anonymous: settings.anonymous,
            token_lifetime: settings.token_lifetime,
        })
    }

    /// Whether visitors without any credential may upload.
    pub fn admits_anonymous(&self) -> bool {
        self.anonymous
    }

    /// The holder of an API key.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a key that is not ours or was revoked.
    pub async fn by_key(&self, key: &str) -> Result<Principal, Error> {
        self.by_key_hash(&hash(key)).await
    }

    /// The holder of what stands where a key may: an API key, or a token of the application's own.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for what is neither, [`Error::Forbidden`] for a good token without a scope that is
    /// needed, [`Error::Unavailable`].
    pub async fn by_credential(&self, text: &str) -> Result<Principal, Error> {
        match &self.jwt {
            Some(jwt) if jwt::looks_like_one(text) => jwt.read(text).await,
            _ => self.by_key(text).await,
        }
    }

    /// The holder of what stands where a token may: an upload's token, or [a key](Self::by_credential).
    ///
    /// # Errors
    /// As [`by_credential`](Self::by_credential).
    pub async fn by_bearer(&self, text: &str) -> Result<Principal, Error> {
        // One of ours that has expired is nobody else's.
        if self.is_own(text) {
            return self.by_token(text);
        }
        match self.by_credential(text).await {
            // What is wrong with a token is the more useful answer.
            Err(Error::Unauthenticated(_)) if self.jwt.is_none() || !jwt::looks_like_one(text) => {
                Err(NOT_OURS)
            }
            holder => holder,
        }
    }

    /// The names of the headers by which the application knows somebody; none where it is not asked.
    pub fn shown_headers(&self) -> &[String] {
        self.forward.as_ref().map_or(&[], forward::Forward::headers)
    }

    /// Who the application says that somebody is, by the headers that they sent; `None` for nobody that it knows, and
    /// where it is not asked.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where it refuses them, [`Error::Unavailable`] where it gives no answer that can be used.
    pub async fn by_application(
        &self,
        shown: &Shown,
        circumstances: &Circumstances,
    ) -> Result<Option<Principal>, Error> {
        match &self.forward {
            Some(forward) => forward.ask(shown, circumstances).await,
            None => Ok(None),
        }
    }

    async fn by_key_hash(&self, hash: &str) -> Result<Principal, Error> {
        if let Some(own) = &self.configured_key
            && own.hash.as_bytes().ct_eq(hash.as_bytes()).into()
        {
            let owner = Owner::recorded(CONFIGURED_OWNER.into());
            return Ok(Principal::new(owner, Grant::UploadAndAdmin).with_key(own.id.clone()));
        }
        let record = self.db.find_key(hash).await?;
        let record = record.ok_or(Error::Unauthenticated(
            "this API key is not known here, or was revoked",
        ))?;
        let scopes = Scopes::parse(&record.scopes).map_err(Error::internal)?;
        Ok(Principal::new(record.owner, scopes.grant()).with_key(record.id))
    }

    /// The holder of an upload's token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a token that is not ours or has expired.
    pub fn by_token(&self, token: &str) -> Result<Principal, Error> {
        let claim = self.tokens.read_upload(token, self.clock.now());
        let claim = claim.ok_or_else(|| if self.is_own(token) { EXPIRED } else { NOT_OURS })?;
        let id = UploadId::parse(&claim.upload_id)?;
        Ok(Principal::new(Owner::recorded(claim.owner), Grant::OneUpload(id)))
    }

    /// Whether an upload's token is ours, be it expired or not.
    fn is_own(&self, token: &str) -> bool {
        self.tokens.read_upload(token, DateTime::UNIX_EPOCH).is_some()
    }

    /// What a part's token tells of its holder: who they are, and which part of which upload they may send.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a token that is not ours or has expired.
    pub fn by_part_token(&self, token: &str) -> Result<PartClaim, Error> {
        self.tokens
            .read_part(token, self.clock.now())
            .ok_or(Error::Unauthenticated(
                "this part's token is not ours, or has expired",
            ))
    }

    /// The bearer token of one part, good for as long as the upload lives now.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be made.
    pub fn part_token(&self, claim: PartClaim, expires_at: DateTime<Utc>) -> Result<String, Error> {
        self.tokens.for_part(claim, expires_at).map_err(Error::internal)
    }

    /// The visitor behind a cookie, while visitors are admitted.
    pub fn by_cookie(&self, value: &str) -> Option<Principal> {
        let id = self.tokens.read_visitor(value).filter(|_| self.anonymous)?;
        let id = Uuid::parse_str(id).ok()?;
        Some(Principal::new(Owner::visitor(&id), Grant::Upload))
    }

    /// Everybody who comes without a credential and cannot keep a cookie; `None` where such are not admitted. What is
    /// theirs belongs to whoever knows its address, which nobody can guess.
    pub fn anybody(&self) -> Option<Principal> {
        self.anonymous
            .then(|| Principal::new(Owner::anybody(), Grant::Upload))
    }

    /// A visitor whom nobody has seen before, while visitors are admitted.
    pub fn new_visitor(&self) -> Option<NewVisitor> {
        if !self.anonymous {
            return None;
        }
        let id = Uuid::new_v4();
        let principal = Principal::new(Owner::visitor(&id), Grant::Upload);
        Some(NewVisitor {
            principal,
            cookie: self.tokens.for_visitor(&id.simple().to_string()),
        })
    }

    /// The bearer token of one upload, so that a browser never has to hold an API key.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be made.
    pub fn upload_token(&self, upload: &Upload) -> Result<String, Error> {
        let claim = UploadClaim {
            upload_id: upload.id.to_string(),
            owner: upload.owner.as_str().to_owned(),
        };
        self.tokens
            .for_upload(&claim, self.clock.now(), self.token_lifetime)
            .map_err(Error::internal)
    }
}

/// Makes an API key and records its hash: the key itself is told this once.
///
/// # Errors
/// [`Error::Unavailable`] from the database.
pub async fn create_key(
    db: &Database,
    owner: &Owner,
    scopes: Scopes,
    now: DateTime<Utc>,
) -> Result<String, Error> {
    let mut random = [0; 32];
    random[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    random[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    // 244 random bits, spread by the hash so that none stands still.
    let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(random)));
    let record = ApiKeyRecord {
        id: Uuid::now_v7().simple().to_string(),
        owner: owner.clone(),
        scopes: scopes.to_string(),
        hash: hash(&key),
        hint: key.chars().take(KEY_PREFIX.len() + 4).collect(),
        created_at: now,
        revoked_at: None,
    };
    db.insert_key(record).await?;
    Ok(key)
}

/// What is stored of a key. It is long and random, so a plain hash is as good as a slow one.
fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}
