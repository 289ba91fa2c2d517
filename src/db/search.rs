//! Searches among many uploads: the admin's, and an owner's among the own ones.
//!
//! Separate from `uploads`, because these are the only statements whose conditions vary, and so the only ones that
//! could become slow by an unlucky combination. `tests/database/plans.rs` holds each to its index.

mod range;

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use self::range::{Candidate, Range};
use super::Database;
use super::column::{is_storable, to_bytes};
use super::connection::AnyConnection;
use super::parts::recorded;
use super::schema::uploads;
use super::upload_row::UploadRow;
use crate::domain::{Owner, State, SupportCode, Upload, UploadId};
use crate::error::Error;

/// Rows that one page looks at, at most, where some condition is in no index beside the others. A page may so be short,
/// and still have one behind it.
const WALK: u32 = 10_000;

/// Rows of one step of that walk.
const STEP: u32 = 1_000;

/// What an admin, or an owner among the own uploads, searches for; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
pub struct UploadQuery {
    /// Whose uploads; `None` for everybody's, which is the admin's right alone.
    pub owner: Option<Owner>,
    /// Uploads in this state.
    pub state: Option<State>,
    /// Uploads that began through this door: a protocol's name.
    pub protocol: Option<String>,
    /// Uploads of files with exactly this name.
    pub filename: Option<String>,
    /// Uploads of files whose name begins so; of very many, the first ten thousand in the order of their names, or the first
    /// thousand beside other conditions.
    pub filename_prefix: Option<String>,
    /// The upload with this object key.
    pub key: Option<String>,
    /// The upload with this multipart upload at the store.
    pub multipart_id: Option<String>,
    /// Uploads of files with exactly this many bytes.
    pub size: Option<u64>,
    /// Uploads of files with a number of bytes within these; of very many, as with names, the first in the order of their sizes.
    pub sizes: Option<RangeInclusive<u64>>,
    /// Uploads that were begun from this address.
    pub client_ip: Option<IpAddr>,
    /// The upload with this support code.
    pub support_code: Option<SupportCode>,
    /// The upload with this id.
    pub id: Option<UploadId>,
    /// Uploads that began at this time or later, in whole milliseconds.
    pub since: Option<DateTime<Utc>>,
    /// Uploads that began before this time.
    pub until: Option<DateTime<Utc>>,
    /// The cursor on the way to the oldest: only uploads older than this one.
    pub before: Option<UploadId>,
    /// The cursor on the way back: only uploads newer than this one, and of those the oldest.
    pub after: Option<UploadId>,
    /// At most this many.
    pub limit: u32,
}

/// An upload with what clients told us of its parts.
#[derive(Debug, Clone)]
pub struct UploadSummary {
    /// The upload.
    pub upload: Upload,
    /// How many of its parts are recorded.
    pub parts_recorded: u64,
    /// How many bytes those parts have, or were appended.
    pub bytes_recorded: u64,
}

/// One page of uploads, newest first.
#[derive(Debug, Clone, Default)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UploadSummary>,
    /// The cursor of the next page, which has what is `before` it; `None` on the last.
    pub next: Option<UploadId>,
    /// The cursor of the page before this one, which has what is `after` it; `None` on the first.
    pub previous: Option<UploadId>,
    /// Whether more names begin so, or more sizes lie there, than were looked at.
    pub is_cut: bool,
}

