//! Asked: sign what a page has written itself.
//!
//! Separate from `sign`, where we write what is signed: here the page chooses key, version and moment, so it is read,
//! held against its owner's part of the bucket and against the record of the upload, and only then signed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Uploads;
use super::log_budget::{LogBudget, Spent};
use crate::config::PageSigning;
use crate::domain::{
    Cut, FileName, KeyPrefix, MediaType, Naming, NewUpload, ObjectKey, Principal, Transfer, Wishes,
};
use crate::error::Error;
use crate::metrics::Signed;
use crate::signing::{
    AskRules, Asked, AskedOperation, AskedPolicy, Credentials, Refusal, Signable, SignedPolicy,
};

/// How one protocol signs what its pages write.
#[derive(Debug, Clone)]
pub struct SigningDoor {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Where an owner's keys may be.
    pub prefix: KeyPrefix,
    /// The long-term key that signs; `None` takes the store's own. The page must know its id.
    pub key: Option<Credentials>,
    /// Whether SigV2 is offered.
    pub signature_v2: bool,
    /// The only canned ACL that may be asked for.
    pub acl: String,
    /// Further `x-amz-…` headers that may be stored with an object.
    pub headers: Vec<String>,
    /// Whether a page may ask if an object of its owner exists.
    pub existence: bool,
    /// The metadata that has the file's name, percent-encoded; without it the name is the last piece of the key.
    pub name_field: Option<&'static str>,
}

/// What a page has to know to write requests that we sign.
#[derive(Debug, Clone)]
pub struct SigningFacts {
    /// What its keys must begin with.
    pub prefix: String,
    /// The id of the key that signs.
    pub access_key_id: String,
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// The bucket's address, without a slash at its end.
    pub bucket_url: String,
    /// The same without the bucket, where that stands in the path; `None` where it stands in the host.
    pub endpoint_url: Option<String>,
}

impl SigningDoor {
    /// From checked settings; `None` for those that no check would let pass.
    pub fn new(protocol: &'static str, settings: PageSigning<'_>) -> Option<Self> {
        let own_key = || {
            let secret = settings.secret_access_key.expose().to_owned();
            Credentials::long_term(settings.access_key_id, secret)
        };
        Some(Self {
            protocol,
            prefix: KeyPrefix::new(settings.key_prefix).ok()?,
            key: (!settings.access_key_id.is_empty()).then(own_key),
            signature_v2: settings.signature_v2,
            acl: settings.acl.to_owned(),
            headers: settings.headers.to_vec(),
            existence: false,
            name_field: None,
        })
    }
}

impl SigningDoor {
    /// What this caller's keys begin with at this door.
    fn prefix_of(&self, caller: &Principal) -> String {
        let outer = caller.bounds.key_prefix.as_deref().unwrap_or_default();
        format!("{outer}{}", self.prefix.of(&caller.owner))
    }
}

const V2_IS_OFF: Error = Error::Forbidden(
    "SigV2 is switched off here: set the page's signature version to 4, or signature_v2 in the settings",
);

impl Uploads {
    /// What this caller's pages have to know.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where only a temporary key could sign; [`Error::Unavailable`] from the credential chain.
    pub async fn signing_facts(&self, caller: &Principal, door: &SigningDoor) -> Result<SigningFacts, Error> {
        let key = self.store()?.page_key(door.key.as_ref(), self.now()).await?;
        let location = self.store()?.public_location();
        let bucket_url = location.url("").trim_end_matches('/').to_owned();
        let endpoint_url = bucket_url.strip_suffix(&format!("/{}", location.bucket()));
        Ok(SigningFacts {
            prefix: door.prefix_of(caller),
            access_key_id: key.access_key_id.clone(),
            bucket: location.bucket().to_owned(),
            region: location.region().to_owned(),
            endpoint_url: endpoint_url.map(str::to_owned),
            bucket_url,
        })
    }

