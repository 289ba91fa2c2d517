//! Events for others: written with what they tell of, claimed by whoever sends them, and settled by how that went.
//!
//! Separate from `uploads`, because an event lives on when its upload has long ended. Several instances read the same
//! table: to claim an event is one statement that pushes its next attempt out, and whose row count says who has it. An
//! instance that dies with a claim has then only delayed it.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::Database;
use super::column::{from_time, to_time};
use super::connection::{AnyConnection, write_transaction};
use super::events::append_change;
use super::scans::settle;
use super::schema::{uploads, webhook_events};
use crate::domain::{
    EventId, EventKind, EventState, LogEntry, LogKind, ScanState, State, UploadId, WebhookEvent,
};
use crate::error::Error;

/// An event that is yet to be written.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// What has happened.
    pub kind: EventKind,
    /// Where it goes.
    pub url: String,
    /// The host in `url`.
    pub host: String,
    /// What is sent: JSON.
    pub payload: String,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The receiver took it.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// It did not.
    Failed {
        /// The answer's status, where there was an answer.
        status: Option<u16>,
        /// Why, for an admin.
        reason: String,
        /// When it is sent again; `None` parks it.
        again_at: Option<DateTime<Utc>>,
    },
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// In which state.
    pub state: Option<EventState>,
    /// Older than this one.
    pub before: Option<EventId>,
    /// Most events.
    pub limit: u32,
}

