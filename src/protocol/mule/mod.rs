//! mule-uploader, first generation (2012 to February 2014): the unmodified script's backend.
//!
//! Six actions answer with signatures, `chunk_loaded` and `upload_finished` are told what happened; all are GETs
//! under the page's `ajax_base`, with a slash before the query. Three of our answers differ from the original
//! backends', and the script cannot tell:
//!
//! - we make the multipart upload ourselves and answer `get_init_signature` as if it were a resume, so the key,
//!   the type and the permissions of the object are ours;
//! - `get_all_signatures` hands out few, so the script asks for each when it needs it, and none is stale;
//! - `force=true` is answered from what the store holds, so a failed completion costs one part and not all.

mod query;
mod replies;
mod rounds;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use actix_web::web::{Data, Path, ServiceConfig, get, resource, scope};
use actix_web::{HttpRequest, HttpResponse};
use chrono::DateTime;
use serde_json::{Map, Value, json};

use query::MuleQuery;
use replies::{PlainText, Version, fresh, http_date, listed_signature, noted, signature};
use rounds::ForcedRounds;

use super::Protocol;
use crate::config::{MuleConfig, ProtocolsConfig};
use crate::domain::{
    FileName, MAX_PARTS, MediaType, NewUpload, ObjectKey, PartNumber, Principal, State, Upload,
};
use crate::error::Error;
use crate::identity::Identity;
use crate::uploads::{ArrivedPart, Begun, Operation, Status, Uploads};
use crate::web::auth;
use crate::web::problem::Failure;

/// mule-uploader, first generation.
pub const PROTOCOL: Protocol = Protocol {
    name: "mule-v1",
    title: "mule-uploader, version 1",
    mounts,
    routes,
};

/// One count for all workers of this process.
static ROUNDS: LazyLock<Arc<ForcedRounds>> = LazyLock::new(Arc::default);

/// Signatures that `get_all_signatures` hands out in SigV2, whose fifteen minutes begin at once.
const AHEAD: usize = 8;

type Answer = Result<HttpResponse, Failure<PlainText>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    if settings.mule.enabled {
        settings.mule.paths.clone()
    } else {
        Vec::new()
    }
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    services.service(
        scope(mount)
            .app_data(Data::new(settings.mule.clone()))
            .app_data(Data::from(ROUNDS.clone()))
            .service(resource("/{action}/").route(get().to(act)))
            .service(resource("/{action}").route(get().to(act))),
    );
}

async fn act(
    request: HttpRequest,
    action: Path<String>,
    settings: Data<MuleConfig>,
    rounds: Data<ForcedRounds>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let query = MuleQuery::parse(request.query_string());
    let call = Call {
        query: &query,
        settings: &settings,
        uploads: &uploads,
    };
    if action.as_str() == "get_init_signature" {
        let caller = who(&request, &query, &identity, true).await?;
        return Ok(call.init(&caller, &rounds).await?);
    }
    let caller = who(&request, &query, &identity, false).await?;
    let upload = call.upload(&caller).await?;
    match action.as_str() {
        "get_all_signatures" => Ok(call.all(&caller, &upload).await?),
        "get_chunk_signature" => {
            let number = call.chunk(&upload)?;
            Ok(fresh(&call.sign(&upload, part(&upload, number)?).await?))
        }
        "get_list_signature" => Ok(fresh(&call.sign(&upload, list(&upload)?).await?)),
        "get_end_signature" => Ok(fresh(&call.sign(&upload, end(&upload)?).await?)),
        "get_delete_signature" => Ok(fresh(&call.sign(&upload, delete(&upload)?).await?)),
        "chunk_loaded" => Ok(call.chunk_loaded(&caller, &upload).await?),
        "upload_finished" => {
            uploads.complete(&caller, &upload.id).await?;
            Ok(noted())
        }
        _ => Err(Error::NotFound("action").into()),
    }
}

/// Cross-origin pages can send nothing but parameters (`extra_params`), so here a key may come as one.
async fn who(
    request: &HttpRequest,
    query: &MuleQuery,
    identity: &Identity,
    newcomers: bool,
) -> Result<Principal, Error> {
    match query.get("api_key") {
        Some(key) => identity.by_key(key).await,
        None if newcomers => auth::caller_or_newcomer(request).await,
        None => auth::caller(request).await,
    }
}

/// One call of the script.
struct Call<'a> {
    query: &'a MuleQuery,
    settings: &'a MuleConfig,
    uploads: &'a Uploads,
}

