//! What lets browsers send requests to the store themselves.
//!
//! Separate from the store's other requests, because none is sent here: the clients' bytes never pass through us, and all
//! that we do is sign.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{S3Store, unsigned};
use crate::domain::ObjectKey;
use crate::error::Error;
use crate::signing::{
    HandedKey, MultipartUpload, Operation, PartSigner, SignedRequest, derive_signing_key, v2, v4,
};

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

    /// The signing key of the day for clients that sign by themselves; `None` where none is handed out.
    ///
    /// # Errors
    /// [`Error::Internal`] rather than a key that would open the store itself: credentials that are renewed may turn
    /// into those that are handed out long after the start has looked.
    pub async fn handed_key(&self, now: DateTime<Utc>) -> Result<Option<HandedKey>, Error> {
        let Some(own) = &self.settings.handed_out else {
            return Ok(None);
        };
        if own.is_akin_to(&*self.credentials.current(now).await?) {
            return Err(Error::internal(
                "the credential whose key is handed out is the store's own",
            ));
        }
        let region = self.settings.public_location.region();
        let key = derive_signing_key(&own.secret_access_key, now, region);
        Ok(Some(HandedKey {
            access_key_id: own.access_key_id.clone(),
            region: region.to_owned(),
            bucket: self.bucket().to_owned(),
            time: now,
            hex: SecretString::from(hex::encode(key.expose_secret())),
        }))
    }
}
