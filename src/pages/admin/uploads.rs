//! The list of uploads of every protocol, and the search.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};

use super::form::{AGES, KINDS, Search};
use super::session::{Fields, with_admin};
use super::words::{Moment, bytes, percent};
use super::{Frame, MOUNT, VERSION, html};
use crate::domain::{Principal, State, SupportCode, UploadId};
use crate::error::Error;
use crate::uploads::{ListingQuery, UploadSummary, Uploads};
use crate::web::peer::outer_prefix;

/// Uploads on one page.
const PAGE: u32 = 50;

/// One choice of a list.
struct Choice {
    value: String,
    words: String,
    is_chosen: bool,
}

/// One upload in the list.
struct Line {
    address: String,
    name: String,
    code: String,
    state: &'static str,
    size: String,
    percent: Option<u64>,
    protocol: String,
    transfer: &'static str,
    owner: String,
    from: String,
    began: Moment,
}

#[derive(Template)]
#[template(path = "admin/uploads.html")]
struct UploadsPage {
    base: String,
    version: &'static str,
    frame: Frame,
    search: Search,
    complaint: Option<String>,
    kinds: Vec<Choice>,
    states: Vec<Choice>,
    protocols: Vec<Choice>,
    ages: Vec<Choice>,
    lines: Vec<Line>,
    is_cut: bool,
    /// The query of the page before this one.
    previous: Option<String>,
    /// The query of the next page.
    next: Option<String>,
}

/// What a search found.
#[derive(Default)]
struct Found {
    uploads: Vec<UploadSummary>,
    previous: Option<UploadId>,
    next: Option<UploadId>,
    is_cut: bool,
}

/// `GET /admin`
pub(super) async fn list(request: HttpRequest, query: Query<Fields>, uploads: Data<Uploads>) -> HttpResponse {
    with_admin(&request, async |admin| {
        let mut search = Search::new(query.into_inner());
        let now = uploads.now();
        let (found, complaint) = match search.queries(now) {
            Ok(queries) => {
                let mut found = find(&uploads, &admin.caller, queries).await?;
                if found.is_beyond_the_newest(&search) {
                    search = search.at_the_newest();
                    found = find(&uploads, &admin.caller, search.queries(now)?).await?;
                }
                (found, None)
            }
            Err(Error::Invalid(bad)) => {
                let words: Vec<String> = bad
                    .into_iter()
                    .map(|field| format!("{}: {}", field.field, field.detail))
                    .collect();
                (Found::default(), Some(words.join("; ")))
            }
            Err(error) => return Err(error),
        };
        let states = State::ALL
            .iter()
            .map(|state| (state.as_str().to_owned(), state.as_str().to_owned()));
        let protocols = uploads.protocols(&admin.caller).await?.into_iter();
        let page = UploadsPage {
            base: outer_prefix(&request),
            version: VERSION,
            frame: Frame::new(&request, admin, "uploads"),
            complaint,
            kinds: choices(
                KINDS.map(|(value, words)| (value.to_owned(), words.to_owned())),
                &search.kind,
            ),
            states: choices(any("Any state").chain(states), &search.state),
            protocols: choices(
                any("Any protocol").chain(protocols.map(|name| (name.clone(), name))),
                &search.protocol,
            ),
            ages: choices(
                AGES.map(|(value, words, ..)| (value.to_owned(), words.to_owned())),
                &search.age,
            ),
            lines: found
                .uploads
                .iter()
                .map(|summary| Line::new(summary, now))
                .collect(),
            is_cut: found.is_cut,
            previous: found.before_this(&search),
            next: found.next.map(|next| search.address(("before", next.as_str()))),
            search,
        };
        html(&page)
    })
    .await
}

impl Found {
    /// Whether the way back led to nothing at all, since what was there is like that no more.
    fn is_beyond_the_newest(&self, search: &Search) -> bool {
        !search.after.is_empty() && self.uploads.is_empty() && self.previous.is_none()
    }

