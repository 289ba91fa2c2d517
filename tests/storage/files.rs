//! Uploads, their bytes, and the bodies that these come in.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::Utc;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use muleteer::domain::{
    Appending, Cut, FileName, Fingerprint, Length, MediaType, NewAppending, ObjectKey, Owner, PartNumber,
    Role, Sha256Sum, State, StoredPart, Transfer, Upload, UploadId,
};
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation, Storage};
use sha2::{Digest as _, Sha256};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;

/// Bytes that look like no others: neither shifted nor mixed up do they pass for themselves.
pub fn bytes_of(size: u64, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(usize::try_from(size).expect("a file of a test fits into memory"));
    bytes.into()
}

/// An upload that no storage knows yet, under a key of its own.
pub fn upload_of(size: u64, part_size: u64) -> Upload {
    upload_named("files", "file.bin", size, part_size)
}

pub fn upload_named(folder: &str, name: &str, size: u64, part_size: u64) -> Upload {
    let now = Utc::now();
    let id = UploadId::generate(now);
    let filename = FileName::new(name).expect("a file's name");
    Upload {
        owner: Owner::named("anna").expect("an owner"),
        state: State::Open,
        transfer: Transfer::Relay,
        protocol: "test".to_owned(),
        size,
        content_type: MediaType::new("application/octet-stream").expect("a media type"),
        last_modified: None,
        fingerprint: Fingerprint::new(None, &filename, size, None),
        filename,
        metadata: BTreeMap::new(),
        bucket: String::new(),
        key: ObjectKey::path(&format!("{folder}/{id}_{name}")).expect("a key"),
        storage: muleteer::domain::Backend::Local,
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
        expires_at: now + chrono::TimeDelta::hours(1),
        id,
    }
}

/// An upload that is appended to and becomes a piece of others.
pub fn partial_of(size: u64) -> Upload {
    let mut upload = upload_of(size, MIB);
    upload.key = ObjectKey::path(&format!(".muleteer/{}/whole", upload.id)).expect("a key");
    upload.appending = Some(Appending::new(NewAppending {
        role: Role::Partial,
        ..NewAppending::default()
    }));
    upload
}

/// An upload that is appended to and whose length is not known yet.
pub fn deferred() -> Upload {
    let mut upload = upload_of(0, MIB);
    upload.appending = Some(Appending::new(NewAppending {
        is_deferred: true,
        ..NewAppending::default()
    }));
    upload
}

/// The same upload once its length is told.
pub fn declared(upload: &Upload, size: u64) -> Upload {
    let mut upload = upload.clone();
    upload.size = size;
    if let Some(appending) = &mut upload.appending {
        appending.length = Length::Declared;
    }
    upload
}

/// The same upload as somebody sees it who has begun to append after `fence - 1` others.
pub fn fenced(upload: &Upload, fence: u64) -> Upload {
    let mut upload = upload.clone();
    let appending = upload
        .appending
        .get_or_insert_with(|| Appending::new(NewAppending::default()));
    appending.fence = fence;
    upload
}

/// A partial upload of these bytes.
pub async fn partial(store: &dyn Storage, bytes: &Bytes) -> Upload {
    let upload = begin(store, partial_of(bytes.len() as u64)).await;
    let offset = store
        .append(&upload, 0, open_body(bytes))
        .await
        .expect("it is appended");
    assert_eq!(offset, upload.size);
    upload
}

/// Begins an upload.
pub async fn begin(store: &dyn Storage, mut upload: Upload) -> Upload {
    upload.storage = store.backend();
    upload.multipart_id = store.begin(&upload).await.expect("it begins");
    upload
}

pub fn number(n: u64) -> PartNumber {
    PartNumber::new(n, "part").expect("a part's number")
}

pub fn sum(bytes: &[u8]) -> Sha256Sum {
    Sha256Sum::new(Sha256::digest(bytes).into())
}

/// The bytes of part `n` in those of the file.
pub fn part_of(upload: &Upload, file: &Bytes, n: u64) -> Bytes {
    let start = (n - 1) * upload.part_size;
    let size = upload
        .plan()
        .size_of(number(n))
        .expect("the upload has this part");
    let at = |offset: u64| usize::try_from(offset).expect("it fits");
    file.slice(at(start)..at(start + size))
}