impl Call<'_> {
    /// `get_init_signature`: a new upload, or the unfinished one of the same file.
    async fn init(&self, caller: &Principal, rounds: &ForcedRounds) -> Result<HttpResponse, Error> {
        let version = Version::parse(self.query.get("signature_version"))?;
        self.checked_key()?;
        let new = self.new_upload()?;
        let mut begun = self.uploads.create(caller, new.clone(), true).await?;
        if begun.status.upload.state == State::Complete {
            // Its answer was lost; what the person chose now is a new upload to this script.
            begun = self.uploads.create(caller, new, false).await?;
        }
        let Begun { status, resumed } = begun;
        let upload = &status.upload;
        if resumed && self.query.get("force") == Some("true") && rounds.is_too_many(&upload.id, &status.parts)
        {
            tracing::warn!(upload = %upload.id, "a page starts this upload over and over; it is stopped");
            return Err(Error::Busy(
                "this upload could not be completed; ask the operator",
            ));
        }
        let mut reply = match version {
            // The script signs nothing with it: an upload id in the answer makes it skip that request.
            Version::V2 => json!({ "signature": "-", "date": http_date(self.uploads.now()) }),
            Version::V4 => signature(self.uploads, upload, list(upload)?, version).await?,
        };
        reply["key"] = json!(upload.key.as_str());
        reply["upload_id"] = json!(upload.multipart_id);
        reply["chunks"] = json!(chunks_to_tell(&status));
        Ok(fresh(&reply))
    }

    /// `get_all_signatures`: in SigV2 a few parts' only, in SigV4 everything.
    async fn all(&self, caller: &Principal, upload: &Upload) -> Result<HttpResponse, Error> {
        let version = self.version()?;
        let count = self.digits("num_chunks")?;
        if count > u64::from(MAX_PARTS) {
            return Err(Error::invalid("num_chunks", format!("is at most {MAX_PARTS}")));
        }
        let held = self.uploads.status(caller, &upload.id).await?.parts;
        let held: HashSet<PartNumber> = held.iter().map(|part| part.number).collect();
        let plan = upload.plan();
        let missing = plan.parts().filter(|(number, _)| !held.contains(number));
        let ahead = if version == Version::V2 {
            AHEAD
        } else {
            MAX_PARTS as usize
        };
        let mut chunks = Map::new();
        for (number, _) in missing.take(ahead) {
            let signed = listed_signature(self.uploads, upload, part(upload, number)?, version).await?;
            chunks.insert(number.to_string(), signed);
        }
        let mut reply = json!({ "chunk_signatures": chunks });
        if version == Version::V4 {
            for (name, operation) in [
                ("list_signature", list(upload)?),
                ("end_signature", end(upload)?),
                ("delete_signature", delete(upload)?),
            ] {
                reply[name] = listed_signature(self.uploads, upload, operation, version).await?;
            }
        }
        Ok(fresh(&reply))
    }

    /// `chunk_loaded`: the script does not wait for the answer and does not read it.
    async fn chunk_loaded(&self, caller: &Principal, upload: &Upload) -> Result<HttpResponse, Error> {
        let number = self.chunk(upload)?;
        let arrived = ArrivedPart {
            number: number.get().into(),
            size: None,
            etag: None,
        };
        self.uploads.record(caller, &upload.id, vec![arrived]).await?;
        Ok(noted())
    }

    async fn sign(&self, upload: &Upload, operation: Operation<'_>) -> Result<Value, Error> {
        if !upload.state.is_unfinished() {
            return Err(Error::WrongState {
                state: upload.state,
                verb: "signed",
            });
        }
        signature(self.uploads, upload, operation, self.version()?).await
    }

    /// The upload that `upload_id` and `key` name together: only pairs that we made, and only this caller's.
    async fn upload(&self, caller: &Principal) -> Result<Upload, Error> {
        let key = self.checked_key()?;
        let id = self
            .query
            .get("upload_id")
            .ok_or_else(|| Error::invalid("upload_id", "is required"))?;
        self.uploads.by_multipart(caller, &key, id).await
    }

    fn version(&self) -> Result<Version, Error> {
        Version::parse(self.query.get("signature_version"))
    }

    /// The key is sent raw and stands in what is signed, so nothing but the safe alphabet may be in it.
    fn checked_key(&self) -> Result<ObjectKey, Error> {
        let key = self
            .query
            .get("key")
            .ok_or_else(|| Error::invalid("key", "is required"))?;
        ObjectKey::new(key).map_err(|error| Error::Invalid(vec![error]))
    }

    fn digits(&self, name: &str) -> Result<u64, Error> {
        let text = self
            .query
            .get(name)
            .ok_or_else(|| Error::invalid(name, "is required"))?;
        let wrong = || Error::invalid(name, "is a whole number in digits");
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        text.parse().map_err(|_| wrong())
    }

    /// A chunk's number, which counts from 1.
    fn chunk(&self, upload: &Upload) -> Result<PartNumber, Error> {
        let number = PartNumber::new(self.digits("chunk")?, "chunk")?;
        let known = upload.plan().size_of(number).is_some();
        known.then_some(number).ok_or_else(|| {
            Error::invalid(
                "chunk",
                format!("is 1 to {} for this upload", upload.plan().part_count()),
            )
        })
    }

    fn new_upload(&self) -> Result<NewUpload, Error> {
        let name = self
            .query
            .get("filename")
            .ok_or_else(|| Error::invalid("filename", "is required"))?;
        let filename = FileName::new(name).map_err(|error| Error::Invalid(vec![error]))?;
        let size = self.digits("filesize")?;
        let modified = self.digits("last_modified").unwrap_or(0);
        let chunk_size = self.settings.chunk_size;
        check_size(size, chunk_size)?;
        Ok(NewUpload {
            size,
            content_type: self.content_type()?,
            last_modified: i64::try_from(modified)
                .ok()
                .filter(|ms| (1..253_402_300_800_000).contains(ms))
                .and_then(DateTime::from_timestamp_millis),
            // The script cannot take up what was cut differently, so the cut is part of the file's identity.
            fingerprint: Some(format!("mule-v1\0{chunk_size}\0{name}\0{modified}")),
            filename,
            metadata: BTreeMap::new(),
            part_size: Some(chunk_size),
            protocol: PROTOCOL.name,
        })
    }

    fn content_type(&self) -> Result<MediaType, Error> {
        let given = self
            .query
            .get("mime_type")
            .filter(|text| !text.is_empty() && *text != "undefined");
        let text = given.unwrap_or(&self.settings.mime_type);
        if text.contains(';') {
            // Browsers rewrite a charset on the completing POST alone, and its signature would not match.
            return Err(Error::invalid("mime_type", "must have no parameters"));
        }
        MediaType::new(text).map_err(|error| Error::invalid("mime_type", error.detail))
    }
}

