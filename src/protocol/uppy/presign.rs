//! `POST /presign`, for version 6 with `signRequest`: the browser makes each request to S3 itself, and has it signed here.
//!
//! The client names method and key, so both are held against exactly six operations and against the record of the key: a
//! key is on record from when its creation was signed, and nobody but its owner gets anything signed for it.

use actix_web::HttpRequest;
use actix_web::web::{Data, Payload};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::caller;
use super::replies::{fields, ok};
use super::requests::{kind_of, name_in, object_key};
use super::stored::{Stored, headers_of, sign_put};
use super::{Answer, PROTOCOL};
use crate::config::{KeyChoice, ProtocolsConfig, UppyConfig};
use crate::domain::{
    Cut, KeyPrefix, MediaType, Naming, NewUpload, ObjectKey, Owner, PartNumber, Principal, Transfer, Upload,
    Wishes,
};
use crate::error::Error;
use crate::identity::Identity;
use crate::uploads::{Operation, SignedRequest, Uploads};
use crate::web::body;

const NO_SUCH_OPERATION: Error = Error::Forbidden(
    "signed here are: create, part, list, complete and abort of a multipart upload, and a whole object's PUT",
);

const ANYBODY: Error = Error::Forbidden(
    "key: may be proposed (protocols.uppy.keys) with an API key, a token or a visitor's cookie; without any of them all \
     visitors are one, and could write to each other's keys",
);

/// Where other doors keep the keys of each owner apart. A door that is closed may have had some, or be opened.
#[derive(Debug, Clone)]
pub struct KeptApart(Vec<KeyPrefix>);

impl KeptApart {
    /// By checked settings.
    pub fn new(settings: &ProtocolsConfig) -> Self {
        let prefixes = [&settings.evaporate.key_prefix, &settings.fine_uploader.key_prefix];
        Self(
            prefixes
                .into_iter()
                .filter_map(|prefix| KeyPrefix::new(prefix).ok())
                .collect(),
        )
    }

    /// Refuses a key that a page proposes where only somebody else's can be.
    fn check(&self, owner: &Owner, key: &ObjectKey) -> Result<(), Error> {
        if *owner == Owner::anybody() {
            return Err(ANYBODY);
        }
        if self.0.iter().any(|prefix| prefix.is_of_others(owner, key)) {
            return Err(Error::invalid(
                "key",
                "lies where another door keeps somebody else's (key_prefix in the settings); propose another",
            ));
        }
        Ok(())
    }
}

/// The request that is to be signed, as the plugin describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    method: String,
    key: String,
    upload_id: Option<String>,
    part_number: Option<u64>,
    content_type: Option<String>,
}