    /// Signs one request of a page, if it is one of the six operations on a key of this caller's.
    ///
    /// # Errors
    /// [`Error::Forbidden`] naming the rule that it breaks, also for somebody else's key or upload.
    pub async fn sign_asked(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        signable: Signable<'_>,
    ) -> Result<String, Error> {
        let signed = self.sign_if_admitted(caller, door, signable).await;
        signed.inspect_err(|error| self.note_refusal(caller, door, error))
    }

    async fn sign_if_admitted(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        signable: Signable<'_>,
    ) -> Result<String, Error> {
        caller.may_begin()?;
        self.count_signatures(caller, 1)?;
        if signable.is_v2() && !door.signature_v2 {
            return Err(V2_IS_OFF);
        }
        let credentials = self.store()?.page_key(door.key.as_ref(), self.now()).await?;
        let asked = signable.read(&self.rules(door, &credentials)?).map_err(refused)?;
        let key = own_key(caller, door, &asked.key)?;
        self.admit_asked(caller, door, &key, &asked).await?;
        self.0.metrics.signed(Signed::Request, 1);
        self.store()?.sign_asked(&asked, &credentials)
    }

    /// Signs the policy of a form that brings a whole object, with the bounds of its size added.
    ///
    /// # Errors
    /// As [`Uploads::sign_asked`].
    pub async fn sign_asked_policy(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        document: &Value,
    ) -> Result<SignedPolicy, Error> {
        let signed = self.sign_policy_if_admitted(caller, door, document).await;
        signed.inspect_err(|error| self.note_refusal(caller, door, error))
    }

    async fn sign_policy_if_admitted(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        document: &Value,
    ) -> Result<SignedPolicy, Error> {
        caller.may_begin()?;
        self.count_signatures(caller, 1)?;
        let credentials = self.store()?.page_key(door.key.as_ref(), self.now()).await?;
        let rules = self.rules(door, &credentials)?;
        let most = self.0.policy.within(&caller.bounds).max_size;
        let asked = AskedPolicy::read(document, most, &rules).map_err(refused)?;
        if asked.is_v2() && !door.signature_v2 {
            return Err(V2_IS_OFF);
        }
        let key = own_key(caller, door, &asked.key)?;
        let content_type = asked.content_type.as_deref();
        let new = new_upload(door, key, Cut::Whole, content_type, &asked.metadata)?;
        let upload = self.create(caller, new, false).await?.status.upload;
        let room = self.room_of(&upload).await?;
        // A form's own bounds are all that holds for what comes with it: what the application has narrowed for this upload,
        // what its caller may by now, who may have begun it with another token, and what its owner has free just now.
        let most = most.min(self.policy_of(&upload).max_size);
        let asked = match AskedPolicy::read(document, most.min(room), &rules) {
            Ok(asked) if room > 0 => asked,
            // It fits once there is room again.
            _ if room < most => return Err(self.quota_of(&upload, room)),
            read => read.map_err(refused)?,
        };
        self.expect_end(&upload).await?;
        self.0.metrics.signed(Signed::Form, 1);
        self.store()?.sign_asked_policy(&asked, &credentials)
    }