impl Database {
    /// Moves an upload to `complete`, ends its scan, and writes its events, in the same transaction. True if this call did
    /// it: of several that try at once, one does, and only that one's events are written.
    pub async fn complete_upload(
        &self,
        id: &UploadId,
        from: &[State],
        etag: Option<String>,
        events: impl IntoIterator<Item = NewEvent>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let from: Vec<&'static str> = from.iter().map(|state| state.as_str()).collect();
        let events: Vec<NewEvent> = events.into_iter().collect();
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                let change = (
                    uploads::state.eq(State::Complete.as_str()),
                    uploads::updated_at.eq(from_time(now)),
                    etag.map(|etag| uploads::etag.eq(etag)),
                );
                let changed = diesel::update(uploads::table.find(&id).filter(uploads::state.eq_any(from)))
                    .set(change)
                    .execute(conn)?;
                if changed == 1 {
                    append_change(conn, &id, &LogEntry::new(now, LogKind::Became(State::Complete)))?;
                    settle(conn, &id, ScanState::Accepted)?;
                    insert_events(conn, &id, events, now)?;
                }
                Ok(changed == 1)
            })
        })
        .await
    }

    /// Events that are due at `now`, the longest overdue first, at most `limit`, without those for the hosts `busy`.
    pub async fn due_events(
        &self,
        now: DateTime<Utc>,
        busy: Vec<String>,
        limit: u32,
    ) -> Result<Vec<WebhookEvent>, Error> {
        let rows: Vec<EventRow> = self
            .run(move |conn| {
                webhook_events::table
                    .filter(pending())
                    .filter(webhook_events::next_attempt_at.le(from_time(now)))
                    .filter(webhook_events::host.ne_all(busy))
                    .order(webhook_events::next_attempt_at.asc())
                    .limit(i64::from(limit))
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(WebhookEvent::try_from).collect()
    }

    /// Takes a due event for one attempt that ends before `until`; false if somebody else has it. Until then nobody
    /// else can; `until` is the claim's name for [`settle_event`](Self::settle_event).
    pub async fn claim_event(&self, event: &WebhookEvent, until: DateTime<Utc>) -> Result<bool, Error> {
        let (id, seen) = (event.id.to_string(), from_time(event.next_attempt_at));
        self.run(move |conn| {
            let as_seen = webhook_events::table
                .find(id)
                .filter(webhook_events::state.eq(EventState::Pending.as_str()))
                .filter(webhook_events::next_attempt_at.eq(seen));
            diesel::update(as_seen)
                .set((
                    webhook_events::next_attempt_at.eq(from_time(until)),
                    webhook_events::attempts.eq(webhook_events::attempts + 1),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Writes down how an attempt went; false, and nothing changes, if its claim no longer stands.
    pub async fn settle_event(
        &self,
        id: &EventId,
        claim: DateTime<Utc>,
        outcome: Settled,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let (id, claim, now) = (id.to_string(), from_time(claim), from_time(now));
        let change = Outcome::new(outcome, now);
        self.run(move |conn| {
            let ours = webhook_events::table
                .find(id)
                .filter(webhook_events::state.eq(EventState::Pending.as_str()))
                .filter(webhook_events::next_attempt_at.eq(claim));
            diesel::update(ours).set(change).execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Makes an event that was delivered or parked due again; false for one that is pending or unknown.
    pub async fn replay_event(&self, id: &EventId, now: DateTime<Utc>) -> Result<bool, Error> {
        let (id, now) = (id.to_string(), from_time(now));
        self.run(move |conn| {
            let over = webhook_events::table
                .find(id)
                .filter(webhook_events::state.ne(EventState::Pending.as_str()));
            diesel::update(over)
                .set((
                    webhook_events::state.eq(EventState::Pending.as_str()),
                    webhook_events::attempts.eq(0),
                    webhook_events::next_attempt_at.eq(now),
                    webhook_events::updated_at.eq(now),
                    webhook_events::delivered_at.eq(None::<NaiveDateTime>),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// The event with this id.
    pub async fn find_event(&self, id: &EventId) -> Result<Option<WebhookEvent>, Error> {
        let id = id.to_string();
        let row: Option<EventRow> = self
            .run(move |conn| webhook_events::table.find(id).first(conn).optional())
            .await?;
        row.map(WebhookEvent::try_from).transpose()
    }

    /// The events of one upload, oldest first.
    pub async fn events_of(&self, upload: &UploadId) -> Result<Vec<WebhookEvent>, Error> {
        let upload = upload.to_string();
        let mut rows: Vec<EventRow> = self
            .run(move |conn| {
                webhook_events::table
                    .filter(webhook_events::upload_id.eq(upload))
                    .load(conn)
            })
            .await?;
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        rows.into_iter().map(WebhookEvent::try_from).collect()
    }

    /// Events, newest first.
    pub async fn list_events(&self, query: EventQuery) -> Result<Vec<WebhookEvent>, Error> {
        let rows: Vec<EventRow> = self
            .run(move |conn| {
                let mut found = webhook_events::table
                    .order(webhook_events::id.desc())
                    .limit(i64::from(query.limit))
                    .into_boxed();
                if let Some(state) = query.state {
                    found = found.filter(webhook_events::state.eq(state.as_str()));
                }
                if let Some(before) = query.before {
                    found = found.filter(webhook_events::id.lt(before.to_string()));
                }
                found.load(conn)
            })
            .await?;
        rows.into_iter().map(WebhookEvent::try_from).collect()
    }
}

/// Writes events with the change that they tell of, in the transaction that is open.
pub(super) fn insert_events(
    conn: &mut AnyConnection,
    upload_id: &str,
    events: Vec<NewEvent>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    events.into_iter().try_for_each(|event| {
        let row = EventRow::new(event, upload_id, now);
        diesel::insert_into(webhook_events::table)
            .values(&row)
            .execute(conn)
            .map(drop)
    })
}

/// "Pending", the condition of the partial index in its own words: neither database matches it to a value that comes
/// later.
pub(super) fn pending() -> SqlLiteral<Bool> {
    sql("state NOT IN ('delivered', 'parked')")
}

/// What an attempt changes.
#[derive(AsChangeset)]
#[diesel(table_name = webhook_events, treat_none_as_null = true)]
struct Outcome {
    state: &'static str,
    next_attempt_at: NaiveDateTime,
    last_status: Option<i32>,
    last_error: Option<String>,
    updated_at: NaiveDateTime,
    delivered_at: Option<NaiveDateTime>,
}

impl Outcome {
    fn new(outcome: Settled, now: NaiveDateTime) -> Self {
        match outcome {
            Settled::Delivered { status } => Self {
                state: EventState::Delivered.as_str(),
                next_attempt_at: now,
                last_status: Some(status.into()),
                last_error: None,
                updated_at: now,
                delivered_at: Some(now),
            },
            Settled::Failed {
                status,
                reason,
                again_at,
            } => Self {
                state: again_at
                    .map_or(EventState::Parked, |_| EventState::Pending)
                    .as_str(),
                next_attempt_at: again_at.map_or(now, from_time),
                last_status: status.map(i32::from),
                last_error: Some(reason),
                updated_at: now,
                delivered_at: None,
            },
        }
    }
}

/// A row, its fields in the order of the columns.
#[derive(Queryable, Insertable)]
#[diesel(table_name = webhook_events, treat_none_as_default_value = false)]
struct EventRow {
    id: String,
    upload_id: String,
    kind: String,
    url: String,
    host: String,
    payload: String,
    state: String,
    attempts: i32,
    next_attempt_at: NaiveDateTime,
    last_status: Option<i32>,
    last_error: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    delivered_at: Option<NaiveDateTime>,
}

impl EventRow {
    /// A fresh event of this upload, due at once.
    fn new(event: NewEvent, upload_id: &str, now: DateTime<Utc>) -> Self {
        let now = from_time(now);
        Self {
            id: event.id.to_string(),
            upload_id: upload_id.to_owned(),
            kind: event.kind.as_str().to_owned(),
            url: event.url,
            host: event.host,
            payload: event.payload,
            state: EventState::Pending.as_str().to_owned(),
            attempts: 0,
            next_attempt_at: now,
            last_status: None,
            last_error: None,
            created_at: now,
            updated_at: now,
            delivered_at: None,
        }
    }
}

impl TryFrom<EventRow> for WebhookEvent {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self, Error> {
        let unknown = |what: &str, text: &str| Error::internal(format!("{what} {text:?} in the database"));
        Ok(Self {
            id: EventId::parse(&row.id)?,
            upload_id: UploadId::parse(&row.upload_id)?,
            kind: EventKind::parse(&row.kind).ok_or_else(|| unknown("kind", &row.kind))?,
            url: row.url,
            host: row.host,
            payload: row.payload,
            state: EventState::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            attempts: u32::try_from(row.attempts).map_err(Error::internal)?,
            next_attempt_at: to_time(row.next_attempt_at),
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.last_error,
            created_at: to_time(row.created_at),
            updated_at: to_time(row.updated_at),
            delivered_at: row.delivered_at.map(to_time),
        })
    }
}
