//! How often somebody may try to log in.
//!
//! Separate, because it is all that stands between a guesser and the database. A key has far too many bits to be guessed;
//! what is held back here is the load, and the noise.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// For so long attempts are counted together.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Failures within that time after which one address waits.
const PER_ADDRESS: u32 = 5;

/// Failures within that time after which everybody waits.
const OVERALL: u32 = 200;

/// Failed attempts to log in, counted in memory; there are never more addresses in it than failures that count.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    began: Option<DateTime<Utc>>,
    overall: u32,
    of: HashMap<IpAddr, u32>,
}

impl Attempts {
    /// Counts an attempt as failed before it is made, so that many at once are no way around.
    ///
    /// # Errors
    /// The seconds to wait, where there were too many.
    pub(super) fn begin(&self, address: IpAddr, now: DateTime<Utc>) -> Result<(), i64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match counts.began {
            Some(began) if began <= now && now - began < WINDOW => began,
            _ => {
                *counts = Counts {
                    began: Some(now),
                    ..Counts::default()
                };
                now
            }
        };
        let address = network(address);
        let own = counts.of.get(&address).copied().unwrap_or(0);
        if own >= PER_ADDRESS || counts.overall >= OVERALL {
            // Whole seconds, rounded up: who waits that long must not have to wait again.
            let left = (WINDOW - (now - began)).num_milliseconds();
            return Err((left + 999).div_euclid(1000).max(1));
        }
        counts.overall += 1;
        counts.of.insert(address, own + 1);
        Ok(())
    }

    /// An attempt that was begun did not fail.
    pub(super) fn forgive(&self, address: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.overall = counts.overall.saturating_sub(1);
        if let Some(own) = counts.of.get_mut(&network(address)) {
            *own = own.saturating_sub(1);
        }
    }
}

/// Who has one IPv6 address has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
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
        let begin = |text, at| attempts.begin(address(text), at);
        for host in 1..=5 {
            // Of one IPv6 network.
            begin(&format!("2001:db8::{host}"), noon()).unwrap();
        }

        assert_eq!(begin("2001:db8::6", noon() + TimeDelta::seconds(20)), Err(40));
        begin("1.2.3.4", noon()).unwrap();
        begin("2001:db8::6", noon() + WINDOW).unwrap();
    }

    #[test]
    fn many_addresses_together_have_a_limit_and_so_has_the_memory() {
        let attempts = Attempts::default();
        let tried = (0..1_000_u32).filter(|n| attempts.begin(IpAddr::from(n.to_be_bytes()), noon()).is_ok());

        assert_eq!(tried.count(), OVERALL as usize);
        assert_eq!(attempts.0.lock().unwrap().of.len(), OVERALL as usize);
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
