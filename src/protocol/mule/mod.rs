//! mule-uploader: the unmodified script's backend, of both generations.
//!
//! The second (February 2014 to 2016) signs in the browser and has an action of its own: [`second`]. The first (2012 to
//! February 2014) has all signatures from here: six actions answer with signatures, `chunk_loaded` and
//! `upload_finished` are told what happened. All are GETs under the page's `ajax_base`, with a slash before the query.
//! Three of our answers to it differ from the original backends', and the script cannot tell:
//!
//! - we make the multipart upload ourselves and answer `get_init_signature` as if it were a resume, so the key,
//!   the type and the permissions of the object are ours;
//! - `get_all_signatures` hands out few, so the script asks for each when it needs it, and none is stale;
//! - `force=true` is answered from what the store holds, so a failed completion costs one part and not all.

pub(crate) mod query;
mod replies;
mod request;
mod rounds;
mod second;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use actix_web::web::{Data, Path, ServiceConfig, get, resource, scope, to};
use actix_web::{HttpRequest, HttpResponse, Resource};
use serde_json::{Map, Value, json};

use query::MuleQuery;
use replies::{
    PlainText, V2_IS_OFF, Version, fresh, http_date, listed_signature, noted, signature, wrong_method,
};
use request::{Generation, Request};
use rounds::ForcedRounds;

use super::Protocol;
use crate::config::{MuleConfig, ProtocolsConfig};
use crate::domain::{Checksums, MAX_PARTS, NewUpload, PartNumber, Principal, State, Upload};
use crate::error::Error;
use crate::uploads::{ArrivedPart, Begun, Operation, Status, Uploads};
use crate::web::auth;
use crate::web::problem::Failure;

/// mule-uploader; an upload is on record under the name of its generation.
pub const PROTOCOL: Protocol = Protocol {
    name: Generation::First.name(),
    title: "mule-uploader",
    mounts,
    routes,
};

/// One count for all workers of this process.
static ROUNDS: LazyLock<Arc<ForcedRounds>> = LazyLock::new(Arc::default);

/// Signatures that `get_all_signatures` hands out in SigV2: one for each worker that the script has by default. They
/// are used at once; any further one would lie there while its fifteen minutes pass.
const AHEAD: usize = 4;

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
            .service(action("/{action}/"))
            .service(action("/{action}"))
            .default_service(to(nowhere)),
    );
}

fn action(path: &str) -> Resource {
    resource(path)
        .route(get().to(act))
        .default_service(to(async || wrong_method()))
}

async fn nowhere() -> Answer {
    Err(Error::NotFound("action").into())
}

async fn act(
    request: HttpRequest,
    action: Path<String>,
    settings: Data<MuleConfig>,
    rounds: Data<ForcedRounds>,
    uploads: Data<Uploads>,
) -> Answer {
    let call = Call {
        asked: Request {
            query: MuleQuery::parse(request.query_string()),
            settings: &settings,
        },
        uploads: &uploads,
    };
    let query = &call.asked.query;
    if action.as_str() == "get_init_signature" {
        let caller = who(&request, query, true).await?;
        return Ok(call.init(&caller, &rounds).await?);
    }
    if action.as_str() == "signing_key" {
        // Nobody becomes a visitor for the sake of a refusal.
        second::check_is_on(&settings)?;
        let caller = who(&request, query, true).await?;
        return Ok(second::signing_key(&call, &caller, &rounds).await?);
    }
    let caller = who(&request, query, false).await?;
    let key = match action.as_str() {
        "chunk_loaded" => call.asked.encoded_key()?,
        _ => call.asked.key()?,
    };
    // Only pairs that we made, and only this caller's.
    let upload = uploads
        .by_multipart(&caller, &key, call.asked.upload_id()?)
        .await?;
    match action.as_str() {
        "get_all_signatures" => Ok(call.all(&caller, &upload).await?),
        "get_chunk_signature" => {
            let number = call.asked.chunk(&upload)?;
            Ok(fresh(&call.sign(&caller, &upload, part(&upload, number)?).await?))
        }
        "get_list_signature" => Ok(fresh(&call.sign(&caller, &upload, list(&upload)?).await?)),
        "get_end_signature" => Ok(fresh(&call.sign(&caller, &upload, end(&upload)?).await?)),
        "get_delete_signature" => Ok(fresh(&call.sign(&caller, &upload, delete(&upload)?).await?)),
        "chunk_loaded" => Ok(call.chunk_loaded(&caller, &upload).await?),
        "upload_finished" => {
            uploads.complete(&caller, &upload.id).await?;
            Ok(noted())
        }
        _ => Err(Error::NotFound("action").into()),
    }
}

/// Cross-origin pages can send nothing but parameters (`extra_params`), so here a key may come as one.
async fn who(request: &HttpRequest, query: &MuleQuery, newcomers: bool) -> Result<Principal, Error> {
    auth::caller_with_key(request, query.get("api_key"), newcomers).await
}

