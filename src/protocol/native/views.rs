//! The JSON that goes out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Algorithm, Checksum, Checksums, Grant, Policy, Principal, State, StoredPart, SupportCode, Transfer,
};
use crate::identity::Scopes;
use crate::uploads::{PartChecksum, RecordedPart, Status};

/// A part that the store holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartView {
    /// From 1.
    number: u16,
    /// Bytes.
    size: u64,
    /// The store's tag.
    etag: String,
    /// Whether its checksum is on record, where the upload has a `checksum`: tell those of the others before completing.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_summed: Option<bool>,
}

/// How each part is sent with a checksum.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChecksumView {
    /// `crc64nvme`, `crc32c` or `md5`.
    algorithm: &'static str,
    /// The header to send it in, in base64.
    header: &'static str,
    /// Whether it is signed: then it is told when the part is, and the header must be sent.
    signed: bool,
}

impl From<PartChecksum> for ChecksumView {
    fn from(checksum: PartChecksum) -> Self {
        Self {
            algorithm: checksum.algorithm.name(),
            header: header_of(checksum.algorithm),
            signed: checksum.is_signed,
        }
    }
}

/// The header that S3 reads a checksum from.
pub(super) fn header_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "x-amz-checksum-crc32",
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        Algorithm::Sha1 => "x-amz-checksum-sha1",
        Algorithm::Sha256 => "x-amz-checksum-sha256",
        Algorithm::Sha512 => "x-amz-checksum-sha512",
        Algorithm::Md5 => "content-md5",
    }
}

/// What else is known of an upload's bytes while they come.
#[derive(Debug, Default)]
pub struct Sums {
    /// How its parts are sent with a checksum.
    pub checksum: Option<PartChecksum>,
    /// The checksums on record, by the parts' numbers.
    pub recorded: BTreeMap<u16, Checksums>,
}

impl PartView {
    fn new(part: &StoredPart, sums: &Sums) -> Self {
        Self {
            number: part.number.get(),
            size: part.size,
            etag: part.etag.clone(),
            is_summed: sums
                .checksum
                .map(|_| sums.recorded.contains_key(&part.number.get())),
        }
    }
}

/// A part that passed through us.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedView {
    /// From 1.
    number: u16,
    /// Bytes.
    size: u64,
    /// The store's tag.
    etag: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    sha256: Option<String>,
    /// Their CRC-64/NVME, in base64.
    crc64nvme: Option<String>,
}

impl ReceivedView {
    /// A part that is stored and recorded.
    pub fn new(part: &RecordedPart) -> Self {
        Self {
            number: part.number.get(),
            size: part.size,
            etag: part.etag.clone(),
            sha256: part.sha256.map(|sum| sum.to_string()),
            crc64nvme: part.checksums.get(Algorithm::Crc64Nvme).map(Checksum::to_base64),
        }
    }
}

/// An upload.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadView {
    /// Our id.
    id: String,
    /// By which its sender names it to whoever helps them: read out, not secret.
    support_code: String,
    /// `open`, `completing`, `complete`, `aborted`, `expired` or `failed`.
    state: &'static str,
    /// Whether all of it is there, and a scanner looks at it before it is complete.
    scanning: bool,
    /// `direct`: the bytes go straight to the store. `relay`: they pass through the server.
    transfer: &'static str,
    /// The object's bucket.
    bucket: String,
    /// The object's key, made by us.
    key: String,
    /// The store's id of the multipart upload; `null` for an empty file, which needs none.
    upload_id: Option<String>,
    /// The file's name.
    filename: String,
    /// The file's bytes; `null` while their number is not known.
    size: Option<u64>,
    /// The bytes that are there of an upload that is appended to; `null` for one that is sent in parts.
    offset: Option<u64>,
    /// Its media type.
    content_type: String,
    /// Bytes of every part but the last.
    part_size: u64,
    /// How many parts; 0 for an empty file, which can be completed at once.
    part_count: u32,
    /// The parts that the store holds, each of the right size; empty once the upload has ended.
    parts: Vec<PartView>,
    /// How each part is sent with a checksum; `null` where none is asked for, and once the upload has ended.
    checksum: Option<ChecksumView>,
    /// Whatever the application keeps beside it.
    metadata: BTreeMap<String, String>,
    /// A bearer token for this upload alone; `null` for an admin who is not its owner.
    token: Option<String>,
    /// When it began.
    created_at: DateTime<Utc>,
    /// When it is given up if nothing happens.
    expires_at: DateTime<Utc>,
    /// The finished object's address; `null` before.
    location: Option<String>,
    /// The finished object's tag.
    etag: Option<String>,
}

