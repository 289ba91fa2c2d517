//! What lets browsers send requests to the store themselves.
//!
//! Separate from the store's other requests, because none is sent here: the clients' bytes never pass through us, and all
//! that we do is sign.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::checks::signed_header;
use super::sending::unsigned;
use super::{S3Store, borrowed, object_headers};
use crate::domain::{Algorithm, ObjectKey, Upload};
use crate::error::Error;
use crate::signing::policy::{self, Form, SignedForm};
use crate::signing::{
    Asked, AskedPolicy, BucketLocation, Credentials, HandedKey, MultipartUpload, Operation, PartSigner,
    SignedPolicy, SignedRequest, SigningError, derive_signing_key, v2, v4,
};

/// How long a signature that brings a whole object lives at most, as do the policies that pages write: it can be used again
/// after the upload is complete, and such requests are sent as soon as they are signed.
const WHOLE_LIFETIME: Duration = Duration::from_mins(15);

/// What the signature of a part holds of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binds {
    /// Nothing: the store takes whatever comes.
    Nothing,
    /// Their number.
    Length,
    /// Their number and this checksum, which the store compares.
    Checksum(Algorithm),
}

impl S3Store {
    /// A signer for the parts of one upload, as browsers will send them.
    pub async fn part_signer(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        binds: Binds,
        now: DateTime<Utc>,
    ) -> Result<PartSigner, Error> {
        let credentials = self.credentials.current(now).await?;
        let upload = MultipartUpload {
            key: key.as_str(),
            upload_id,
        };
        let (location, ttl) = (&self.settings.public_location, self.settings.url_lifetime);
        let keys = &self.keys;
        match binds {
            Binds::Nothing => PartSigner::of_any_length(keys, location, &credentials, upload, now, ttl),
            Binds::Length => PartSigner::new(keys, location, &credentials, upload, now, ttl),
            Binds::Checksum(algorithm) => {
                let header = signed_header(algorithm)
                    .ok_or_else(|| Error::internal("parts are not signed with this checksum"))?;
                let times = (now, ttl);
                PartSigner::with_checksum(keys, location, &credentials, upload, times, header)
            }
        }
        .map_err(unsigned)
    }

    /// A form with which a browser may post the whole object of `upload`, of at most `most` bytes, and when it dies.
    pub async fn sign_form(
        &self,
        upload: &Upload,
        most: u64,
        now: DateTime<Utc>,
    ) -> Result<(SignedForm, DateTime<Utc>), Error> {
        let credentials = self.credentials.current(now).await?;
        let (disposition, fields) = (upload.filename.content_disposition(), upload.stored_fields());
        let extra = borrowed(&fields);
        let form = Form {
            key: upload.key.as_str(),
            length: 0..=most,
            headers: object_headers(&upload.content_type, &disposition, &extra),
            success_status: 201,
        };
        let (location, ttl) = (&self.settings.public_location, self.whole_lifetime());
        let signed = policy::sign(&form, &self.keys, location, &credentials, now, ttl).map_err(unsigned)?;
        let lifetime = crate::signing::lifetime(ttl, &credentials, now);
        Ok((signed, now + lifetime))
    }

    /// How long what is signed here lives at most.
    pub fn url_lifetime(&self) -> Duration {
        self.settings.url_lifetime
    }

    /// The same of what brings a whole object in one request.
    pub fn whole_lifetime(&self) -> Duration {
        self.settings.url_lifetime.min(WHOLE_LIFETIME)
    }

    /// A presigned URL for one request of the browser, and when it dies.
    pub async fn presign(
        &self,
        operation: Operation<'_>,
        key: &ObjectKey,
        now: DateTime<Utc>,
    ) -> Result<(SignedRequest, DateTime<Utc>), Error> {
        let credentials = self.credentials.current(now).await?;
        let longest = if matches!(operation, Operation::PutObject { .. }) {
            self.whole_lifetime()
        } else {
            self.settings.url_lifetime
        };
        let lifetime = crate::signing::lifetime(longest, &credentials, now);
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

    /// The bucket as browsers reach it.
    pub fn public_location(&self) -> &BucketLocation {
        &self.settings.public_location
    }

    /// The key for pages that write their requests themselves: the one that is given, else the store's.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where that is a temporary one: such a page has no place for its token.
    pub async fn page_key(
        &self,
        given: Option<&Credentials>,
        now: DateTime<Utc>,
    ) -> Result<Credentials, Error> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let own = self.credentials.current(now).await?;
        if own.session_token.is_some() {
            return Err(NO_LONG_TERM_KEY);
        }
        Ok((*own).clone())
    }

    /// Signs one request that a page has written and that was read and allowed.
    pub fn sign_asked(&self, asked: &Asked, credentials: &Credentials) -> Result<String, Error> {
        asked
            .sign(&self.keys, &self.settings.public_location, credentials)
            .map_err(unsigned_page)
    }

    /// Signs the policy of a form that was read and allowed.
    pub fn sign_asked_policy(
        &self,
        asked: &AskedPolicy,
        credentials: &Credentials,
    ) -> Result<SignedPolicy, Error> {
        asked
            .sign(&self.keys, self.settings.public_location.region(), credentials)
            .map_err(unsigned_page)
    }
}

const NO_LONG_TERM_KEY: Error = Error::Forbidden(
    "these pages need a long-term key: the operator sets access_key_id in the section of this protocol",
);

fn unsigned_page(error: SigningError) -> Error {
    match error {
        SigningError::SessionToken => NO_LONG_TERM_KEY,
        other => unsigned(other),
    }
}
