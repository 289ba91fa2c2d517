//! The store's requests: each verb is one signed request.
//!
//! Separate from `signing`, which sends nothing, from `sending`, which asks again where that may help, and from `answers`
//! and `documents`, which know how stores differ.

pub(crate) mod answers;
mod append;
mod appended;
mod browsers;
mod bytes_through;
mod checks;
mod documents;
mod gather;
mod held;
mod intake;
mod join;
mod join_plan;
mod joined;
mod listings;
mod observed;
mod relay;
mod sending;
mod sts;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use self::browsers::Binds;
pub use self::checks::is_signed;
pub(crate) use self::join::completion_list;
pub use self::relay::S3Relay;
use self::sending::http_client;
use self::sts::Sts;
pub use self::sts::StsSettings;
use super::StoredObject;
use super::credentials::CredentialSource;
use crate::domain::{MediaType, ObjectKey, StoredPart, Upload, WantedChecksum};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::signing::{BucketLocation, Credentials, ObjectHeaders, Operation, SigningKeys};

/// Most pages of a part list: ten of a thousand, and room for stores with smaller pages.
const MAX_PAGES: usize = 200;

/// How a bucket is reached.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The bucket as we reach it.
    pub location: BucketLocation,
    /// The bucket as browsers reach it.
    pub public_location: BucketLocation,
    /// How long a presigned URL lives.
    pub url_lifetime: Duration,
    /// How long an answer to a request without bytes of files may take.
    pub answer_timeout: Duration,
    /// A long-term key for SigV2 alone, which its clients can use where it is given.
    pub signature_v2: Option<Credentials>,
    /// A long-term key of which clients get the signing key of the day, where it is given; never that of the store.
    pub handed_out: Option<Credentials>,
    /// How browsers get temporary credentials, where they do.
    pub sts: Option<StsSettings>,
    /// The checksum that parts are sent with.
    pub checksum: WantedChecksum,
}

/// One bucket.
pub struct S3Store {
    settings: StoreSettings,
    credentials: CredentialSource,
    keys: SigningKeys,
    http: reqwest::Client,
    sts: Option<Sts>,
    metrics: Metrics,
    /// Whether the store makes checksums of parts, as far as it has said so.
    makes_checksums: AtomicBool,
    /// When the store was last asked for no other reason than whether it takes our credentials.
    tried: tokio::sync::Mutex<Option<Instant>>,
}

impl S3Store {
    /// A store with its own connections.
    ///
    /// # Errors
    /// [`Error::Internal`] where the TLS roots of this machine cannot be read.
    pub fn new(settings: StoreSettings, credentials: CredentialSource) -> Result<Self, Error> {
        Ok(Self {
            http: http_client(settings.location.host())?,
            sts: settings.sts.clone().map(Sts::new).transpose()?,
            settings,
            credentials,
            keys: SigningKeys::new(),
            metrics: Metrics::off(),
            makes_checksums: AtomicBool::new(false),
            tried: tokio::sync::Mutex::default(),
        })
    }

