//! Failed credentials, counted by address.
//!
//! Separate from `auth`, which says what a credential is worth. Keys have far too many bits to be guessed; what is held
//! back here is the load of trying.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::peer::client_ip;
use crate::clock::Clock;
use crate::domain::{Meter, network};
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

/// Where credentials come from: what is wrong of them is counted together.
pub struct Suspect {
    failures: Data<Failures>,
    from: IpAddr,
}

impl Suspect {
    /// Where this request comes from; `None` where nothing is counted.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let failures = request.app_data::<Data<Failures>>()?;
        failures.meter.as_ref()?;
        Some(Self {
            failures: failures.clone(),
            from: network(client_ip(request)?),
        })
    }

    /// What comes of looking at a credential, unless too many from there were wrong. It counts as wrong before it is looked
    /// at, so that many at once are no way around.
    ///
    /// # Errors
    /// [`Error::TooFast`], and what `look` says.
    pub async fn counted<T>(&self, look: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(meter) = &self.failures.meter else {
            return look.await;
        };
        let now = self.failures.clock.now();
        meter.take(self.from, 1, now).map_err(|wait| Error::TooFast {
            what: "wrong credentials come from this address",
            wait,
        })?;
        let outcome = look.await;
        if !matches!(outcome, Err(Error::Unauthenticated(_))) {
            meter.give_back(self.from, 1);
        }
        outcome
    }
}

/// The same, of a credential in a request.
///
/// # Errors
/// As [`Suspect::counted`].
pub async fn counted<T>(
    request: &HttpRequest,
    look: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match Suspect::of(request) {
        Some(suspect) => suspect.counted(look).await,
        None => look.await,
    }
}
