//! Failed credentials, counted by address.
//!
//! Separate from `auth`, which says what a credential is worth. Keys have far too many bits to be guessed; what is held
//! back here is the load of trying.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::peer::client_ip;
use crate::clock::Clock;
use crate::domain::{Meter, Principal, network};
use crate::error::Error;

/// How often one address has failed to say who it is.
pub struct Failures {
    meter: Option<Meter>,
    clock: Clock,
}

impl Failures {
    /// Lets an address fail so often a minute; 0 for as often as it likes.
    pub fn new(per_minute: u32, clock: Clock) -> Self {
        let meter = Meter::new(per_minute);
        Self { meter, clock }
    }
}

/// What comes of looking at a credential, unless too many of this address were wrong. It counts as wrong before it is looked
/// at, so that many at once are no way around.
///
/// # Errors
/// [`Error::TooFast`], and what `look` says.
pub async fn counted(
    request: &HttpRequest,
    look: impl Future<Output = Result<Principal, Error>>,
) -> Result<Principal, Error> {
    let failures = request.app_data::<Data<Failures>>();
    let metered = failures.and_then(|failures| Some((failures.meter.as_ref()?, failures.clock.now())));
    let Some(((meter, now), from)) = metered.zip(client_ip(request).map(network)) else {
        return look.await;
    };
    meter.take(from, 1, now).map_err(|wait| Error::TooFast {
        what: "wrong credentials come from this address",
        wait,
    })?;
    let outcome = look.await;
    if !matches!(outcome, Err(Error::Unauthenticated(_))) {
        meter.give_back(from, 1);
    }
    outcome
}
