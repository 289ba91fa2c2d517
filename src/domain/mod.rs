//! The vocabulary: what an upload is, what may become of it, and what is always true of it.
//!
//! An **upload** is one file on its way to one object. It is *direct* (we sign, the browser talks to S3) or
//! *relay* (the bytes pass through us). A **part** has a number from 1, a size in bytes and an `ETag`.
//! Everything here is a pure rule: no async, no I/O, no web or database types, so every rule can be tested
//! beside its code in microseconds.

mod address;
mod appending;
mod backend;
mod bounds;
mod checksum;
mod content;
mod cut;
mod event;
mod folder;
mod id;
mod members;
mod metadata;
mod name;
mod new_upload;
mod owner;
mod part;
mod plan;
mod policy;
mod prefix;
mod principal;
mod quota;
mod rate;
mod scan;
mod sniff;
mod sums;
mod support;
mod upload;
mod webhook;

pub use address::{AllowedHosts, is_loopback, network};
pub use appending::{Appending, CONTENT_ENCODING_FIELD, Length, NewAppending, Role};
pub use backend::Backend;
pub use bounds::Bounds;
pub use checksum::{Algorithm, Checksum, Hasher, Sha256Sum};
pub use content::Sniffing;
pub use cut::{Cut, NamedPart, bare_etag, check_chosen, check_joinable, check_one_cut, resumable_parts};
pub use event::{LogDetail, LogEntry, LogKind};
pub use folder::Folder;
pub use id::{IdMark, UploadId};
pub use members::{from_object, read_object};
pub use metadata::{check_object_metadata, object_metadata, told_size};
pub use name::{FileName, KeyTemplate, ObjectKey, with_directions_shown};
pub use new_upload::{Naming, NewUpload, Wishes};
pub use owner::Owner;
pub use part::{PartDefect, PartNumber, PartSet, StoredPart, check_etag, check_whole};
pub use plan::{MAX_PART_SIZE, MAX_PARTS, PartLimits, PartPlan, PartSizes};
pub use policy::{MediaType, Policy};
pub use prefix::KeyPrefix;
pub use principal::{Grant, Principal};
pub use quota::{Quota, Quotas, Usage};
pub use rate::Meter;
pub use scan::{Opinion, Scan, ScanState};
pub use sniff::SNIFFED;
pub use sums::{CheckedBy, Checksums, WantedChecksum, joined};
pub use support::SupportCode;
pub use upload::{Fingerprint, State, Transfer, Upload};
pub use webhook::{EventId, EventKind, EventState, WebhookEvent, WebhookUrl, signing_key};