    /// Holds a request against the record of its upload: makes one where it begins, and finds the caller's own where it
    /// goes on.
    async fn admit_asked(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        key: &ObjectKey,
        asked: &Asked,
    ) -> Result<(), Error> {
        let Some(multipart_id) = asked.operation.upload_id() else {
            if asked.operation == AskedOperation::Begin {
                let content_type = asked.content_type.as_deref();
                let new = new_upload(door, key.clone(), Cut::Browser, content_type, &asked.metadata)?;
                self.create(caller, new, false).await?;
            }
            return Ok(());
        };
        let mut upload = self.by_key(caller, key).await?;
        if upload.state.is_unfinished() {
            self.touch(&mut upload).await?;
        }
        match &asked.operation {
            // What the store does not know any more, it says to the client itself, which begins anew.
            AskedOperation::List { .. } | AskedOperation::Abort { .. } if !upload.state.is_unfinished() => {
                Ok(())
            }
            AskedOperation::List { .. } | AskedOperation::Abort { .. } => {
                match self.adopt(caller, &upload, multipart_id).await {
                    Ok(_) | Err(Error::NotFound(_) | Error::WrongState { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            AskedOperation::Part { number, .. } => {
                upload.check_unfinished("signed")?;
                self.count_beside(caller, &upload, 1)?;
                self.admit_part(&upload, u32::from(*number)).await?;
                self.adopt(caller, &upload, multipart_id).await.map(drop)
            }
            _ => {
                let upload = self.adopt(caller, &upload, multipart_id).await?;
                self.expect_joined(&upload, multipart_id).await
            }
        }
    }

    /// Says in the log why nothing was signed: these clients show nobody the words of a refusal.
    fn note_refusal(&self, caller: &Principal, door: &SigningDoor, error: &Error) {
        static BUDGET: LogBudget = LogBudget::new();
        let (protocol, owner) = (door.protocol, &caller.owner);
        match BUDGET.spend(self.now()) {
            Spent::Line => tracing::info!(protocol, %owner, %error, "a page's request is not signed"),
            Spent::LastLine => tracing::info!(
                protocol, %owner, %error,
                "a page's request is not signed; further ones of this minute are not told"
            ),
            Spent::Nothing => {}
        }
    }

    fn rules<'a>(
        &'a self,
        door: &'a SigningDoor,
        credentials: &'a Credentials,
    ) -> Result<AskRules<'a>, Error> {
        Ok(AskRules {
            location: self.store()?.public_location(),
            now: self.now(),
            acl: &door.acl,
            headers: &door.headers,
            existence: door.existence,
            access_key_id: &credentials.access_key_id,
        })
    }
}

/// What a page says of a file before it is signed for. Its size is not in it.
fn new_upload(
    door: &SigningDoor,
    key: ObjectKey,
    cut: Cut,
    content_type: Option<&str>,
    metadata: &BTreeMap<String, String>,
) -> Result<NewUpload, Error> {
    let refused = |error| Error::Invalid(vec![error]);
    let told = door.name_field.and_then(|field| metadata.get(field));
    let told = told.and_then(|text| decoded(text));
    let last = key.segments().last().unwrap_or_default();
    let filename = told.and_then(|name| FileName::new(&name).ok());
    let filename = filename
        .map_or_else(|| FileName::new(last), Ok)
        .map_err(refused)?;
    // SigV4 of Fine Uploader signs no type, and the store is told it by the page alone.
    let content_type = match content_type {
        Some(text) => MediaType::new(text).map_err(refused)?,
        None => MediaType::of_name(&filename),
    };
    Ok(NewUpload {
        filename,
        size: 0,
        content_type,
        last_modified: None,
        fingerprint: Some(key.to_string()),
        metadata: metadata.clone(),
        part_size: None,
        transfer: Transfer::Direct,
        wishes: Wishes {
            naming: Naming::Key(key),
            cut,
            ..Wishes::default()
        },
        protocol: door.protocol,
    })
}

/// The text behind `encodeURIComponent`.
fn decoded(text: &str) -> Option<String> {
    let text = format!("={text}");
    let mut pairs = url::form_urlencoded::parse(text.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned())
}

/// The key, if it is in this caller's part of the bucket.
fn own_key(caller: &Principal, door: &SigningDoor, key: &str) -> Result<ObjectKey, Error> {
    if !key.starts_with(&door.prefix_of(caller)) {
        return Err(Error::Forbidden(
            "key: must begin with its owner's prefix, which the door's /settings tells",
        ));
    }
    ObjectKey::path(key).map_err(|_| Error::Forbidden("key: cannot be that of an object"))
}

/// A refusal is the client's to read; nothing that it sent is in it.
fn refused(Refusal(rule): Refusal) -> Error {
    Error::Forbidden(rule)
}
