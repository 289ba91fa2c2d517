//! Tickets and passes: what stands for its maker where nothing but an address can be given, once or until it ends.
//!
//! Separate from keys and cookies, because these are made by somebody who has a credential, and end with that.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Identity, TicketClaim};
use crate::domain::{Bounds, Grant, Owner, Principal};
use crate::error::Error;

/// How long a ticket is good.
const TICKET_LIFE: TimeDelta = TimeDelta::seconds(60);

const PASS_REFUSED: Error =
    Error::Unauthenticated("the token in this address is not ours, has expired, or was revoked");

/// What a ticket is bound to, besides whoever it was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketBounds {
    /// The one name that the file may have.
    pub name: Option<String>,
    /// Most bytes of the file.
    pub size: Option<u64>,
    /// The one site whose pages may use it.
    pub origin: Option<String>,
}

/// A ticket, and when it ends.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// What its bearer shows.
    pub ticket: String,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// A ticket with which somebody may begin one upload in this caller's name, once and within a minute: for a place
    /// where nothing but an address can be given.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller who may not begin any; [`Error::Internal`] if it cannot be made.
    pub fn ticket(&self, caller: &Principal, bounds: TicketBounds) -> Result<Ticket, Error> {
        caller.may_begin()?;
        let expires_at = ends(caller, self.clock.now() + TICKET_LIFE);
        let claim = TicketClaim {
            id: Uuid::new_v4().simple().to_string(),
            owner: caller.owner.as_str().to_owned(),
            key: caller.key.clone(),
            name: bounds.name,
            size: bounds.size,
            origin: bounds.origin,
            bounds: narrowed(caller)?,
            exp: expires_at.timestamp(),
        };
        let ticket = self.tokens.for_ticket(&claim).map_err(Error::internal)?;
        Ok(Ticket { ticket, expires_at })
    }

    /// Uses a ticket up: whom it is for, and what it is bound to. Of all instances one takes it.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for one that is not ours, has expired, was used, or whose maker's key was
    /// revoked; [`Error::Unavailable`].
    pub async fn use_ticket(&self, ticket: &str) -> Result<(Principal, TicketBounds), Error> {
        const REFUSED: Error = Error::Unauthenticated(
            "this ticket is not ours, has expired, or was used before; ask for a new one",
        );
        let now = self.clock.now();
        let claim = self.tokens.read_ticket(ticket, now).ok_or(REFUSED)?;
        if !self.is_backed(&claim).await? {
            return Err(REFUSED);
        }
        // A lease that nobody gives back notes the use for longer than the ticket lives; then it is swept.
        let (name, user) = (format!("ticket:{}", claim.id), Uuid::new_v4().to_string());
        let is_first = self
            .db
            .take_lease(&name, &user, now, now + TICKET_LIFE * 2)
            .await?;
        if !is_first {
            return Err(REFUSED);
        }
        let bounds = TicketBounds {
            name: claim.name.clone(),
            size: claim.size,
            origin: claim.origin.clone(),
        };
        Ok((holder(claim)?, bounds))
    }

    /// A pass with which somebody acts in this caller's name where nothing but an address can be given, any number of
    /// times until it ends or is revoked: everything that the caller may do with uploads of their own.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller who may not begin any; [`Error::Internal`] if it cannot be made.
    pub fn pass(&self, caller: &Principal, lifetime: TimeDelta) -> Result<Ticket, Error> {
        caller.may_begin()?;
        let expires_at = ends(caller, self.clock.now() + lifetime);
        let claim = TicketClaim {
            id: Uuid::new_v4().simple().to_string(),
            owner: caller.owner.as_str().to_owned(),
            key: caller.key.clone(),
            name: None,
            size: None,
            origin: None,
            bounds: narrowed(caller)?,
            exp: expires_at.timestamp(),
        };
        let ticket = self.tokens.for_pass(&claim).map_err(Error::internal)?;
        Ok(Ticket { ticket, expires_at })
    }

    /// The holder of a pass.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for one that is not ours, has expired or was revoked, itself or with its maker's key;
    /// [`Error::Unavailable`].
    pub async fn by_pass(&self, pass: &str) -> Result<Principal, Error> {
        let claim = self
            .tokens
            .read_pass(pass, self.clock.now())
            .ok_or(PASS_REFUSED)?;
        if !self.is_backed(&claim).await? || self.db.lease_holder(&revocation(&claim)).await?.is_some() {
            return Err(PASS_REFUSED);
        }
        holder(claim)
    }

    /// Revokes a pass for good, at every instance; again does no harm.
    ///
    /// # Errors
    /// As [`by_pass`](Self::by_pass).
    pub async fn revoke_pass(&self, pass: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let claim = self.tokens.read_pass(pass, now).ok_or(PASS_REFUSED)?;
        // A lease that nobody gives back notes it for longer than the pass lives; then it is swept.
        let ends = DateTime::from_timestamp(claim.exp, 0).unwrap_or(now) + TICKET_LIFE;
        let name = revocation(&claim);
        self.db.take_lease(&name, &claim.id, now, ends).await.map(drop)
    }

    /// Whether the API key still counts that this was made with, if it was made with one.
    async fn is_backed(&self, claim: &TicketClaim) -> Result<bool, Error> {
        let Some(id) = &claim.key else {
            return Ok(true);
        };
        let is_configured = self.configured_key.as_ref().is_some_and(|own| own.id == *id);
        Ok(is_configured || self.db.is_key_good(id).await?)
    }
}

/// Who acts in the owner's name, by something that depends on their key, and within what bounds they were held.
fn holder(claim: TicketClaim) -> Result<Principal, Error> {
    let bounds = match claim.bounds {
        Some(bounds) => serde_json::from_value(bounds).map_err(Error::internal)?,
        None => Bounds::default(),
    };
    Ok(Principal {
        key: claim.key,
        bounds,
        until: DateTime::from_timestamp(claim.exp, 0),
        ..Principal::new(Owner::recorded(claim.owner), Grant::Upload)
    })
}

/// How a caller is narrowed, as a claim.
fn narrowed(caller: &Principal) -> Result<Option<Value>, Error> {
    let bounds = Some(&caller.bounds).filter(|bounds| !bounds.is_open());
    bounds
        .map(serde_json::to_value)
        .transpose()
        .map_err(Error::internal)
}

/// When something ends that was to end then: not after the credential with which it was made.
fn ends(caller: &Principal, then: DateTime<Utc>) -> DateTime<Utc> {
    caller.until.map_or(then, |until| until.min(then))
}

/// The name of the lease that notes that a pass was revoked.
fn revocation(claim: &TicketClaim) -> String {
    format!("revoked:{}", claim.id)
}
