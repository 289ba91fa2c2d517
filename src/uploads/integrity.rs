//! Integrity: the bytes that a client says it has sent, held against those that the store has.
//!
//! Separate from completing, which knows numbers and sizes: what is compared here are checksums, and where nobody told
//! any, or the store tells none, there is nothing to compare.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::Uploads;
use crate::domain::{
    Algorithm, CheckedBy, Checksum, Checksums, Hasher, PartDefect, PartNumber, State, StoredPart, Transfer,
    Upload, UploadId, bare_etag, joined,
};
use crate::error::{Digested, Error};
use crate::storage::{Receipt, is_signed};

/// The algorithms of which a checksum of the whole follows from those of the parts, and is kept.
const OF_THE_WHOLE: [Algorithm; 2] = [Algorithm::Crc64Nvme, Algorithm::Crc32c];

/// What is known of the bytes of an upload that is about to be put together.
#[derive(Debug, Default)]
pub(super) struct KnownBytes {
    /// The checksum of the whole that the store can be told.
    pub(super) whole: Option<Checksum>,
    /// Parts of which the store tells nothing that could be compared.
    unconfirmed: Vec<PartNumber>,
    /// The algorithms of which the store tells the same checksum of every part.
    by_store: Vec<Algorithm>,
    /// The parts' own, in order; empty where those of one are not known.
    sums: Vec<(Checksums, u64)>,
    /// Whether all bytes passed through us.
    is_ours: bool,
}

impl KnownBytes {
    /// The checksum of the whole, if those of all parts are known.
    pub(super) fn joined(&self, algorithm: Algorithm) -> Option<Checksum> {
        let parts = self.sums.iter();
        joined(algorithm, parts.map(|(sums, size)| (sums.get(algorithm), *size)))
    }

    /// Whether the store is told this checksum of the whole when it joins the parts.
    fn is_told(&self, algorithm: Algorithm) -> bool {
        self.whole
            .as_ref()
            .is_some_and(|told| told.algorithm() == algorithm)
    }

    /// Whether the whole has this checksum; false where that is not known, or only by the word of whoever states it.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`] of the parts where it has another.
    pub(super) fn confirms(&self, stated: &Checksum) -> Result<bool, Error> {
        match self.joined(stated.algorithm()) {
            Some(whole) if whole != *stated => Err(Error::ChecksumMismatch {
                what: Digested::Parts,
            }),
            Some(_) => Ok(self.is_ours || self.unconfirmed.is_empty() || self.is_told(stated.algorithm())),
            None => Ok(false),
        }
    }

    /// The checksums of the whole, and who has compared them once the upload is complete. What a client told besides those
    /// that the store has compared is left out: nothing vouches for it, though the bytes be right by another.
    fn for_the_record(&self) -> Option<(Checksums, CheckedBy)> {
        let joined = OF_THE_WHOLE
            .into_iter()
            .filter_map(|algorithm| self.joined(algorithm));
        let (compared, said): (Vec<Checksum>, Vec<Checksum>) =
            joined.partition(|sum| self.is_told(sum.algorithm()) || self.by_store.contains(&sum.algorithm()));
        let (kept, checked_by) = match (compared.is_empty(), self.is_ours) {
            (false, _) => (compared, CheckedBy::Store),
            (true, true) => (said, CheckedBy::Server),
            (true, false) => (said, CheckedBy::Client),
        };
        let mut whole = Checksums::default();
        for sum in kept {
            whole.put(sum);
        }
        (!whole.is_empty()).then_some((whole, checked_by))
    }
}

/// How the parts of an upload are sent with a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartChecksum {
    /// Which.
    pub algorithm: Algorithm,
    /// Whether it is signed, so that it must be told when a part is.
    pub is_signed: bool,
}