/// One call of the script.
struct Call<'a> {
    asked: Request<'a>,
    uploads: &'a Uploads,
}

impl Call<'_> {
    /// `get_init_signature`: a new upload, or the unfinished one of the same file.
    async fn init(&self, caller: &Principal, rounds: &ForcedRounds) -> Result<HttpResponse, Error> {
        let version = self.asked.version()?;
        // Refused here, because nothing would ever come of what is begun now.
        if version == Version::V2 && !self.asked.settings.signature_v2 {
            return Err(V2_IS_OFF);
        }
        // The page's proposal; the key is ours to choose.
        self.asked.key()?;
        let new = self.asked.new_upload(Generation::First)?;
        let status = self.begin(caller, new, rounds).await?;
        let upload = &status.upload;
        let mut reply = match version {
            // The script signs nothing with it: an upload id in the answer makes it skip that request.
            Version::V2 => json!({ "signature": "-", "date": http_date(self.uploads.now()) }),
            Version::V4 => signature(self.uploads, caller, upload, list(upload)?, version).await?,
        };
        reply["key"] = json!(upload.key.as_str());
        reply["upload_id"] = json!(upload.multipart_id);
        reply["chunks"] = json!(chunks_to_tell(&status));
        Ok(fresh(&reply))
    }

    /// A new upload, or the unfinished one of the same file, unless the page goes round and round.
    async fn begin(
        &self,
        caller: &Principal,
        new: NewUpload,
        rounds: &ForcedRounds,
    ) -> Result<Status, Error> {
        let mut begun = self.uploads.create(caller, new.clone(), true).await?;
        if begun.status.upload.state == State::Complete {
            // Its answer was lost; what the person chose now is a new upload to this script.
            begun = self.uploads.create(caller, new, false).await?;
        }
        let Begun { status, resumed } = begun;
        let id = &status.upload.id;
        let forced = self.asked.query.get("force") == Some("true");
        if resumed && forced && rounds.is_too_many(id, &status.parts) {
            tracing::warn!(upload = %id, "a page starts this upload over and over; it is stopped");
            return Err(Error::Busy(
                "this upload could not be completed; ask the operator",
            ));
        }
        Ok(status)
    }

    /// `get_all_signatures`: in SigV2 a few parts' only, in SigV4 everything.
    async fn all(&self, caller: &Principal, upload: &Upload) -> Result<HttpResponse, Error> {
        let version = self.asked.version()?;
        self.asked.check_count(upload)?;
        let Status { upload, parts: held } = self.uploads.status(caller, &upload.id).await?;
        // What the store has dropped is asked for again and again; only a refusal here stops the script.
        upload.check_unfinished("signed")?;
        let held: HashSet<PartNumber> = held.iter().map(|part| part.number).collect();
        let plan = upload.plan();
        let missing = plan.parts().filter(|(number, _)| !held.contains(number));
        let (ahead, others) = if version == Version::V2 {
            (AHEAD, 0)
        } else {
            (MAX_PARTS as usize, 3)
        };
        let missing: Vec<PartNumber> = missing.map(|(number, _)| number).take(ahead).collect();
        self.uploads
            .count_signatures_of(caller, &upload, missing.len() as u64 + others)?;
        let mut chunks = Map::new();
        for number in missing {
            let signed = listed_signature(self.uploads, &upload, part(&upload, number)?, version).await?;
            chunks.insert(number.to_string(), signed);
        }
        let mut reply = json!({ "chunk_signatures": chunks });
        if version == Version::V4 {
            for (name, operation) in [
                ("list_signature", list(&upload)?),
                ("end_signature", end(&upload)?),
                ("delete_signature", delete(&upload)?),
            ] {
                reply[name] = listed_signature(self.uploads, &upload, operation, version).await?;
            }
        }
        Ok(fresh(&reply))
    }

    /// `chunk_loaded`: the script does not wait for the answer and does not read it.
    async fn chunk_loaded(&self, caller: &Principal, upload: &Upload) -> Result<HttpResponse, Error> {
        let number = self.asked.chunk(upload)?;
        let arrived = ArrivedPart {
            number: number.get().into(),
            size: None,
            etag: None,
            checksums: Checksums::default(),
        };
        self.uploads.record(caller, &upload.id, vec![arrived]).await?;
        if second::is_about_to_end(self.uploads, caller, upload).await? {
            second::look_for_the_end(self.uploads.clone(), caller.clone(), upload.id.clone());
        }
        Ok(noted())
    }

    async fn sign(
        &self,
        caller: &Principal,
        upload: &Upload,
        operation: Operation<'_>,
    ) -> Result<Value, Error> {
        upload.check_unfinished("signed")?;
        signature(self.uploads, caller, upload, operation, self.asked.version()?).await
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
