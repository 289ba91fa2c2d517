//! Uploads in a list: which of them are asked for, and one page of them.
//!
//! Separate from the uploads' handlers, because here no upload is named: a query says which are meant, and each is told in
//! one line.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, fresh};
use crate::domain::{State, SupportCode, UploadId};
use crate::error::{Error, FieldError};
use crate::uploads::{Listing, ListingQuery, UploadSummary, Uploads};
use crate::web::{auth, body};

/// Which uploads to list; every parameter narrows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListUploads {
    /// `open`, `completing`, `complete`, `aborted`, `expired` or `failed`.
    state: Option<String>,
    /// The protocol that began them, such as `native` or `tus`.
    protocol: Option<String>,
    /// Exactly this file name.
    filename: Option<String>,
    /// A file name that begins so; of very many, the first ten thousand in the order of their names.
    filename_prefix: Option<String>,
    /// Exactly this object key.
    key: Option<String>,
    /// Exactly this multipart upload id of the store.
    upload_id: Option<String>,
    /// Exactly so many bytes.
    #[param(value_type = Option<u64>)]
    size: Option<String>,
    /// Begun from this IP address; needs the scope `admin`.
    client_ip: Option<String>,
    /// The code that the uploader's page shows.
    support_code: Option<String>,
    /// Begun at this time or later: RFC 3339.
    #[param(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    since: Option<String>,
    /// Begun before this time: RFC 3339.
    #[param(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    until: Option<String>,
    /// Whose uploads; somebody else's need the scope `admin`.
    owner: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `previous_cursor` of the page behind, for the way back; without `cursor`.
    after: Option<String>,
    /// Most uploads on the page: 50 if absent, at most 200.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
}

impl ListUploads {
    /// The query in the verbs' words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every bad parameter at once.
    pub fn parse(self) -> Result<ListingQuery, Error> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut bad = Vec::new();
        let time = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(DateTime::<Utc>::from);
        let id = |text: &str| UploadId::parse(text).ok();
        let limited = |text: &str| text.parse().ok().filter(|limit| (1..=200).contains(limit));
        let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        let states = format!("is one of {}", states.join(", "));
        let query = ListingQuery {
            state: read(&mut bad, "state", &states, self.state, State::parse),
            size: read(&mut bad, "size", "is a number of bytes", self.size, |text| {
                text.parse().ok()
            }),
            client_ip: read(
                &mut bad,
                "client_ip",
                "is an IP address",
                self.client_ip,
                |text| text.parse().ok(),
            ),
            support_code: read(
                &mut bad,
                "support_code",
                "has eight letters and digits, such as 7K3M-0Q9X",
                self.support_code,
                SupportCode::parse,
            ),
            since: read(&mut bad, "since", "is a time in RFC 3339", self.since, time),
            until: read(&mut bad, "until", "is a time in RFC 3339", self.until, time),
            cursor: read(
                &mut bad,
                "cursor",
                "is the next_cursor of an earlier page",
                self.cursor,
                id,
            ),
            after: read(&mut bad, "after", "is a previous_cursor", self.after, id),
            limit: read(&mut bad, "limit", "is 1 to 200", self.limit, limited),
            owner: given(self.owner),
            protocol: given(self.protocol),
            filename: given(self.filename),
            filename_prefix: given(self.filename_prefix),
            key: given(self.key),
            multipart_id: given(self.upload_id),
            sizes: None,
            id: None,
        };
        if query.cursor.is_some() && query.after.is_some() {
            bad.push(FieldError::new("after", "leads back, and goes without cursor"));
        }
        if bad.is_empty() {
            Ok(query)
        } else {
            Err(Error::Invalid(bad))
        }
    }
}

/// A parameter that was given, as `parse` reads it; where that fails, `rule` is said of `field`.
fn read<T>(
    bad: &mut Vec<FieldError>,
    field: &str,
    rule: &str,
    text: Option<String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = text.filter(|text| !text.is_empty())?;
    let value = parse(&text);
    if value.is_none() {
        bad.push(FieldError::new(field, rule));
    }
    value
}

/// One upload in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadLine {
    id: String,
    support_code: String,
    state: &'static str,
    transfer: &'static str,
    protocol: String,
    owner: String,
    filename: String,
    size: Option<u64>,
    bucket: String,
    key: String,
    upload_id: Option<String>,
    part_size: u64,
    part_count: u32,
    /// Parts whose arrival was recorded.
    parts_recorded: u64,
    /// Their bytes, or those that were appended.
    bytes_recorded: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    location: Option<String>,
}

/// One page of uploads.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadPage {
    /// Newest first.
    uploads: Vec<UploadLine>,
    /// Ask with it as `cursor` for the next page; `null` on the last.
    next_cursor: Option<String>,
    /// Ask with it as `after` for the page before; `null` on the first.
    previous_cursor: Option<String>,
}

impl UploadPage {
    /// The page in JSON words.
    pub fn new(listing: &Listing, uploads: &Uploads) -> Self {
        let line = |summary: &UploadSummary| {
            let upload = &summary.upload;
            UploadLine {
                id: upload.id.to_string(),
                support_code: SupportCode::of(&upload.id).to_string(),
                state: upload.state.as_str(),
                transfer: upload.transfer.as_str(),
                protocol: upload.protocol.clone(),
                owner: upload.owner.to_string(),
                filename: upload.filename.as_str().to_owned(),
                size: upload.known_size(),
                bucket: upload.bucket.clone(),
                key: upload.key.to_string(),
                upload_id: upload.multipart_id.clone(),
                part_size: upload.part_size,
                part_count: upload.plan().part_count(),
                parts_recorded: summary.parts_recorded,
                bytes_recorded: summary.bytes_recorded,
                created_at: upload.created_at,
                updated_at: upload.updated_at,
                expires_at: upload.expires_at,
                location: (upload.state == State::Complete).then(|| uploads.location(upload)),
            }
        };
        Self {
            uploads: listing.uploads.iter().map(line).collect(),
            next_cursor: listing.next.as_ref().map(ToString::to_string),
            previous_cursor: listing.previous.as_ref().map(ToString::to_string),
        }
    }
}

/// Uploads, newest first, in cursor pages: with the scope `admin` everybody's, else your own.
#[utoipa::path(tag = "uploads", params(ListUploads), responses(
    (status = 200, body = UploadPage),
    (status = 400, description = "`errors` names each bad parameter"),
    (status = 403, description = "Somebody else's uploads need the scope `admin`"),
))]
#[get("/uploads")]
pub(super) async fn list(request: HttpRequest, uploads: Data<Uploads>) -> Answer {
    let query = body::query::<ListUploads>(&request)?.parse()?;
    let caller = auth::caller_or_newcomer(&request).await?;
    let listing = uploads.list(&caller, query).await?;
    Ok(fresh(HttpResponse::Ok(), &UploadPage::new(&listing, &uploads)))
}