    /// The same, counted.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        self.settings.location.bucket()
    }

    /// The address of an object as browsers reach it.
    pub fn public_url(&self, key: &ObjectKey) -> String {
        self.settings.public_location.url(key.as_str())
    }

    /// Where browsers send parts to, as `scheme://host[:port]`.
    pub fn public_origin(&self) -> String {
        self.settings.public_location.origin()
    }

    /// Asks whether the bucket is there and we may use it.
    pub async fn check(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let listing = Operation::ListMultipartUploads {
            prefix: None,
            key_marker: None,
            upload_id_marker: None,
            max_uploads: Some(1),
        };
        self.send(listing, "", now, Bytes::new())
            .await?
            .success()
            .map(drop)
    }

    /// Begins a multipart upload: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>.
    /// Type, name and encoding travel with the object.
    pub async fn begin(&self, upload: &Upload, now: DateTime<Utc>) -> Result<String, Error> {
        let (disposition, fields) = (upload.filename.content_disposition(), upload.stored_fields());
        let extra = borrowed(&fields);
        let headers = object_headers(&upload.content_type, &disposition, &extra);
        let create = Operation::CreateMultipartUpload { headers };
        self.send(create, upload.key.as_str(), now, Bytes::new())
            .await?
            .multipart_id()
    }

    /// All parts that the store holds, ascending: every page of
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>.
    ///
    /// # Errors
    /// [`Error::Vanished`] for an upload that the store does not know.
    pub async fn list_parts(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<StoredPart>, Error> {
        let mut all: Vec<StoredPart> = Vec::new();
        let mut marker = None;
        for _ in 0..MAX_PAGES {
            let list = Operation::ListParts {
                upload_id,
                marker,
                max_parts: Some(1000),
            };
            let (page, next) = self.send(list, key.as_str(), now, Bytes::new()).await?.parts()?;
            all.extend(page);
            // A marker that does not move on would go round for ever.
            match next.filter(|next| marker.is_none_or(|seen| *next > seen)) {
                Some(next) => marker = Some(next),
                None => break,
            }
        }
        all.sort_unstable_by_key(|part| part.number);
        all.dedup_by_key(|part| part.number);
        Ok(all)
    }

    /// Joins the parts, all of them, in order; gives the object's tag where the store tells it:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>.
    ///
    /// # Errors
    /// [`Error::Vanished`] also when an earlier request joined them already; [`Error::StoreRefused`].
    pub async fn finish(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        parts: &[StoredPart],
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Error> {
        let complete = Operation::CompleteMultipartUpload { upload_id };
        self.send(complete, key.as_str(), now, completion_list(parts))
            .await?
            .completed()
            .map(|completed| completed.etag)
    }

    /// Drops a multipart upload; one that the store does not know is fine.
    pub async fn abort(&self, key: &ObjectKey, upload_id: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let abort = Operation::AbortMultipartUpload { upload_id };
        match self.send(abort, key.as_str(), now, Bytes::new()).await?.success() {
            Ok(_) | Err(Error::Vanished) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Drops all multipart uploads of a key but the one with the id `kept`: a client that begins them itself may have
    /// begun several.
    pub async fn abort_others(
        &self,
        key: &ObjectKey,
        kept: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        for id in self.multipart_ids(key, now).await? {
            if kept != Some(id.as_str()) {
                self.abort(key, &id, now).await?;
            }
        }
        Ok(())
    }

    /// The object under `key`, if there is one.
    pub async fn head(&self, key: &ObjectKey, now: DateTime<Utc>) -> Result<Option<StoredObject>, Error> {
        let look = || self.send(Operation::HeadObject, key.as_str(), now, Bytes::new());
        let mut answer = look().await?;
        // A HEAD has no body that could name an error code. Whether it was for the credentials shows in a request that has.
        if matches!(answer.status, 400 | 403) && self.credentials.is_renewed() {
            if let Err(error @ Error::CredentialsExpired) = self.check(now).await {
                return Err(error);
            }
            answer = look().await?;
        }
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = answer.success()?;
        Ok(answer.content_length.map(|size| StoredObject {
            size,
            etag: answer.etag,
        }))
    }

    /// Stores an object of no bytes: some stores take no multipart upload without any.
    pub async fn put_empty(&self, upload: &Upload, now: DateTime<Utc>) -> Result<Option<String>, Error> {
        let (disposition, fields) = (upload.filename.content_disposition(), upload.stored_fields());
        let extra = borrowed(&fields);
        let headers = object_headers(&upload.content_type, &disposition, &extra);
        let put = Operation::PutObject {
            content_length: Some(0),
            headers,
        };
        Ok(self
            .send(put, upload.key.as_str(), now, Bytes::new())
            .await?
            .success()?
            .etag)
    }
}

fn object_headers<'a>(
    kind: &'a MediaType,
    disposition: &'a str,
    extra: &'a [(&'a str, &'a str)],
) -> ObjectHeaders<'a> {
    ObjectHeaders {
        content_type: Some(kind.as_str()),
        content_disposition: Some(disposition),
        extra,
    }
}

/// Header fields as the signer takes them.
fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