impl Database {
    /// The uploads that `query` asks for, newest first. However many there are, one page reads so many rows and no more.
    pub async fn list_uploads(&self, query: UploadQuery) -> Result<UploadPage, Error> {
        if !query.texts().all(is_storable) || query.limit == 0 {
            return Ok(UploadPage::default());
        }
        // No column holds a size beyond this, so no upload has it.
        if query.size.is_some_and(|size| i64::try_from(size).is_err()) {
            return Ok(UploadPage::default());
        }
        let (found, rows, mut recorded) = self
            .run(move |conn| {
                // First the ids, which the indexes hold: the rows are read for one page alone.
                let found = query.ids(conn)?;
                if found.ids.is_empty() {
                    return Ok((found, Vec::new(), HashMap::new()));
                }
                let recorded = recorded(conn, &found.ids)?;
                let rows: Vec<UploadRow> = uploads::table
                    .filter(uploads::id.eq_any(&found.ids))
                    .order(uploads::id.desc())
                    .load(conn)?;
                Ok((found, rows, recorded))
            })
            .await?;
        let summary = |row: UploadRow| {
            let (count, bytes) = recorded.remove(&row.id).unwrap_or_default();
            let upload: Upload = row.try_into()?;
            let bytes_recorded = match upload.offset() {
                Some(offset) => offset,
                None => to_bytes(bytes)?,
            };
            Ok(UploadSummary {
                upload,
                parts_recorded: to_bytes(count)?,
                bytes_recorded,
            })
        };
        let cursor = |id: Option<String>| id.map(|id| UploadId::parse(&id)).transpose();
        Ok(UploadPage {
            uploads: rows.into_iter().map(summary).collect::<Result<_, Error>>()?,
            next: cursor(found.next)?,
            previous: cursor(found.previous)?,
            is_cut: found.is_cut,
        })
    }
}

/// Most protocols that are told apart.
const PROTOCOLS: usize = 50;

impl Database {
    /// The protocols through which uploads have begun: from one to the next in the index, without reading what lies between.
    pub async fn protocols(&self) -> Result<Vec<String>, Error> {
        self.run(|conn| {
            let mut known: Vec<String> = Vec::new();
            while known.len() < PROTOCOLS {
                let after = known.last().cloned().unwrap_or_default();
                let next = uploads::table
                    .filter(uploads::protocol.gt(after))
                    .order(uploads::protocol.asc())
                    .select(uploads::protocol);
                match next.first(conn).optional()? {
                    Some(protocol) => known.push(protocol),
                    None => break,
                }
            }
            Ok(known)
        })
        .await
    }
}

/// The ids of one page, newest first, and the cursors of those beside it.
struct Found {
    ids: Vec<String>,
    next: Option<String>,
    previous: Option<String>,
    is_cut: bool,
}

impl UploadQuery {
    /// The texts that a client chose freely.
    fn texts(&self) -> impl Iterator<Item = &str> {
        [
            &self.protocol,
            &self.filename,
            &self.filename_prefix,
            &self.key,
            &self.multipart_id,
        ]
        .into_iter()
        .filter_map(Option::as_deref)
        .chain(self.owner.as_ref().map(Owner::as_str))
    }

    /// How many conditions are set, without those on the id itself.
    fn conditions(&self) -> usize {
        [
            self.owner.is_some(),
            self.state.is_some(),
            self.protocol.is_some(),
            self.filename.is_some(),
            self.filename_prefix.is_some(),
            self.key.is_some(),
            self.multipart_id.is_some(),
            self.size.is_some(),
            self.sizes.is_some(),
            self.client_ip.is_some(),
            self.support_code.is_some(),
        ]
        .into_iter()
        .filter(|is_set| *is_set)
        .count()
    }

    /// The ids of one page, newest first.
    fn ids(self, conn: &mut AnyConnection) -> QueryResult<Found> {
        let Some((range, searched)) = self.first_condition() else {
            return match self.sizes.clone() {
                Some(sizes) if self.filename_prefix.is_none() => self.sized(&sizes, conn),
                _ => self.named(conn),
            };
        };
        let limit = self.limit as usize;
        let (mut ids, mut first, mut edge) = (Vec::new(), None, self.edge());
        let (step, most) = if searched == self.conditions() {
            (self.limit + 1, self.limit + 1)
        } else {
            (STEP, WALK)
        };
        let mut walked = 0;
        loop {
            let rows: Vec<Candidate> = range.rows(&self, edge.as_deref(), step, conn)?;
            let is_last = rows.len() < step as usize;
            walked += step;
            for row in rows {
                // On the way back there is a further page only if it has something on it: the first one must know that it is.
                if ids.len() == limit && (!self.is_back() || self.admits(&row)) {
                    let on = ids.last().cloned();
                    return Ok(self.page(ids, first, on, false));
                }
                if first.is_none() {
                    first = Some(row.id.clone());
                }
                edge = Some(row.id.clone());
                if self.admits(&row) {
                    ids.push(row.id);
                }
            }
            if is_last || walked >= most {
                let on = edge.filter(|_| !is_last);
                return Ok(self.page(ids, first, on, false));
            }
        }
    }

