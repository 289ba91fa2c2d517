//! What lets browsers send requests to the store themselves.
//!
//! Separate from the store's other requests, because none is sent here: the clients' bytes never pass through us, and all
//! that we do is sign.

use chrono::{DateTime, Utc};

use super::{S3Store, unsigned};
use crate::domain::ObjectKey;
use crate::error::Error;
use crate::signing::{MultipartUpload, Operation, PartSigner, SignedRequest, v2, v4};

impl S3Store {
    /// A signer for the parts of one upload, as browsers will send them.
    pub async fn part_signer(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        now: DateTime<Utc>,
    ) -> Result<PartSigner, Error> {
        let credentials = self.credentials.current(now).await?;
        let upload = MultipartUpload {
            key: key.as_str(),
            upload_id,
        };
        let location = &self.settings.public_location;
        PartSigner::new(
            &self.keys,
            location,
            &credentials,
            upload,
            now,
            self.settings.url_lifetime,
        )
        .map_err(unsigned)
    }

    /// A presigned URL for one request of the browser, and when it dies.
    pub async fn presign(
        &self,
        operation: Operation<'_>,
        key: &ObjectKey,
        now: DateTime<Utc>,
    ) -> Result<(SignedRequest, DateTime<Utc>), Error> {
        let credentials = self.credentials.current(now).await?;
        let lifetime = crate::signing::lifetime(self.settings.url_lifetime, &credentials, now);
        let location = &self.settings.public_location;
        let signed =
            v4::presign(operation, key.as_str(), location, &credentials, now, lifetime).map_err(unsigned)?;
        Ok((signed, now + lifetime))
    }

    /// The SigV2 signature of one request of the browser; `None` where SigV2 is not offered.
    pub fn sign_v2(
        &self,
        operation: Operation<'_>,
        content_type: &str,
        key: &ObjectKey,
        now: DateTime<Utc>,
    ) -> Result<Option<v2::HeaderSignature>, Error> {
        let Some(credentials) = &self.settings.signature_v2 else {
            return Ok(None);
        };
        let location = &self.settings.public_location;
        v2::sign(operation, key.as_str(), location, credentials, now, content_type)
            .map(Some)
            .map_err(unsigned)
    }
}