/// Pieces as they come from a connection, of odd sizes.
pub fn pieces(bytes: &Bytes) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    let mut rest = bytes.clone();
    let sizes = [1usize, 1460, 16 << 10, 65_537, 300_001];
    let mut pieces = Vec::new();
    for size in sizes.into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        pieces.push(Ok(rest.split_to(size.min(rest.len()))));
    }
    stream::iter(pieces)
}

/// A whole body of exactly these bytes.
pub fn body(bytes: &Bytes) -> Body {
    Body::new(pieces(bytes), Expectation::exactly(bytes.len() as u64, None))
}

/// A body whose every byte counts.
pub fn open_body(bytes: &Bytes) -> Body {
    Body::new(pieces(bytes), Expectation::at_most(bytes.len() as u64))
}

/// A body that brings these bytes and fails.
pub fn cut_body(bytes: &Bytes, expected: Expectation) -> Body {
    Body::new(pieces(bytes).chain(stream::iter([Err(BodyError::Cut)])), expected)
}

/// Every way in which a body of a part of `length` bytes can go wrong, each with what it has to become.
pub fn wrong_bodies(length: u64) -> Vec<(&'static str, Body)> {
    let other = bytes_of(length + 1, 999);
    let part = |n: u64| other.slice(..usize::try_from(n).expect("it fits"));
    let exactly = || Expectation::exactly(length, None);
    let claimed = Expectation::exactly(length, Some(sum(b"something else")));
    vec![
        ("cut at once", cut_body(&Bytes::new(), exactly())),
        ("cut in the middle", cut_body(&part(length / 2), exactly())),
        ("cut before the last byte", cut_body(&part(length - 1), exactly())),
        ("too short", Body::new(pieces(&part(length - 1)), exactly())),
        ("too long", Body::new(pieces(&other), exactly())),
        ("another digest", Body::new(pieces(&part(length)), claimed)),
    ]
}

/// Whether an error says what became of a body.
pub fn is_of_a_body(error: &Error) -> bool {
    matches!(
        error,
        Error::Interrupted | Error::WrongSize { .. } | Error::ChecksumMismatch { .. } | Error::Superseded
    )
}

/// Stores all parts of a file, one after the other.
pub async fn put_all(store: &dyn Storage, upload: &Upload, file: &Bytes) {
    for n in 1..=u64::from(upload.plan().part_count()) {
        put(store, upload, file, n).await;
    }
}

pub async fn put(store: &dyn Storage, upload: &Upload, file: &Bytes, n: u64) -> StoredPart {
    let bytes = part_of(upload, file, n);
    let stored = store
        .put(upload, number(n), body(&bytes))
        .await
        .expect("it is stored");
    assert_eq!((stored.number, stored.size), (number(n), bytes.len() as u64));
    stored
}

/// The numbers and sizes of what is stored.
pub async fn stored(store: &dyn Storage, upload: &Upload) -> Vec<(u16, u64)> {
    let parts = store.parts(upload).await.expect("the parts");
    parts.iter().map(|part| (part.number.get(), part.size)).collect()
}

/// Finishes an upload and compares its object with `file`.
pub async fn finish(store: &dyn Storage, upload: &Upload, file: &Bytes) {
    let parts = store.parts(upload).await.expect("the parts");
    store.finish(upload, &parts).await.expect("it is finished");
    assert_is_there(store, upload, file).await;
}

/// Finishes an upload that was appended to.
pub async fn finish_appended(store: &dyn Storage, upload: &Upload, file: &Bytes) {
    store.finish(upload, &[]).await.expect("it is finished");
    assert_is_there(store, upload, file).await;
}

pub async fn assert_is_there(store: &dyn Storage, upload: &Upload, file: &Bytes) {
    let found = store.find(&upload.key).await.expect("the question is answered");
    assert_eq!(found.map(|object| object.size), Some(file.len() as u64));
    let read = read(store, &upload.key, None).await;
    assert!(read == *file, "the object has other bytes");
}

pub async fn read(store: &dyn Storage, key: &ObjectKey, range: Option<std::ops::Range<u64>>) -> Bytes {
    let pieces: Vec<Bytes> = store
        .read(key, range)
        .await
        .expect("it can be read")
        .try_collect()
        .await
        .expect("it is read to the end");
    pieces.concat().into()
}
