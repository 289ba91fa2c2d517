//! Our own tokens: the bearer token of one upload, and the cookie value of one visitor.
//!
//! Separate from the S3 signatures beside it: these are ours to make and to read, with a secret that never
//! signs anything else (each use derives its own key).

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Whom our tokens are for, so that no other JWT under the same secret passes for one.
const AUDIENCE: &str = "muleteer:upload";

/// Makes and reads tokens.
pub struct Tokens {
    upload: SecretBox<[u8; 32]>,
    part: SecretBox<[u8; 32]>,
    visitor: SecretBox<[u8; 32]>,
    ticket: SecretBox<[u8; 32]>,
    pass: SecretBox<[u8; 32]>,
}

/// What a part's token says, in the words of the chunk server's clients, who do not look inside; `own` is ours.
#[derive(Debug, Serialize, Deserialize)]
struct PartClaims {
    upload_id: String,
    part_number: u64,
    expected_size: u64,
    exp: i64,
    own: String,
}

/// What a good token of a part tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartClaim {
    /// The upload, as the protocol writes its id.
    pub upload_id: String,
    /// Whose upload that is.
    pub owner: String,
    /// The part, as the protocol counts.
    pub number: u64,
    /// Bytes that it was to have when the token was made.
    pub size: u64,
}

/// What an upload's token says: <https://www.rfc-editor.org/rfc/rfc7519#section-4.1>.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    own: String,
    aud: String,
    exp: i64,
}

/// What a good token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadClaim {
    /// The upload it is for.
    pub upload_id: String,
    /// Whose upload that is.
    pub owner: String,
}

/// What a ticket says: that its bearer may begin one upload in somebody's name, once and soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaim {
    /// The ticket's own id, by which its use is noted.
    #[serde(rename = "jti")]
    pub id: String,
    /// In whose name.
    #[serde(rename = "own")]
    pub owner: String,
    /// The id of the API key that it was made with; it ends with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The one name that the file may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Most bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The one site whose pages may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How its maker is narrowed, as JSON: so is whoever uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<serde_json::Value>,
    /// Until when, in seconds since 1970.
    pub exp: i64,
}

impl Tokens {
    /// Tokens under one secret of at least 32 characters.
    pub fn new(secret: &SecretString) -> Self {
        let derive =
            |purpose: &str| SecretBox::new(Box::new(mac(secret.expose_secret().as_bytes(), purpose)));
        Self {
            upload: derive("upload token"),
            part: derive("part token"),
            visitor: derive("visitor cookie"),
            ticket: derive("ticket"),
            pass: derive("pass"),
        }
    }

    /// A token for one upload, good for `lifetime`.
    ///
    /// # Errors
    /// Whatever the encoder says; with these claims, a fault of ours.
    pub fn for_upload(
        &self,
        claim: &UploadClaim,
        now: DateTime<Utc>,
        lifetime: TimeDelta,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: claim.upload_id.clone(),
            own: claim.owner.clone(),
            aud: AUDIENCE.into(),
            exp: (now + lifetime).timestamp(),
        };
        let key = EncodingKey::from_secret(self.upload.expose_secret());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
    }

    /// What a token tells, if it is ours and still good at `now`.
    pub fn read_upload(&self, token: &str, now: DateTime<Utc>) -> Option<UploadClaim> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[AUDIENCE]);
        // Held against our own clock below, which tests can move.
        rules.validate_exp = false;
        let key = DecodingKey::from_secret(self.upload.expose_secret());
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).ok()?.claims;
        (claims.exp > now.timestamp()).then_some(UploadClaim {
            upload_id: claims.sub,
            owner: claims.own,
        })
    }

    /// A token for one part, good until `expires_at`.
    ///
    /// # Errors
    /// Whatever the encoder says; with these claims, a fault of ours.
    pub fn for_part(
        &self,
        claim: PartClaim,
        expires_at: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = PartClaims {
            upload_id: claim.upload_id,
            part_number: claim.number,
            expected_size: claim.size,
            exp: expires_at.timestamp(),
            own: claim.owner,
        };
        let key = EncodingKey::from_secret(self.part.expose_secret());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
    }

    /// What a part's token tells, if it is ours and still good at `now`.
    pub fn read_part(&self, token: &str, now: DateTime<Utc>) -> Option<PartClaim> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        let key = DecodingKey::from_secret(self.part.expose_secret());
        let claims = jsonwebtoken::decode::<PartClaims>(token, &key, &rules)
            .ok()?
            .claims;
        (claims.exp > now.timestamp()).then_some(PartClaim {
            upload_id: claims.upload_id,
            owner: claims.own,
            number: claims.part_number,
            size: claims.expected_size,
        })
    }

    /// A ticket.
    ///
    /// # Errors
    /// Whatever the encoder says; with these claims, a fault of ours.
    pub fn for_ticket(&self, claim: &TicketClaim) -> Result<String, jsonwebtoken::errors::Error> {
        write_claim(&self.ticket, claim)
    }

    /// What a ticket tells, if it is ours and still good at `now`. Whether it was used before is not known here.
    pub fn read_ticket(&self, ticket: &str, now: DateTime<Utc>) -> Option<TicketClaim> {
        read_claim(&self.ticket, ticket, now)
    }

    /// A pass: as a ticket, but good any number of times until it ends.
    ///
    /// # Errors
    /// As [`for_ticket`](Self::for_ticket).
    pub fn for_pass(&self, claim: &TicketClaim) -> Result<String, jsonwebtoken::errors::Error> {
        write_claim(&self.pass, claim)
    }

    /// What a pass tells, if it is ours and still good at `now`. Whether it was revoked is not known here.
    pub fn read_pass(&self, pass: &str, now: DateTime<Utc>) -> Option<TicketClaim> {
        read_claim(&self.pass, pass, now)
    }

    /// A name for a secret text by which nobody but us can recognise it.
    pub fn alias(&self, secret: &str) -> String {
        hex::encode(&mac(self.pass.expose_secret(), &format!("alias:{secret}"))[..16])
    }

    /// A cookie value that only we can make: the visitor's id and its authentication code.
    pub fn for_visitor(&self, id: &str) -> String {
        format!("{id}.{}", hex::encode(mac(self.visitor.expose_secret(), id)))
    }

    /// The visitor's id, if the cookie value is ours.
    pub fn read_visitor<'a>(&self, value: &'a str) -> Option<&'a str> {
        let (id, code) = value.split_once('.')?;
        let code = hex::decode(code).ok()?;
        let mut expected = Hmac::<Sha256>::new_from_slice(self.visitor.expose_secret()).ok()?;
        expected.update(id.as_bytes());
        expected.verify_slice(&code).ok().map(|()| id)
    }
}

