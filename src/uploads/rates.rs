//! Rates: how often an owner, and an address, may begin uploads and have something signed.
//!
//! Separate from the quota, which is on what is open and holds on all instances together: rates hold back bursts, so each
//! instance counts by itself, in memory.

use std::net::IpAddr;

use super::Uploads;
use crate::config::RatesConfig;
use crate::domain::{Bounds, Meter, Owner, Principal, network};
use crate::error::Error;

/// What is counted, by whom and from where.
#[derive(Debug, Default)]
pub struct Rates {
    creations: Pair,
    signatures: Pair,
    /// Of those whom their own bounds narrow, whatever holds for all.
    narrowed: Option<Meter>,
}

#[derive(Debug, Default)]
struct Pair {
    per_owner: Option<Meter>,
    per_address: Option<Meter>,
}

/// What somebody does often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pace {
    /// Begins uploads.
    Create,
    /// Has parts, forms or other requests signed.
    Sign,
}

impl Rates {
    /// From checked settings.
    pub fn new(settings: &RatesConfig) -> Self {
        let pair = |per_owner, per_address| Pair {
            per_owner: Meter::new(per_owner),
            per_address: Meter::new(per_address),
        };
        Self {
            creations: pair(settings.creations_per_owner, settings.creations_per_address),
            signatures: pair(settings.signatures_per_owner, settings.signatures_per_address),
            narrowed: Meter::new(1),
        }
    }
}

impl Pace {
    fn what(self) -> &'static str {
        match self {
            Self::Create => "uploads are begun",
            Self::Sign => "signatures are asked for",
        }
    }

    /// How many a minute these bounds allow, if they say so.
    fn within(self, bounds: &Bounds) -> Option<u32> {
        match self {
            Self::Create => bounds.creations_per_minute,
            Self::Sign => bounds.signatures_per_minute,
        }
    }
}

impl Uploads {
    /// Counts `count` of what this owner does from there.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub(super) fn pace(
        &self,
        pace: Pace,
        owner: &Owner,
        address: Option<IpAddr>,
        count: u64,
    ) -> Result<(), Error> {
        let pair = match pace {
            Pace::Create => &self.0.rates.creations,
            Pace::Sign => &self.0.rates.signatures,
        };
        let what = pace.what();
        let too_fast = |wait| Error::TooFast { what, wait };
        let from = address.map(network);
        let by_address = pair.per_address.as_ref().zip(from);
        if let Some((meter, from)) = by_address {
            meter.take(from, count, self.now()).map_err(too_fast)?;
        }
        // Strangers who share one name are told apart by their addresses alone.
        let by_owner = pair.per_owner.as_ref().filter(|_| !owner.is_anybody());
        let Some(meter) = by_owner else {
            return Ok(());
        };
        meter.take(owner.as_str(), count, self.now()).map_err(|wait| {
            if let Some((meter, from)) = by_address {
                meter.give_back(from, count);
            }
            too_fast(wait)
        })
    }

    /// Counts `count` of what the caller does, by the rates of all and by their own.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub(super) fn pace_caller(&self, pace: Pace, caller: &Principal, count: u64) -> Result<(), Error> {
        self.pace(pace, &caller.owner, caller.address, count)?;
        self.pace_narrowed(pace, caller, &caller.bounds, &Bounds::default(), count)
    }

    /// Counts `count` of what the caller does under these bounds, where they allow fewer than `beside`, by which it was
    /// counted already. Of one owner all is counted together that is narrowed alike.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub(super) fn pace_narrowed(
        &self,
        pace: Pace,
        caller: &Principal,
        bounds: &Bounds,
        beside: &Bounds,
        count: u64,
    ) -> Result<(), Error> {
        let (limit, before) = (pace.within(bounds), pace.within(beside));
        let narrower = limit.filter(|limit| before.is_none_or(|before| *limit < before));
        let (Some(limit), Some(meter)) = (narrower, &self.0.rates.narrowed) else {
            return Ok(());
        };
        // Strangers who share one name are told apart by their addresses alone.
        let from = caller.address.filter(|_| caller.owner.is_anybody()).map(network);
        let name = (pace, caller.owner.as_str(), from, limit);
        let what = pace.what();
        meter
            .take_at(limit, name, count, self.now())
            .map_err(|wait| Error::TooFast { what, wait })
    }
}
