//! A client's file in the words of the domain.
//!
//! Separate, because what a file is called here and where it goes has nothing to do with how it comes.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::Door;
use super::signals::Metadata;
use crate::domain::{FileName, Folder, MediaType, Naming, NewAppending, NewUpload, Transfer, Wishes};
use crate::error::Error;
use crate::uploads::Uploads;

/// The upload that a client asks for.
///
/// # Errors
/// [`Error::Invalid`] on `name`, [`Error::TooLarge`].
pub fn new_upload(metadata: &Metadata, door: &Door, uploads: &Uploads) -> Result<NewUpload, Error> {
    let (size, limit) = (metadata.size, door.max_size(uploads));
    if size > limit {
        return Err(Error::TooLarge { limit, size });
    }
    let filename = FileName::new(&metadata.name).map_err(|mut error| {
        "name".clone_into(&mut error.field);
        Error::Invalid(vec![error])
    })?;
    let hours = i64::try_from(door.settings.ttl_hours).unwrap_or(i64::MAX / 3600);
    Ok(NewUpload {
        content_type: MediaType::of_name(&filename),
        filename,
        size,
        last_modified: None,
        // Every upload stands for itself: it is its id that goes on.
        fingerprint: Some(format!("galileo\0{}", Uuid::new_v4())),
        metadata: BTreeMap::new(),
        part_size: None,
        transfer: Transfer::Relay,
        wishes: Wishes {
            naming: Naming::Folder(Folder::default()),
            time_to_live: Some(TimeDelta::hours(hours)),
            appending: Some(NewAppending::default()),
            ..Wishes::default()
        },
        protocol: super::PROTOCOL.name,
    })
}