    /// Whether pages are gone through from the oldest to the newest.
    fn is_back(&self) -> bool {
        self.after.is_some()
    }

    /// Behind which id the search begins, in its direction.
    fn edge(&self) -> Option<String> {
        let edge = self.after.clone().or_else(|| self.upper());
        edge.map(|id| id.to_string())
    }

    /// A page of these ids, which are in the order of the search. The row `first` was looked at first, and the search goes on
    /// behind `on`.
    ///
    /// Right beside `first` is the page from which the cursor came, whether or not `first` itself is wanted: so the way back
    /// leads over the same pages.
    fn page(&self, mut ids: Vec<String>, first: Option<String>, on: Option<String>, is_cut: bool) -> Found {
        let from = first.filter(|_| self.before.is_some() || self.is_back());
        let (next, previous) = if self.is_back() { (from, on) } else { (on, from) };
        if self.is_back() {
            ids.reverse();
        }
        Found {
            ids,
            next,
            previous,
            is_cut,
        }
    }

    /// Above which id nothing is wanted.
    fn upper(&self) -> Option<UploadId> {
        let until = self.until.map(UploadId::floor);
        [self.before.clone(), until].into_iter().flatten().min()
    }

    /// The condition that is searched by its index, the narrowest first, and how many conditions that index holds; `None`
    /// where it is the beginning of a name or a range of sizes, which is another matter.
    fn first_condition(&self) -> Option<(Range, usize)> {
        let single = [
            (self.id.is_some(), Range::Id, 0),
            (self.support_code.is_some(), Range::Support, 1),
            (self.multipart_id.is_some(), Range::Multipart, 1),
            (self.key.is_some(), Range::Key, 1),
            (self.filename.is_some(), Range::Name, 1),
            (self.client_ip.is_some(), Range::Address, 1),
            (self.size.is_some(), Range::Size, 1),
        ];
        if let Some((_, range, held)) = single.into_iter().find(|(is_set, ..)| *is_set) {
            return Some((range, held));
        }
        if self.filename_prefix.is_some() || self.sizes.is_some() {
            return None;
        }
        let with_state = usize::from(self.state.is_some());
        Some(match (self.owner.is_some(), self.protocol.is_some()) {
            (true, _) => (Range::Owner, 1 + with_state),
            (false, true) => (Range::Protocol, 1 + with_state),
            (false, false) => (Range::State, with_state),
        })
    }

    /// Whether a row meets every condition.
    fn admits(&self, row: &Candidate) -> bool {
        fn is<T: PartialEq + Copy>(wanted: Option<T>, have: T) -> bool {
            wanted.is_none_or(|wanted| wanted == have)
        }
        let address = self.client_ip.map(|address| address.to_string());
        let tail = self.support_code.map(SupportCode::id_tail);
        is(self.owner.as_ref().map(Owner::as_str), row.owner.as_str())
            && is(self.state.map(State::as_str), row.state.as_str())
            && is(self.protocol.as_deref(), row.protocol.as_str())
            && is(self.filename.as_deref(), row.filename.as_str())
            && self
                .filename_prefix
                .as_ref()
                .is_none_or(|prefix| row.filename.starts_with(prefix))
            && is(self.key.as_deref(), row.object_key.as_str())
            && is(
                self.multipart_id.as_deref().map(Some),
                row.multipart_id.as_deref(),
            )
            && is(self.size, row.size.unsigned_abs())
            && self
                .sizes
                .as_ref()
                .is_none_or(|sizes| sizes.contains(&row.size.unsigned_abs()))
            && is(address.as_deref().map(Some), row.client_ip.as_deref())
            && tail.is_none_or(|tail| row.id.ends_with(&tail))
            && is(self.id.as_ref().map(UploadId::as_str), row.id.as_str())
            && self.admits_id(&row.id)
    }

