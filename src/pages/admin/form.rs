//! The search form: what somebody typed, as one or several look-ups that an index can answer.
//!
//! Separate from the list, because "anything" is the only search that is several: what it can mean is decided here.

use chrono::{DateTime, TimeDelta, Utc};

use super::session::Fields;
use super::words::read_sizes;
use crate::domain::{State, SupportCode, UploadId};
use crate::error::Error;
use crate::uploads::ListingQuery;

/// What can be searched for: the field's name in the address, and in words.
pub(super) const KINDS: [(&str, &str); 9] = [
    ("", "Anything"),
    ("name", "File name begins with"),
    ("exact", "File name is exactly"),
    ("code", "Support code"),
    ("owner", "Owner"),
    ("address", "IP address"),
    ("size", "Size"),
    ("key", "Object key"),
    ("upload", "S3 upload id"),
];

/// Ages that can be chosen: the value in the address, in words, and how old at most and at least, in hours.
pub(super) const AGES: [(&str, &str, Option<i64>, Option<i64>); 7] = [
    ("", "Any age", None, None),
    ("1h", "Last hour", Some(1), None),
    ("1d", "Last 24 hours", Some(24), None),
    ("7d", "Last 7 days", Some(24 * 7), None),
    ("30d", "Last 30 days", Some(24 * 30), None),
    ("older-1d", "Older than a day", None, Some(24)),
    ("older-7d", "Older than 7 days", None, Some(24 * 7)),
];

/// The form as it was sent.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) text: String,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) protocol: String,
    pub(super) age: String,
    /// The cursor on the way to the oldest.
    pub(super) before: String,
    /// The cursor on the way back.
    pub(super) after: String,
}

impl Search {
    pub(super) fn new(mut fields: Fields) -> Self {
        let mut take = |name: &str| fields.remove(name).unwrap_or_default().trim().to_owned();
        Self {
            text: take("q"),
            kind: take("in"),
            state: take("state"),
            protocol: take("protocol"),
            age: take("age"),
            before: take("before"),
            after: take("after"),
        }
    }

    /// Whether anything narrows the list.
    pub(super) fn is_set(&self) -> bool {
        let fields = [&self.text, &self.state, &self.protocol, &self.age];
        fields.into_iter().any(|field| !field.is_empty())
    }

    /// The same search from the newest on.
    pub(super) fn at_the_newest(self) -> Self {
        Self {
            before: String::new(),
            after: String::new(),
            ..self
        }
    }

    /// The query of the same search from another cursor on, which is the name and the value of its field; an empty value leads
    /// to the newest.
    pub(super) fn address(&self, cursor: (&str, &str)) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", self.text.as_str()),
            ("in", &self.kind),
            ("state", &self.state),
            ("protocol", &self.protocol),
            ("age", &self.age),
            cursor,
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// The look-ups whose results together are what was searched for.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field that cannot be what it says.
    pub(super) fn queries(&self, now: DateTime<Utc>) -> Result<Vec<ListingQuery>, Error> {
        let filters = self.filters(now)?;
        let text = self.text.as_str();
        if text.is_empty() {
            return Ok(vec![filters]);
        }
        let with = |set: &dyn Fn(&mut ListingQuery)| {
            let mut query = filters.clone();
            set(&mut query);
            query
        };
        let own = |text: &str| Some(text.to_owned());
        let name = || with(&|query| query.filename_prefix = own(text));
        let key = || with(&|query| query.key = own(key_in(text)));
        let upload = || with(&|query| query.multipart_id = own(text));
        let owner = || with(&|query| query.owner = own(text));
        let address = text.parse().ok();
        let address = address.map(|address| with(&|query| query.client_ip = Some(address)));
        let sizes: Vec<ListingQuery> = read_sizes(text)
            .into_iter()
            .map(|sizes| {
                with(&|query| match sizes.start() {
                    exact if exact == sizes.end() => query.size = Some(*exact),
                    _ => query.sizes = Some(sizes.clone()),
                })
            })
            .collect();
        let code = SupportCode::parse(text).map(|code| with(&|query| query.support_code = Some(code)));
        let id = UploadId::parse(text).ok();
        let id = id.map(|id| with(&|query| query.id = Some(id.clone())));
        let must = |found: Vec<ListingQuery>, rule: &str| {
            if found.is_empty() {
                return Err(Error::invalid("search", rule));
            }
            Ok(found)
        };
        match self.kind.as_str() {
            "name" => Ok(vec![name()]),
            "exact" => Ok(vec![with(&|query| query.filename = own(text))]),
            "key" => Ok(vec![key()]),
            "upload" => Ok(vec![upload()]),
            "owner" => Ok(vec![owner()]),
            "address" => must(
                address.into_iter().collect(),
                "an IP address looks like 192.0.2.7 or 2001:db8::7",
            ),
            "size" => must(
                sizes,
                "a size is a number of bytes, or a number with a unit such as 5 MiB",
            ),
            "code" => must(
                code.into_iter().collect(),
                "a support code has eight letters and digits, such as 7K3M-0Q9X",
            ),
            _ => {
                let sure = [name(), key(), upload(), owner()];
                let maybe = [address, code, id].into_iter().flatten().chain(sizes);
                Ok(sure.into_iter().chain(maybe).collect())
            }
        }
    }

    fn filters(&self, now: DateTime<Utc>) -> Result<ListingQuery, Error> {
        let state = match self.state.as_str() {
            "" => None,
            text => Some(
                State::parse(text).ok_or_else(|| Error::invalid("state", "must be a state of the list"))?,
            ),
        };
        let age = AGES.iter().find(|(value, ..)| *value == self.age);
        let (.., newest, oldest) = age.ok_or_else(|| Error::invalid("age", "must be an age of the list"))?;
        let cursor = |name: &str, text: &str| {
            let given = Some(text).filter(|text| !text.is_empty());
            let read = given.map(UploadId::parse).transpose();
            read.map_err(|_| Error::invalid(name, "must be the cursor of a page"))
        };
        Ok(ListingQuery {
            state,
            protocol: Some(self.protocol.clone()).filter(|text| !text.is_empty()),
            since: newest.map(|hours| now - TimeDelta::hours(hours)),
            until: oldest.map(|hours| now - TimeDelta::hours(hours)),
            cursor: cursor("before", &self.before)?,
            after: cursor("after", &self.after)?,
            ..ListingQuery::default()
        })
    }
}

/// The key in an address of the store such as `s3://bucket/key`, as an upload's page and logs have it; else the text itself.
fn key_in(text: &str) -> &str {
    let path = text.strip_prefix("s3://");
    path.and_then(|path| path.split_once('/'))
        .map_or(text, |(_bucket, key)| key)
}