impl UploadView {
    /// The upload with its address once it is complete.
    pub fn new(
        status: &Status,
        sums: &Sums,
        location: String,
        token: Option<String>,
        scanning: bool,
    ) -> Self {
        let upload = &status.upload;
        let complete = upload.state == State::Complete;
        Self {
            id: upload.id.to_string(),
            support_code: SupportCode::of(&upload.id).to_string(),
            state: upload.state.as_str(),
            scanning,
            transfer: upload.transfer.as_str(),
            bucket: upload.bucket.clone(),
            key: upload.key.to_string(),
            upload_id: upload.multipart_id.clone(),
            filename: upload.filename.as_str().to_owned(),
            size: upload.known_size(),
            offset: upload.offset(),
            content_type: upload.content_type.as_str().to_owned(),
            part_size: upload.part_size,
            part_count: upload.plan().part_count(),
            parts: status
                .parts
                .iter()
                .map(|part| PartView::new(part, sums))
                .collect(),
            checksum: sums.checksum.map(ChecksumView::from),
            metadata: upload.metadata.clone(),
            token,
            created_at: upload.created_at,
            expires_at: upload.expires_at,
            location: complete.then_some(location),
            etag: upload.etag.clone().filter(|_| complete),
        }
    }
}

/// Who is asking, and what they may send.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Whose uploads are theirs; `null` for nobody.
    owner: Option<String>,
    /// `api-key`, `application`, `upload-token`, `anonymous` or `none`.
    kind: &'static str,
    /// What they may do.
    scopes: Vec<&'static str>,
    /// Whether visitors without any credential may upload.
    anonymous_allowed: bool,
    /// What may be uploaded.
    limits: LimitsView,
    /// Our clock, so that no page has to trust its own.
    server_time: DateTime<Utc>,
}

/// What may be uploaded, and how.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsView {
    /// How new uploads travel. `direct`: the bytes go straight to the store. `relay`: they pass through the server, and
    /// nothing is signed.
    transfer: &'static str,
    /// Most bytes of one file.
    max_size: u64,
    /// Bytes of a part, unless more are needed.
    default_part_size: u64,
    /// Least bytes of every part but the last.
    min_part_size: u64,
    /// Most parts of one file.
    max_parts: u32,
    /// Accepted media types; empty for all.
    types: Vec<String>,
}

impl SessionView {
    /// What `caller` is told.
    pub fn new(
        caller: Option<&Principal>,
        anonymous_allowed: bool,
        policy: &Policy,
        transfer: Transfer,
        server_time: DateTime<Utc>,
    ) -> Self {
        let kind = match caller {
            None => "none",
            Some(caller) if caller.owner.is_visitor() => "anonymous",
            Some(Principal {
                grant: Grant::OneUpload(_),
                ..
            }) => "upload-token",
            Some(caller) if caller.is_of_application() => "application",
            Some(_) => "api-key",
        };
        Self {
            owner: caller.map(|caller| caller.owner.to_string()),
            kind,
            scopes: caller
                .map(|caller| Scopes::of(&caller.grant).names())
                .unwrap_or_default(),
            anonymous_allowed,
            limits: LimitsView {
                transfer: transfer.as_str(),
                max_size: policy.max_size(),
                default_part_size: policy.parts.preferred,
                min_part_size: policy.parts.min,
                max_parts: policy.parts.most,
                types: policy.types.clone().unwrap_or_default(),
            },
            server_time,
        }
    }
}