impl Uploads {
    /// How the parts of this unfinished upload are sent with a checksum, if they are.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn part_checksum(&self, upload: &Upload) -> Result<Option<PartChecksum>, Error> {
        if !upload.state.is_unfinished() || !upload.cut.is_ours() {
            return Ok(None);
        }
        let algorithm = self.0.db.integrity(&upload.id).await?.algorithm;
        Ok(algorithm.map(|algorithm| PartChecksum {
            algorithm,
            is_signed: upload.transfer == Transfer::Direct && is_signed(algorithm),
        }))
    }

    /// The checksums of parts that are on record, by the parts' numbers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn part_sums(&self, id: &UploadId) -> Result<BTreeMap<u16, Checksums>, Error> {
        let records = self.0.db.recorded_parts(id).await?.into_iter();
        let sums = records.map(|record| (record.part.number.get(), record.part.checksums));
        Ok(sums.filter(|(_, sums)| !sums.is_empty()).collect())
    }

    /// The stored parts that count. Of those that pass through us that is none without a record: we were stopped before it
    /// was known whether the store had got these bytes, and nobody was told that it had.
    ///
    /// # Errors
    /// What the storage says, and [`Error::Unavailable`] from the database.
    pub(super) async fn counting_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let mut stored = self.storage(upload)?.parts(upload).await?;
        if upload.transfer == Transfer::Direct || stored.is_empty() {
            return Ok(stored);
        }
        let recorded = self.0.db.recorded_parts(&upload.id).await?.into_iter();
        let tags: BTreeMap<PartNumber, Option<String>> = recorded
            .map(|record| (record.part.number, record.part.etag))
            .collect();
        stored.retain(|part| {
            // Stores quote it in one answer, and not in another.
            let is_same = |tag: &String| bare_etag(tag) == bare_etag(&part.etag);
            let tag = tags.get(&part.number);
            tag.is_some_and(|tag| tag.as_ref().is_none_or(is_same))
        });
        Ok(stored)
    }

    /// Holds the stored parts against what is on record of their bytes.
    ///
    /// # Errors
    /// [`Error::Incomplete`] naming the parts of which the store has other bytes.
    pub(super) async fn check_bytes(
        &self,
        upload: &Upload,
        stored: &[StoredPart],
    ) -> Result<KnownBytes, Error> {
        let mut recorded = self.part_sums(&upload.id).await?;
        if recorded.is_empty() {
            return Ok(KnownBytes::default());
        }
        let mut altered = Vec::new();
        let mut known = KnownBytes {
            is_ours: upload.transfer == Transfer::Relay,
            by_store: OF_THE_WHOLE.to_vec(),
            ..KnownBytes::default()
        };
        for part in stored {
            let number = part.number;
            let Some(sums) = recorded.remove(&number.get()) else {
                continue;
            };
            match part.differs_from(&sums) {
                Some(true) => altered.push(PartDefect::WrongChecksum { number }),
                Some(false) => {}
                None => known.unconfirmed.push(number),
            }
            known
                .by_store
                .retain(|algorithm| part.confirms(&sums, *algorithm));
            known.sums.push((sums, part.size));
        }
        if !altered.is_empty() {
            tracing::warn!(upload = %upload.id, parts = altered.len(), "the store has other bytes than were sent");
        }
        Error::unless_whole(altered, upload.plan().part_count())?;
        if known.sums.len() < stored.len() {
            known.sums.clear();
        }
        let algorithm = self.0.db.integrity(&upload.id).await?.algorithm;
        known.whole = algorithm
            .filter(|algorithm| is_signed(*algorithm))
            .and_then(|algorithm| known.joined(algorithm));
        if let Some((whole, checked_by)) = known.for_the_record() {
            self.0.db.note_whole(&upload.id, &whole, checked_by).await?;
        }
        Ok(known)
    }

    /// Carries the checksum of an upload that is appended to on, over what has just come behind `from`. Where something was
    /// stored that is not known to be what came, none is carried on.
    pub(super) async fn sum_up(&self, upload: &Upload, from: u64, to: u64, receipt: &Receipt) {
        if let Err(error) = self.try_sum_up(upload, from, to, receipt).await {
            tracing::warn!(upload = %upload.id, %error, "its receipt will have no checksum");
        }
    }

    async fn try_sum_up(&self, upload: &Upload, from: u64, to: u64, receipt: &Receipt) -> Result<(), Error> {
        let came = receipt.sums();
        if to == from || receipt.received() != to - from {
            return Ok(());
        }
        let before = match from {
            0 => None,
            _ => self.0.db.integrity(&upload.id).await?.passed,
        };
        let mut parts = vec![(came.get(Algorithm::Crc64Nvme), to - from)];
        match &before {
            Some((bytes, sums)) if *bytes == from => {
                parts.insert(0, (sums.get(Algorithm::Crc64Nvme), from));
            }
            _ if from > 0 => return Ok(()),
            _ => {}
        }
        if let Some(sum) = joined(Algorithm::Crc64Nvme, parts) {
            let mut sums = Checksums::default();
            sums.put(sum);
            self.0.db.note_passed(&upload.id, to, &sums).await?;
        }
        Ok(())
    }

    /// What is known of the bytes of an upload that was appended to, all of it.
    pub(super) async fn known_of_appended(&self, upload: &Upload) -> Result<KnownBytes, Error> {
        let passed = self.0.db.integrity(&upload.id).await?.passed;
        let Some((_, sums)) = passed.filter(|(bytes, _)| *bytes == upload.size && *bytes > 0) else {
            return Ok(KnownBytes::default());
        };
        let checked_by = CheckedBy::Server;
        self.0.db.note_whole(&upload.id, &sums, checked_by).await?;
        Ok(KnownBytes {
            is_ours: true,
            sums: vec![(sums, upload.size)],
            ..KnownBytes::default()
        })
    }

    /// The store was told the checksum of the whole, has other bytes, and made nothing of them: parts may be sent again.
    /// Which of them it does not say, so all are named of which it told nothing before.
    pub(super) async fn reopen_altered(&self, upload: &Upload, known: &KnownBytes) -> Result<Error, Error> {
        self.change(&upload.id, &[State::Completing], State::Open).await?;
        let mut suspects = known.unconfirmed.clone();
        if suspects.is_empty() {
            suspects = upload.plan().parts().map(|(number, _)| number).collect();
        }
        let defects = suspects
            .into_iter()
            .map(|number| PartDefect::WrongChecksum { number })
            .collect();
        let refused = Error::unless_whole(defects, upload.plan().part_count());
        Ok(refused.err().unwrap_or(Error::ChecksumMismatch {
            what: Digested::Parts,
        }))
    }

    /// Holds the finished object against the digests that the whole file must have, if any were given: with the first
    /// word of it, or with the last. An object with another is removed, and the upload has failed.
    pub(super) async fn verify(&self, upload: &Upload, claimed: Option<&Checksum>) -> Result<(), Error> {
        let mut expected: Vec<Checksum> = upload.sha256.map(Checksum::from).into_iter().collect();
        expected.extend(claimed.cloned());
        if self.has_digests(upload, expected).await? {
            return Ok(());
        }
        tracing::warn!(upload = %upload.id, key = %upload.key, "the object is not what its client claimed");
        self.reject(upload).await?;
        Err(Error::ChecksumMismatch { what: Digested::File })
    }

    /// Whether an object that is there has the checksum that its client states of it: by those of its parts, or else by its
    /// bytes.
    pub(super) async fn is_as_stated(&self, upload: &Upload, stated: &Checksum) -> Result<bool, Error> {
        let known = self.0.db.integrity(&upload.id).await?.whole;
        match known.get(stated.algorithm()) {
            Some(known) => Ok(known == stated),
            None => self.has_digests(upload, vec![stated.clone()]).await,
        }
    }

    /// Whether the finished object has these digests. Where there are none it is not read.
    pub(super) async fn has_digests(&self, upload: &Upload, expected: Vec<Checksum>) -> Result<bool, Error> {
        if expected.is_empty() {
            return Ok(true);
        }
        let mut bytes = self.storage(upload)?.read(&upload.key, None).await?;
        let mut hashers: Vec<Hasher> = expected
            .iter()
            .map(|checksum| Hasher::new(checksum.algorithm()))
            .collect();
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            for hasher in &mut hashers {
                hasher.update(&piece);
            }
        }
        // A share does not let go of a file's name while somebody has it open.
        drop(bytes);
        Ok(hashers.into_iter().map(Hasher::finish).eq(expected))
    }
}
