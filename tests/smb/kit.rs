//! Uploads and bodies to test with.

use bytes::Bytes;
use chrono::Utc;
use futures_util::{StreamExt as _, TryStreamExt as _};
use muleteer::domain::{
    Backend, Cut, FileName, Fingerprint, MediaType, ObjectKey, Owner, PartNumber, State, Transfer, Upload,
    UploadId,
};
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation, SmbStore, Storage as _};

/// An upload of `size` bytes in parts of `part_size`, under `key` behind its id.
pub fn upload(size: u64, part_size: u64, key: &str) -> Upload {
    let now = Utc::now();
    let id = UploadId::generate(now);
    let filename = FileName::new("x").unwrap();
    Upload {
        key: ObjectKey::path(&format!("files/{id}_{key}")).unwrap(),
        id,
        owner: Owner::named("tests").unwrap(),
        state: State::Open,
        transfer: Transfer::Relay,
        protocol: "tests".into(),
        fingerprint: Fingerprint::new(None, &filename, size, None),
        filename,
        size,
        content_type: MediaType::new("application/octet-stream").unwrap(),
        last_modified: None,
        metadata: std::collections::BTreeMap::new(),
        bucket: String::new(),
        storage: Backend::Smb,
        multipart_id: None,
        part_size,
        etag: None,
        sha256: None,
        webhook_url: None,
        appending: None,
        cut: Cut::default(),
        client_ip: None,
        bounds: muleteer::domain::Bounds::default(),
        created_at: now,
        updated_at: now,
        expires_at: now,
    }
}

pub fn number(n: u64) -> PartNumber {
    PartNumber::new(n, "number").unwrap()
}

/// `length` bytes that say where in which part they are, to 4 KiB.
pub fn bytes_of(part: u64, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length + 4096);
    let mut counter = 0_u64;
    while bytes.len() < length {
        let mark = [part.to_le_bytes(), counter.to_le_bytes()].concat();
        bytes.extend_from_slice(&mark.repeat(256));
        counter += 1;
    }
    bytes.truncate(length);
    bytes.into()
}

/// A body of these bytes in pieces, with a pause in front of each.
pub fn slowly(bytes: &Bytes, piece: usize, pause: std::time::Duration) -> Body {
    let length = bytes.len() as u64;
    let pieces: Vec<Bytes> = bytes.chunks(piece).map(|piece| bytes.slice_ref(piece)).collect();
    let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok(piece)
    });
    Body::new(pieces, Expectation::exactly(length, None))
}

/// A body that ends with `failure` behind these bytes.
pub fn failing(bytes: Bytes, failure: BodyError, expected: Expectation) -> Body {
    let pieces = futures_util::stream::iter([Ok(bytes), Err(failure)]);
    Body::new(pieces, expected)
}

/// Everything that lies under an upload's key.
pub async fn object(store: &SmbStore, upload: &Upload) -> Result<Vec<u8>, Error> {
    let pieces: Vec<Bytes> = store.read(&upload.key, None).await?.try_collect().await?;
    Ok(pieces.concat())
}