    /// The query of the page before this one; where a cursor led to nothing, that is the first one.
    fn before_this(&self, search: &Search) -> Option<String> {
        match &self.previous {
            Some(previous) => Some(search.address(("after", previous.as_str()))),
            None if self.uploads.is_empty() && !search.before.is_empty() => {
                Some(search.address(("after", "")))
            }
            None => None,
        }
    }

    /// What every look-up has told, at most a page of it, on the way to the oldest.
    fn keep_the_newest(&mut self) {
        let found = &mut self.uploads;
        found.retain(|summary| self.next.as_ref().is_none_or(|told| summary.upload.id >= *told));
        if found.len() > PAGE as usize {
            found.truncate(PAGE as usize);
            self.next = found.last().map(|summary| summary.upload.id.clone());
        }
    }

    /// The same on the way back.
    fn keep_the_oldest(&mut self) {
        let found = &mut self.uploads;
        found.retain(|summary| {
            self.previous
                .as_ref()
                .is_none_or(|told| summary.upload.id <= *told)
        });
        if found.len() > PAGE as usize {
            found.drain(..found.len() - PAGE as usize);
            self.previous = found.first().map(|summary| summary.upload.id.clone());
        }
    }
}

/// Runs every look-up and puts the results together, newest first, each upload once.
async fn find(uploads: &Uploads, caller: &Principal, queries: Vec<ListingQuery>) -> Result<Found, Error> {
    let is_back = queries.iter().any(|query| query.after.is_some());
    let mut all = Found::default();
    for query in queries {
        let query = ListingQuery {
            limit: Some(PAGE),
            ..query
        };
        let listing = uploads.list(caller, query).await?;
        // On its way each look-up has told all that it has up to where it goes on, so all have up to the nearest such place.
        // And nothing lies between where the search began and the nearest row that any of them looked at first.
        all.next = nearest(is_back, all.next, listing.next);
        all.previous = nearest(is_back, all.previous, listing.previous);
        all.is_cut |= listing.is_cut;
        all.uploads.extend(listing.uploads);
    }
    all.uploads
        .sort_by(|one, other| other.upload.id.cmp(&one.upload.id));
    all.uploads
        .dedup_by(|one, other| one.upload.id == other.upload.id);
    if is_back {
        all.keep_the_oldest();
    } else {
        all.keep_the_newest();
    }
    Ok(all)
}

/// The first of two cursors in the direction of the search.
fn nearest(is_back: bool, one: Option<UploadId>, other: Option<UploadId>) -> Option<UploadId> {
    let both = [one, other].into_iter().flatten();
    if is_back { both.min() } else { both.max() }
}

fn any(words: &str) -> impl Iterator<Item = (String, String)> {
    std::iter::once((String::new(), words.to_owned()))
}

fn choices(all: impl IntoIterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    all.into_iter()
        .map(|(value, words)| Choice {
            is_chosen: value == chosen,
            value,
            words,
        })
        .collect()
}

impl Line {
    fn new(summary: &UploadSummary, now: DateTime<Utc>) -> Self {
        let upload = &summary.upload;
        let size = upload.known_size();
        let arrived = size.map(|size| match upload.state {
            State::Complete => 100,
            _ => percent(summary.bytes_recorded, size),
        });
        Self {
            address: format!("{MOUNT}/uploads/{}", upload.id),
            name: upload.filename.shown(),
            code: SupportCode::of(&upload.id).to_string(),
            state: upload.state.as_str(),
            size: size.map_or_else(|| "unknown".to_owned(), bytes),
            percent: arrived,
            protocol: upload.protocol.clone(),
            transfer: upload.transfer.as_str(),
            owner: upload.owner.to_string(),
            from: upload
                .client_ip
                .map(|address| address.to_string())
                .unwrap_or_default(),
            began: Moment::new(upload.created_at, now),
        }
    }
}