/// What of six things it is.
enum Step<'a> {
    Create,
    Whole,
    Part(&'a str, PartNumber),
    List(&'a str),
    Complete(&'a str),
    Abort(&'a str),
}

impl Wanted {
    fn step(&self) -> Result<Step<'_>, Error> {
        match (self.method.as_str(), self.upload_id.as_deref(), self.part_number) {
            ("POST", None, None) => Ok(Step::Create),
            ("PUT", None, None) => Ok(Step::Whole),
            ("PUT", Some(id), Some(number)) => Ok(Step::Part(id, PartNumber::new(number, "partNumber")?)),
            ("GET", Some(id), None) => Ok(Step::List(id)),
            ("POST", Some(id), None) => Ok(Step::Complete(id)),
            ("DELETE", Some(id), None) => Ok(Step::Abort(id)),
            _ => Err(NO_SUCH_OPERATION),
        }
    }
}

/// Signs one request of the browser to the store.
pub async fn presign(
    request: HttpRequest,
    payload: Payload,
    settings: Data<UppyConfig>,
    apart: Data<KeptApart>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    if !settings.presign {
        return Err(Error::Forbidden("this is switched off here (protocols.uppy.presign)").into());
    }
    let caller = caller(&request, &identity).await?;
    let wanted: Wanted = body::json(&request, payload).await?;
    let step = wanted.step()?;
    // Before anything is begun for which nothing would be signed.
    uploads.count_signatures(&caller, 1)?;
    let desk = Desk {
        caller,
        settings: &settings,
        apart: &apart,
        uploads: &uploads,
    };
    let answer = match step {
        Step::Create => desk.create(&wanted).await?,
        Step::Whole => desk.whole(&wanted).await?,
        step => desk.go_on(&wanted, &step).await?,
    };
    Ok(ok(&answer))
}

/// Signs for somebody.
struct Desk<'a> {
    caller: Principal,
    settings: &'a UppyConfig,
    apart: &'a KeptApart,
    uploads: &'a Uploads,
}

impl Desk<'_> {
    async fn create(&self, wanted: &Wanted) -> Result<Value, Error> {
        let upload = self.record(wanted, Cut::Browser).await?;
        let stored = Stored::of(&upload, self.settings.signed_headers);
        let extra = stored.extra();
        let operation = Operation::CreateMultipartUpload {
            headers: stored.headers(&extra),
        };
        let (signed, _) = self.uploads.presign(&upload, operation).await?;
        Ok(told(&upload, &signed))
    }

    /// Since 6.3 a form is taken too, which alone can bound the object's size; clients of that version tell the type.
    async fn whole(&self, wanted: &Wanted) -> Result<Value, Error> {
        let upload = self.record(wanted, Cut::Whole).await?;
        if wanted.content_type.is_some() {
            let (form, _) = self.uploads.sign_form(&upload).await?;
            let url = form.url.clone();
            return Ok(json!({ "url": url, "key": upload.key.as_str(), "fields": fields(form) }));
        }
        let (signed, _) = sign_put(self.uploads, &upload, self.settings.signed_headers).await?;
        Ok(told(&upload, &signed))
    }

    /// One of the four requests that belong to a multipart upload which the browser has begun.
    async fn go_on(&self, wanted: &Wanted, step: &Step<'_>) -> Result<Value, Error> {
        let upload = self
            .uploads
            .by_key(&self.caller, &object_key(&wanted.key)?)
            .await?;
        let (Step::Part(upload_id, _)
        | Step::List(upload_id)
        | Step::Complete(upload_id)
        | Step::Abort(upload_id)) = *step
        else {
            return Err(NO_SUCH_OPERATION);
        };
        let upload = self.uploads.adopt(&self.caller, &upload, upload_id).await?;
        self.uploads.count_beside(&self.caller, &upload, 1)?;
        let operation = match *step {
            Step::Part(upload_id, number) => Operation::UploadAnyPart {
                upload_id,
                part_number: number.get(),
            },
            Step::List(upload_id) => Operation::ListParts {
                upload_id,
                marker: None,
                max_parts: None,
            },
            Step::Complete(upload_id) => Operation::CompleteMultipartUpload { upload_id },
            _ => Operation::AbortMultipartUpload { upload_id },
        };
        let (signed, _) = if matches!(step, Step::Complete(_)) {
            self.uploads.presign_end(&upload, operation).await?
        } else {
            upload.check_unfinished("signed")?;
            self.uploads.presign(&upload, operation).await?
        };
        Ok(json!({ "url": signed.url }))
    }

    /// The record of the key: a new one, or the caller's own that is not finished.
    async fn record(&self, wanted: &Wanted, cut: Cut) -> Result<Upload, Error> {
        let key = object_key(&wanted.key)?;
        let new = self.new_upload(&key, wanted.content_type.as_deref(), cut)?;
        if self.settings.keys == KeyChoice::Proposed {
            self.apart.check(&self.caller.owner, &key)?;
        } else if let Ok(known) = self.uploads.by_key(&self.caller, &key).await
            && known.cut == cut
        {
            // It was answered with this key before. What is finished by now is not begun again.
            let known = self.uploads.look(&self.caller, &known.id).await?;
            if known.state.is_unfinished() {
                return Ok(known);
            }
        }
        let begun = self.uploads.create(&self.caller, new, false).await?;
        Ok(begun.status.upload)
    }

    fn new_upload(&self, key: &ObjectKey, kind: Option<&str>, cut: Cut) -> Result<NewUpload, Error> {
        let filename = name_in(key)?;
        let content_type = match kind {
            Some(kind) => kind_of(Some(kind)),
            // The creation of a multipart upload does not tell it.
            None => MediaType::of_name(&filename),
        };
        let naming = match self.settings.keys {
            KeyChoice::Ours => Naming::Template,
            KeyChoice::Proposed => Naming::Key(key.clone()),
        };
        Ok(NewUpload {
            filename,
            size: 0,
            content_type,
            last_modified: None,
            fingerprint: None,
            metadata: std::collections::BTreeMap::new(),
            part_size: None,
            transfer: Transfer::Direct,
            wishes: Wishes {
                naming,
                cut,
                ..Wishes::default()
            },
            protocol: PROTOCOL.name,
        })
    }
}

/// A signed request that begins something: with the key that it is really for, and the headers that must be sent.
fn told(upload: &Upload, signed: &SignedRequest) -> Value {
    let headers = headers_of(signed);
    let mut answer = json!({ "url": signed.url, "key": upload.key.as_str() });
    if !headers.is_empty() {
        answer["headers"] = headers.into();
    }
    answer
}
