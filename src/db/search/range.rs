//! Range: the rows that one index holds in the order of their ids, read in either direction.
//!
//! Separate from the search, which says what of them is wanted and where a page ends.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::UploadQuery;
use crate::db::connection::AnyConnection;
use crate::db::schema::uploads;
use crate::domain::{Owner, State, SupportCode, UploadId};

/// What the conditions are about that no index holds beside the one that is searched.
#[derive(Queryable, Selectable)]
#[diesel(table_name = uploads)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) state: String,
    pub(super) protocol: String,
    pub(super) filename: String,
    pub(super) object_key: String,
    pub(super) multipart_id: Option<String>,
    pub(super) size: i64,
    pub(super) client_ip: Option<String>,
}

/// What an index is searched for.
#[derive(Clone, Copy)]
pub(super) enum Range {
    Id,
    Support,
    Multipart,
    Key,
    Name,
    Address,
    Size,
    /// With a state, where one is asked for.
    Owner,
    /// With a state, where one is asked for.
    Protocol,
    /// In this state, or all.
    State,
}

impl Range {
    /// At most `limit` rows of this range behind the id at the `edge`: the newest first, or, on the way back, the oldest.
    pub(super) fn rows(
        self,
        query: &UploadQuery,
        edge: Option<&str>,
        limit: u32,
        conn: &mut AnyConnection,
    ) -> QueryResult<Vec<Candidate>> {
        let mut rows = uploads::table
            .select(Candidate::as_select())
            .limit(i64::from(limit))
            .into_boxed();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let state = query.state.map(State::as_str);
        rows = match self {
            Self::Id => {
                rows.filter(uploads::id.eq(query.id.as_ref().map_or("", UploadId::as_str).to_owned()))
            }
            Self::Support => {
                let tail = query.support_code.map(SupportCode::id_tail);
                // Word for word as the index has it.
                rows.filter(sql::<Text>("substr(id, 23)").eq(tail.unwrap_or_default()))
            }
            Self::Multipart => rows.filter(uploads::multipart_id.eq(text(&query.multipart_id))),
            Self::Key => rows.filter(uploads::object_key.eq(text(&query.key))),
            Self::Name => rows.filter(uploads::filename.eq(text(&query.filename))),
            Self::Address => {
                let address = query.client_ip.map(|address| address.to_string());
                rows.filter(uploads::client_ip.eq(address.unwrap_or_default()))
            }
            Self::Size => {
                let size = query.size.and_then(|size| i64::try_from(size).ok());
                rows.filter(uploads::size.eq(size.unwrap_or_default()))
            }
            Self::Owner => {
                let owner = query.owner.as_ref().map_or("", Owner::as_str).to_owned();
                rows.filter(uploads::owner.eq(owner))
            }
            Self::Protocol => rows.filter(uploads::protocol.eq(text(&query.protocol))),
            Self::State => rows,
        };
        if let (Self::Owner | Self::Protocol | Self::State, Some(state)) = (self, state) {
            rows = rows.filter(uploads::state.eq(state));
        }
        let edge = edge.map(str::to_owned);
        let (above, below) = if query.is_back() {
            rows = rows.order(uploads::id.asc());
            (edge, query.upper().map(|id| id.to_string()))
        } else {
            rows = rows.order(uploads::id.desc());
            (None, edge)
        };
        if let Some(above) = above {
            rows = rows.filter(uploads::id.gt(above));
        }
        if let Some(below) = below {
            rows = rows.filter(uploads::id.lt(below));
        }
        if let Some(since) = query.since {
            rows = rows.filter(uploads::id.ge(UploadId::floor(since).to_string()));
        }
        rows.load(conn)
    }
}