    /// Whether an id lies where it must.
    fn admits_id(&self, id: &str) -> bool {
        self.since
            .is_none_or(|since| id >= UploadId::floor(since).as_str())
            && self.after.as_ref().is_none_or(|after| id > after.as_str())
            && self.upper().is_none_or(|upper| id < upper.as_str())
    }

    /// The ids of one page where the beginning of a name is searched: the first names of that range, in their own order,
    /// so that a beginning which half of all files share costs no more than another.
    fn named(self, conn: &mut AnyConnection) -> QueryResult<Found> {
        let prefix = self.filename_prefix.clone().unwrap_or_default();
        let end = end_of_prefix(&prefix);
        let names = uploads::table
            .filter(uploads::filename.ge(prefix))
            .order((uploads::filename.asc(), uploads::id.asc()));
        let (ids, is_cut) = if self.conditions() == 1 {
            let mut names = names.select(uploads::id).limit(i64::from(WALK)).into_boxed();
            if let Some(end) = end {
                names = names.filter(uploads::filename.lt(end));
            }
            let mut ids: Vec<String> = names.load(conn)?;
            let is_cut = ids.len() >= WALK as usize;
            ids.retain(|id| self.admits_id(id));
            (ids, is_cut)
        } else {
            // These rows lie all over the table, so fewer are read.
            let mut names = names
                .select(Candidate::as_select())
                .limit(i64::from(STEP))
                .into_boxed();
            if let Some(end) = end {
                names = names.filter(uploads::filename.lt(end));
            }
            let rows: Vec<Candidate> = names.load(conn)?;
            let is_cut = rows.len() >= STEP as usize;
            let admitted = rows.into_iter().filter(|row| self.admits(row));
            (admitted.map(|row| row.id).collect(), is_cut)
        };
        Ok(self.page_of(ids, is_cut))
    }

    /// The same where a range of sizes is searched: the first sizes of that range, in their own order.
    fn sized(self, sizes: &RangeInclusive<u64>, conn: &mut AnyConnection) -> QueryResult<Found> {
        let column = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        let rows = uploads::table
            .filter(uploads::size.ge(column(*sizes.start())))
            .filter(uploads::size.le(column(*sizes.end())))
            .order((uploads::size.asc(), uploads::id.asc()));
        if self.conditions() == 1 {
            let mut ids: Vec<String> = rows.select(uploads::id).limit(i64::from(WALK)).load(conn)?;
            let is_cut = ids.len() >= WALK as usize;
            ids.retain(|id| self.admits_id(id));
            return Ok(self.page_of(ids, is_cut));
        }
        let rows: Vec<Candidate> = rows
            .select(Candidate::as_select())
            .limit(i64::from(STEP))
            .load(conn)?;
        let is_cut = rows.len() >= STEP as usize;
        let admitted = rows.into_iter().filter(|row| self.admits(row));
        Ok(self.page_of(admitted.map(|row| row.id).collect(), is_cut))
    }

    /// The newest of these ids; on the way back the oldest.
    fn page_of(&self, mut ids: Vec<String>, is_cut: bool) -> Found {
        ids.sort_unstable();
        if !self.is_back() {
            ids.reverse();
        }
        let more = ids.len() > self.limit as usize;
        ids.truncate(self.limit as usize);
        let (first, last) = (ids.first().cloned(), ids.last().cloned());
        self.page(ids, first, last.filter(|_| more), is_cut)
    }
}

/// The least text above all that begin with `prefix`, in the byte order of both databases.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The range steps over the surrogates, which are no characters; past the last one, the one before grows.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_with_the_prefix_lies_below_its_end() {
        assert_eq!(end_of_prefix("IMG_").as_deref(), Some("IMG`"));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        assert_eq!(end_of_prefix(""), None);
    }
}
