//! mule-uploader, second generation (February 2014 to 2016): the browser signs, with a key that we hand over.
//!
//! Separate, because it is the one place where anything that signs leaves the process. What leaves is the signing key of
//! the day of a credential that is there for this alone ([`MuleKeyConfig`](crate::config::MuleKeyConfig)); without one
//! there is no second generation. We make the upload ourselves and always answer with `key` and `upload_id`, so the
//! script neither begins one nor asks for a public object: it lists the parts, and sends those that are missing.

use std::time::Duration;

use actix_web::HttpResponse;
use chrono::SecondsFormat;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::Call;
use super::replies::fresh;
use super::request::Generation;
use super::rounds::ForcedRounds;
use crate::config::MuleConfig;
use crate::domain::{Checksums, Principal, Upload, UploadId};
use crate::error::Error;
use crate::uploads::{ArrivedPart, ListingQuery, Status, Uploads};

/// The refusal where the operator has set no credential for it.
const IS_OFF: Error = Error::Forbidden(
    "the second generation of mule-uploader is switched off here (protocols.mule.signing_key)",
);

/// The script joins the parts without a word to us. So we look, this long after it has told of the last one.
const LOOKS: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(50),
    Duration::from_mins(5),
];

/// Refuses everything while no credential is set for it.
pub fn check_is_on(settings: &MuleConfig) -> Result<(), Error> {
    if settings.signing_key.access_key_id.is_empty() {
        return Err(IS_OFF);
    }
    Ok(())
}

/// `signing_key`: a new upload, or the unfinished one of the same file and owner, with the key of the day.
///
/// A page that sets `extra_params` leaks `chunk`, `key`, `upload_id` and `force` into later calls: the first three say
/// nothing here, and the last costs nothing, because it never drops what the store has.
pub async fn signing_key(
    call: &Call<'_>,
    caller: &Principal,
    rounds: &ForcedRounds,
) -> Result<HttpResponse, Error> {
    let new = call.asked.new_upload(Generation::Second)?;
    let Status { upload, parts } = call.begin(caller, new, rounds).await?;
    // A page that was closed may have told of fewer than the store has, and its next life tells of those it sends.
    if !parts.is_empty() {
        let held = parts.into_iter().map(|part| ArrivedPart {
            number: part.number.get().into(),
            size: Some(part.size),
            etag: Some(part.etag),
            checksums: Checksums::default(),
        });
        call.uploads.record(caller, &upload.id, held.collect()).await?;
    }
    let key = call.uploads.hand_out_key(&upload).await?.ok_or(IS_OFF)?;
    Ok(fresh(&json!({
        // The last releases append a `Z` to everything that does not end in one.
        "date": key.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "signature": key.hex.expose_secret(),
        "access_key": key.access_key_id,
        "region": key.region,
        "bucket": key.bucket,
        "content_type": upload.content_type.as_str(),
        "key": upload.key.as_str(),
        "upload_id": upload.multipart_id,
    })))
}

/// Whether all parts of an upload of the second generation have been told of, so that only its end is to come, of which
/// nobody tells.
pub async fn is_about_to_end(uploads: &Uploads, caller: &Principal, upload: &Upload) -> Result<bool, Error> {
    if Generation::of(upload) != Generation::Second {
        return Ok(false);
    }
    let query = ListingQuery {
        multipart_id: upload.multipart_id.clone(),
        key: Some(upload.key.to_string()),
        limit: Some(1),
        ..ListingQuery::default()
    };
    let found = uploads.list(caller, query).await?.uploads;
    Ok(found
        .iter()
        .any(|summary| summary.parts_recorded >= upload.plan().part_count().into()))
}

/// Looks whether the script has joined the parts, so that whoever waits for the upload hears of it; where it never does,
/// or we are gone before, the sweeper looks when the upload expires.
pub fn look_for_the_end(uploads: Uploads, caller: Principal, id: UploadId) {
    actix_web::rt::spawn(async move {
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            match uploads.status(&caller, &id).await {
                Ok(status) if status.upload.state.is_unfinished() => {}
                Ok(_) => return,
                Err(error) => tracing::debug!(upload = %id, %error, "not known whether it was joined"),
            }
        }
    });
}