fn write_claim(
    key: &SecretBox<[u8; 32]>,
    claim: &TicketClaim,
) -> Result<String, jsonwebtoken::errors::Error> {
    let key = EncodingKey::from_secret(key.expose_secret());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claim, &key)
}

fn read_claim(key: &SecretBox<[u8; 32]>, token: &str, now: DateTime<Utc>) -> Option<TicketClaim> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_exp = false;
    let key = DecodingKey::from_secret(key.expose_secret());
    let claims = jsonwebtoken::decode::<TicketClaim>(token, &key, &rules)
        .ok()?
        .claims;
    (claims.exp > now.timestamp()).then_some(claims)
}

fn mac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&SecretString::from(secret.to_owned()))
    }

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn claim() -> UploadClaim {
        UploadClaim {
            upload_id: "u1".into(),
            owner: "anna".into(),
        }
    }

    #[test]
    fn a_token_tells_what_was_put_in_until_it_expires() {
        let tokens = tokens("a secret of more than thirty-two characters");
        let token = tokens.for_upload(&claim(), now(), TimeDelta::hours(1)).unwrap();

        assert_eq!(tokens.read_upload(&token, now()), Some(claim()));
        assert_eq!(tokens.read_upload(&token, now() + TimeDelta::hours(1)), None);
    }

    #[test]
    fn a_token_under_another_secret_or_without_any_is_nothing() {
        let token = tokens("one")
            .for_upload(&claim(), now(), TimeDelta::hours(1))
            .unwrap();
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsIm93biI6ImFubmEifQ.";

        assert_eq!(tokens("two").read_upload(&token, now()), None);
        assert_eq!(tokens("one").read_upload(unsigned, now()), None);
        assert_eq!(tokens("one").read_upload("", now()), None);
    }

    #[test]
    fn a_parts_token_is_none_of_an_upload_and_the_other_way_round() {
        let tokens = tokens("one");
        let claim = PartClaim {
            upload_id: "u1".into(),
            owner: "anna".into(),
            number: 7,
            size: 5,
        };
        let of_part = tokens
            .for_part(claim.clone(), now() + TimeDelta::hours(1))
            .unwrap();
        let of_upload = tokens
            .for_upload(&self::claim(), now(), TimeDelta::hours(1))
            .unwrap();

        assert_eq!(tokens.read_part(&of_part, now()), Some(claim));
        assert_eq!(tokens.read_part(&of_part, now() + TimeDelta::hours(1)), None);
        assert_eq!(tokens.read_part(&of_upload, now()), None);
        assert_eq!(tokens.read_upload(&of_part, now()), None);
    }

    #[test]
    fn a_pass_is_no_ticket_and_ends() {
        let tokens = tokens("one");
        let claim = TicketClaim {
            id: "j1".into(),
            owner: "anna".into(),
            key: None,
            name: None,
            size: None,
            origin: None,
            bounds: None,
            exp: (now() + TimeDelta::hours(1)).timestamp(),
        };
        let pass = tokens.for_pass(&claim).unwrap();

        assert_eq!(tokens.read_pass(&pass, now()), Some(claim));
        assert_eq!(tokens.read_pass(&pass, now() + TimeDelta::hours(1)), None);
        assert_eq!(tokens.read_ticket(&pass, now()), None);
    }

    #[test]
    fn a_visitor_cannot_become_another() {
        let tokens = tokens("one");
        let value = tokens.for_visitor("v1");

        assert_eq!(tokens.read_visitor(&value), Some("v1"));
        assert_eq!(tokens.read_visitor(&value.replace("v1", "v2")), None);
        assert_eq!(tokens.read_visitor("v1."), None);
    }
}
