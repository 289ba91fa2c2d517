//! How much one owner may have open at once.
//!
//! Separate from [`Policy`](super::Policy), whose rules are on one file: these are on all unfinished uploads of an owner
//! together, so only whoever counts them can hold a new one against them.

use super::bounds::{Bounds, tighter};
use super::owner::Owner;
use crate::error::{Error, Held};

/// What one owner may have open at once; `None` for as much as they like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Most uploads that have not ended.
    pub uploads: Option<u64>,
    /// Most bytes of the files of all these together.
    pub bytes: Option<u64>,
}

/// Told rather than a quota that is reached, for no end of another upload would make room.
const NOTHING: Error = Error::Forbidden("you may have no upload open");

/// What an owner has open, or is about to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Uploads that have not ended.
    pub uploads: u64,
    /// Bytes of their files, as far as they are known.
    pub bytes: u64,
}

impl Quota {
    /// Whether there is nothing to count.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// The same, narrowed by these bounds.
    #[must_use]
    pub fn within(self, bounds: &Bounds) -> Self {
        Self {
            uploads: tighter(self.uploads, bounds.open_uploads),
            bytes: tighter(self.bytes, bounds.open_bytes),
        }
    }

    /// Whether `more` may come to what is `held` already.
    ///
    /// # Errors
    /// [`Error::QuotaReached`]; [`Error::TooLarge`] for bytes that would be too many even if nothing else were open, and
    /// [`Error::Forbidden`] where nothing may ever be.
    pub fn admit(&self, held: Usage, more: Usage) -> Result<(), Error> {
        let reached = |what, limit, held| Err(Error::QuotaReached { what, limit, held });
        if more.uploads > 0 && (self.uploads == Some(0) || self.bytes == Some(0)) {
            return Err(NOTHING);
        }
        if let Some(limit) = self.bytes.filter(|limit| more.bytes > *limit) {
            let size = more.bytes;
            return Err(Error::TooLarge { limit, size });
        }
        match self.uploads {
            Some(limit) if held.uploads.saturating_add(more.uploads) > limit => {
                return reached(Held::Uploads, limit, held.uploads);
            }
            _ => {}
        }
        match self.bytes {
            // A file of unknown length takes what is free; where nothing is, not a byte of it could come.
            Some(limit) if held.bytes.saturating_add(more.bytes.max(1)) > limit && !more.is_nothing() => {
                reached(Held::Bytes, limit, held.bytes)
            }
            _ => Ok(()),
        }
    }

    /// Bytes that may still come beside what is held; `None` where there is no limit.
    pub fn room(&self, held: Usage) -> Option<u64> {
        self.bytes.map(|limit| limit.saturating_sub(held.bytes))
    }
}

impl Usage {
    /// One upload of so many bytes.
    pub fn one(bytes: u64) -> Self {
        Self { uploads: 1, bytes }
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The quotas of all kinds of owners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of each owner with a name: whoever has a key.
    pub named: Quota,
    /// Of each visitor whom a cookie knows again.
    pub visitor: Quota,
    /// Of [anybody](Owner::anybody): all together who come without a credential and keep no cookie.
    pub anybody: Quota,
}

impl Quotas {
    /// The same, narrowed by these bounds.
    #[must_use]
    pub fn within(self, bounds: &Bounds) -> Self {
        Self {
            named: self.named.within(bounds),
            visitor: self.visitor.within(bounds),
            anybody: self.anybody.within(bounds),
        }
    }

    /// The quota of this owner.
    pub fn of(&self, owner: &Owner) -> Quota {
        if owner.is_anybody() {
            self.anybody
        } else if owner.is_visitor() {
            self.visitor
        } else {
            self.named
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Quota = Quota {
        uploads: Some(2),
        bytes: Some(10),
    };

    fn held(uploads: u64, bytes: u64) -> Usage {
        Usage { uploads, bytes }
    }

    #[test]
    fn what_fits_to_the_last_byte_is_admitted_and_one_more_is_not() {
        assert!(TEN.admit(held(1, 4), Usage::one(6)).is_ok());
        assert!(matches!(
            TEN.admit(held(1, 4), Usage::one(7)),
            Err(Error::QuotaReached {
                what: Held::Bytes,
                limit: 10,
                held: 4
            })
        ));
        assert!(matches!(
            TEN.admit(held(2, 0), Usage::one(0)),
            Err(Error::QuotaReached {
                what: Held::Uploads,
                limit: 2,
                held: 2
            })
        ));
    }

    #[test]
    fn a_file_that_never_fits_is_too_large_rather_than_too_early() {
        assert!(matches!(
            TEN.admit(held(2, 10), Usage::one(11)),
            Err(Error::TooLarge { limit: 10, size: 11 })
        ));
    }

    #[test]
    fn who_may_have_nothing_open_is_not_told_to_wait() {
        for quota in [
            Quota {
                uploads: Some(0),
                ..Quota::default()
            },
            Quota {
                bytes: Some(0),
                ..Quota::default()
            },
        ] {
            for bytes in [0, 5] {
                let refused = quota.admit(held(0, 0), Usage::one(bytes));
                assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
            }
        }
    }

    #[test]
    fn a_file_of_unknown_length_needs_room_for_a_byte() {
        assert!(TEN.admit(held(1, 9), Usage::one(0)).is_ok());
        assert!(TEN.admit(held(1, 10), Usage::one(0)).is_err());
    }

    #[test]
    fn each_kind_of_owner_has_its_own() {
        let quotas = Quotas {
            named: TEN,
            ..Quotas::default()
        };
        let visitor = Owner::visitor(&uuid::Uuid::from_u128(7));

        assert_eq!(quotas.of(&Owner::named("anna").unwrap()), TEN);
        assert!(quotas.of(&visitor).is_open() && quotas.of(&Owner::anybody()).is_open());
    }
}
