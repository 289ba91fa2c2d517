//! How often somebody may try to log in.
//!
//! Separate, because it is all that stands between a guesser and the database. A key has far too many bits to be guessed;
//! what is held back here is the load, and the noise. Whoever makes noise from many networks at once must not lock an
//! admin out: a network from which somebody has logged in well waits for its own failures alone.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::domain::{Meter, network};

/// Failures a minute after which one network waits.
const PER_NETWORK: u32 = 5;

/// Failures a minute after which all networks wait from which nobody has logged in yet.
const STRANGERS: u32 = 200;

/// Most networks that are remembered.
const MOST_KNOWN: usize = 10_000;

/// Failed attempts to log in, counted in memory.
#[derive(Debug)]
pub struct Attempts {
    of_network: Option<Meter>,
    of_strangers: Option<Meter>,
    /// Networks from which somebody has logged in, since this process began.
    known: Mutex<HashSet<IpAddr>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            of_network: Meter::new(PER_NETWORK),
            of_strangers: Meter::new(STRANGERS),
            known: Mutex::default(),
        }
    }
}

impl Attempts {
    /// Counts an attempt as failed before it is made, so that many at once are no way around.
    ///
    /// # Errors
    /// The seconds to wait, where there were too many.
    pub(super) fn begin(&self, address: IpAddr, now: DateTime<Utc>) -> Result<(), u64> {
        let from = network(address);
        take(self.of_network.as_ref(), from, now)?;
        if self.knows(from) {
            return Ok(());
        }
        take(self.of_strangers.as_ref(), (), now).inspect_err(|_| give_back(self.of_network.as_ref(), from))
    }

    /// An attempt that was begun did not fail.
    pub(super) fn forgive(&self, address: IpAddr) {
        let from = network(address);
        give_back(self.of_network.as_ref(), from);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&from) {
            return;
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(from);
        give_back(self.of_strangers.as_ref(), ());
    }

    fn knows(&self, from: IpAddr) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&from)
    }
}

fn take(meter: Option<&Meter>, name: impl std::hash::Hash, now: DateTime<Utc>) -> Result<(), u64> {
    meter.map_or(Ok(()), |meter| meter.take(name, 1, now))
}

fn give_back(meter: Option<&Meter>, name: impl std::hash::Hash) {
    if let Some(meter) = meter {
        meter.give_back(name, 1);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_waits_after_five_failures_and_another_does_not() {
        let attempts = Attempts::default();
        let begin = |text: &str, at| attempts.begin(address(text), at);
        for host in 1..=5 {
            // Of one IPv6 network.
            begin(&format!("2001:db8::{host}"), noon()).unwrap();
        }

        assert_eq!(begin("2001:db8::6", noon() + TimeDelta::seconds(2)), Err(10));
        begin("1.2.3.4", noon()).unwrap();
        begin("2001:db8::6", noon() + TimeDelta::seconds(12)).unwrap();
    }

    #[test]
    fn noise_from_everywhere_holds_up_strangers_and_not_who_has_logged_in_before() {
        let attempts = Attempts::default();
        let home = address("1.2.3.4");
        attempts.begin(home, noon()).unwrap();
        attempts.forgive(home);

        let tried = (0..1_000_u32).filter(|n| attempts.begin(IpAddr::from(n.to_be_bytes()), noon()).is_ok());
        assert_eq!(tried.count(), STRANGERS as usize);

        attempts.begin(home, noon()).unwrap();
        assert!(attempts.begin(address("5.6.7.8"), noon()).is_err());
    }

    #[test]
    fn who_logs_in_well_is_not_counted() {
        let attempts = Attempts::default();
        for _ in 0..50 {
            attempts.begin(address("1.2.3.4"), noon()).unwrap();
            attempts.forgive(address("1.2.3.4"));
        }
    }
}
