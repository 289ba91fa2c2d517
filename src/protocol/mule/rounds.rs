//! How often a page has started the same upload over with nothing new in the store.
//!
//! Separate, because it is a guard and no state of the upload: when completing keeps failing for a reason that
//! does not go away, the script goes round without any pause, ten whole parts a second. The count is this
//! instance's own; another instance that counts from zero only lets it go round a little longer.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::domain::{StoredPart, UploadId};

/// Rounds without progress before the page is stopped.
const MAX_ROUNDS: u32 = 5;

/// Uploads that are counted at once; beyond that all counts begin anew.
const MAX_COUNTED: usize = 10_000;

/// Counts, for each upload, rounds at the same number of parts.
#[derive(Debug, Default)]
pub struct ForcedRounds(Mutex<HashMap<UploadId, (usize, u32)>>);

impl ForcedRounds {
    /// Counts one round, and says whether it was one too many.
    pub fn is_too_many(&self, id: &UploadId, parts: &[StoredPart]) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= MAX_COUNTED && !counts.contains_key(id) {
            counts.clear();
        }
        let (seen, rounds) = counts.entry(id.clone()).or_insert((parts.len(), 0));
        if *seen == parts.len() {
            *rounds += 1;
        } else {
            (*seen, *rounds) = (parts.len(), 1);
        }
        *rounds > MAX_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PartNumber;

    #[test]
    fn a_page_is_stopped_only_when_nothing_moves() {
        let rounds = ForcedRounds::default();
        let id = UploadId::generate("2026-01-01T00:00:00Z".parse().unwrap());
        let part = StoredPart {
            number: PartNumber::new(1, "n").unwrap(),
            size: 1,
            etag: String::new(),
            checksum: None,
        };

        for _ in 0..MAX_ROUNDS {
            assert!(!rounds.is_too_many(&id, &[]));
        }
        assert!(rounds.is_too_many(&id, &[]));
        assert!(!rounds.is_too_many(&id, &[part]));
    }
}