/// Sizes with which the script itself can never finish.
fn check_size(size: u64, chunk_size: u64) -> Result<(), Error> {
    if size == 0 {
        return Err(Error::invalid(
            "filesize",
            "this uploader cannot send an empty file",
        ));
    }
    if size.is_multiple_of(chunk_size) {
        let detail =
            format!("this uploader cannot finish a file of a whole number of {chunk_size}-byte chunks");
        return Err(Error::invalid("filesize", detail));
    }
    let limit = chunk_size.saturating_mul(u64::from(MAX_PARTS));
    if size > limit {
        Err(Error::TooLarge { limit, size })
    } else {
        Ok(())
    }
}

/// The chunks that need not be sent. Never all of them: the script would throw everything away and begin anew, so
/// the last one is sent once more.
fn chunks_to_tell(status: &Status) -> Vec<u16> {
    let mut chunks: Vec<u16> = status.parts.iter().map(|part| part.number.get()).collect();
    if chunks.len() == status.upload.plan().part_count() as usize {
        chunks.pop();
    }
    chunks
}

fn multipart_id(upload: &Upload) -> Result<&str, Error> {
    upload.multipart_id.as_deref().ok_or(Error::NotFound("upload"))
}

fn part(upload: &Upload, number: PartNumber) -> Result<Operation<'_>, Error> {
    let content_length = upload.plan().size_of(number).ok_or(Error::NotFound("part"))?;
    Ok(Operation::UploadPart {
        upload_id: multipart_id(upload)?,
        part_number: number.get(),
        content_length,
    })
}

fn list(upload: &Upload) -> Result<Operation<'_>, Error> {
    Ok(Operation::ListParts {
        upload_id: multipart_id(upload)?,
        marker: None,
        max_parts: None,
    })
}

fn end(upload: &Upload) -> Result<Operation<'_>, Error> {
    Ok(Operation::CompleteMultipartUpload {
        upload_id: multipart_id(upload)?,
    })
}

fn delete(upload: &Upload) -> Result<Operation<'_>, Error> {
    Ok(Operation::AbortMultipartUpload {
        upload_id: multipart_id(upload)?,
    })
}
