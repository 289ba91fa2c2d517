//! Parts that are smaller than S3 takes, gathered until they are large enough.
//!
//! Separate from the relay's plain way, in which a part of ours is a part of the store's. Here a fixed number of ours
//! makes one of the store's: each lies as an object of its own, so what was acknowledged survives us, and the one
//! that makes a group whole has the group sent. The objects stay until the upload ends, so that a part that is sent again
//! has its group sent again. Every instance cuts the same groups, and sending one twice gives the same part, so nothing
//! has to be agreed.

use super::documents::ListedObject;
use super::joined::Ending;
use super::relay::S3Relay;
use crate::domain::{PartNumber, PartPlan, StoredPart, Upload};
use crate::error::Error;
use crate::storage::Body;

/// What the name of a small part's object begins with: `p<group>-<part>`.
const SMALL: char = 'p';

/// Parts of ours that make one of the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    /// The number that the store knows it by.
    number: PartNumber,
    first: u16,
    last: u16,
}

impl Group {
    /// The group that part `number` belongs to, with `each` parts in all groups but the last.
    fn of(number: PartNumber, each: u64, plan: &PartPlan) -> Result<Self, Error> {
        let index = u64::from(number.get() - 1) / each;
        let first = index * each + 1;
        let last = (first + each - 1).min(u64::from(plan.part_count()));
        Ok(Self {
            number: PartNumber::new(index + 1, "part")?,
            first: u16::try_from(first).map_err(Error::internal)?,
            last: u16::try_from(last).map_err(Error::internal)?,
        })
    }

    fn parts(self) -> impl Iterator<Item = PartNumber> {
        (self.first..=self.last).filter_map(|number| PartNumber::new(number.into(), "part").ok())
    }

    /// What the names of its parts' objects begin with.
    fn prefix(self) -> String {
        format!("{SMALL}{:05}-", self.number.get())
    }

    /// The name of the object of one of its parts.
    fn piece(self, number: PartNumber) -> String {
        format!("{}{:05}", self.prefix(), number.get())
    }

    fn size(self, plan: &PartPlan) -> u64 {
        self.parts().filter_map(|number| plan.size_of(number)).sum()
    }
}

impl S3Relay {
    /// Whether this upload's parts are too small for the store.
    pub(super) fn gathers(&self, upload: &Upload) -> bool {
        upload.cut.is_ours() && upload.part_size < self.least_part && upload.plan().part_count() > 1
    }

    fn each(&self, upload: &Upload) -> u64 {
        self.least_part.div_ceil(upload.part_size.max(1))
    }

    /// Keeps a small part, and sends its group if that is whole now; gives the part's tag.
    pub(super) async fn put_small(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: Body,
    ) -> Result<String, Error> {
        let multipart_id = Self::multipart_id(upload)?;
        let group = Group::of(number, self.each(upload), &upload.plan())?;
        let key = Self::piece_key(&upload.id, &group.piece(number))?;
        let etag = self.store.send_object(&key, body, self.now()).await?;
        // An object is taken whether or not anybody still wants it.
        if let Err(error) = self
            .store
            .last_part_at(&upload.key, multipart_id, self.now())
            .await
        {
            self.store.delete(&key, self.now()).await?;
            return Err(error);
        }
        let there = self.small_parts(upload, &group.prefix()).await?;
        if group
            .parts()
            .all(|part| there.iter().any(|(number, _)| *number == part))
        {
            self.send_group(upload, group).await?;
        }
        Ok(etag)
    }

    /// The small parts that lie as objects whose name begins so, ascending.
    async fn small_parts(
        &self,
        upload: &Upload,
        prefix: &str,
    ) -> Result<Vec<(PartNumber, ListedObject)>, Error> {
        let plan = upload.plan();
        let number_of = |name: &str| {
            let (_, digits) = name.strip_prefix(SMALL)?.split_once('-')?;
            PartNumber::new(digits.parse().ok()?, "part").ok()
        };
        let pieces = self.pieces(&upload.id, prefix).await?;
        Ok(pieces
            .into_iter()
            .filter_map(|(name, object)| Some((number_of(&name)?, object)))
            .filter(|(number, object)| plan.size_of(*number) == Some(object.size))
            .collect())
    }

    /// All parts that are stored, in the plan's own numbers.
    pub(super) async fn gathered(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let small = self.small_parts(upload, &SMALL.to_string()).await?;
        let stored = |(number, object): (PartNumber, ListedObject)| StoredPart {
            number,
            size: object.size,
            etag: object.etag,
            checksum: None,
        };
        let mut parts: Vec<StoredPart> = small.into_iter().map(stored).collect();
        parts.sort_unstable_by_key(|part| part.number);
        Ok(parts)
    }

    /// The store's parts that are whole groups.
    fn whole_groups(&self, upload: &Upload, listed: &[StoredPart]) -> Result<Vec<StoredPart>, Error> {
        let (plan, each) = (upload.plan(), self.each(upload));
        let mut whole = Vec::new();
        for part in listed {
            let first = u64::from(part.number.get() - 1) * each + 1;
            if first > u64::from(plan.part_count()) {
                continue;
            }
            let group = Group::of(PartNumber::new(first, "part")?, each, &plan)?;
            if group.size(&plan) == part.size {
                whole.push(part.clone());
            }
        }
        Ok(whole)
    }

    /// Sends the groups that were not sent yet, and gives all the store's parts.
    pub(super) async fn all_groups(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let (plan, each) = (upload.plan(), self.each(upload));
        let multipart_id = Self::multipart_id(upload)?;
        let list = async || {
            let listed = self
                .store
                .list_parts(&upload.key, multipart_id, self.now())
                .await?;
            self.whole_groups(upload, &listed)
        };
        let sent = list().await?;
        let mut first = 1;
        while first <= u64::from(plan.part_count()) {
            let group = Group::of(PartNumber::new(first, "part")?, each, &plan)?;
            if sent.iter().all(|part| part.number != group.number) {
                self.send_group(upload, group).await?;
            }
            first += each;
        }
        list().await
    }

    /// Sends a group as one part of the store's, from the objects of its parts.
    async fn send_group(&self, upload: &Upload, group: Group) -> Result<(), Error> {
        let keys = group
            .parts()
            .map(|number| Self::piece_key(&upload.id, &group.piece(number)))
            .collect::<Result<Vec<_>, _>>()?;
        let length = group.size(&upload.plan());
        self.send_joined(upload, group.number, keys, Ending::default(), length)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_tile_the_parts_and_the_last_one_takes_the_rest() {
        let plan = PartPlan::recorded(23, 2);
        let group = |number| Group::of(PartNumber::new(number, "part").unwrap(), 5, &plan).unwrap();

        let spans: Vec<_> = [1, 5, 6, 12].map(|n| (group(n).first, group(n).last)).into();
        assert_eq!(spans, [(1, 5), (1, 5), (6, 10), (11, 12)]);
        assert_eq!(group(12).number.get(), 3);
        assert_eq!([1, 6, 11].map(|n| group(n).size(&plan)), [10, 10, 3]);
    }
}
