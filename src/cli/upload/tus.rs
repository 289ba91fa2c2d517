//! One file by tus 1.0: one request carries all of it; after a break the server says how much arrived.
//! <https://tus.io/protocols/resumable-upload>

use std::cell::Cell;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder};
use url::Url;

use super::memory::Memory;
use super::native::Job;
use super::progress::Outcome;
use super::trouble::{Kind, Trouble};

/// The one part of a file that is not cut.
const WHOLE: u64 = 1;

/// How long the server is asked how much arrived of a file that is given up.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Uploads one file, or what is missing of it.
///
/// # Errors
/// Whatever kept it from being complete.
pub async fn upload(job: &Job<'_>) -> Result<Outcome, Trouble> {
    let memory = Memory::new(job.api, &job.source.fingerprint);
    let outcome = match attempt(job, &memory).await {
        Err(trouble) if trouble.kind == Kind::Vanished => {
            memory.forget();
            attempt(job, &memory).await
        }
        outcome => outcome,
    };
    if outcome.is_ok() {
        memory.forget();
    }
    outcome
}

async fn attempt(job: &Job<'_>, memory: &Memory) -> Result<Outcome, Trouble> {
    job.source.ensure_unchanged()?;
    let kept = match memory.recall() {
        Some(url) => found(job, &url).await?.map(|offset| (url, offset)),
        None => None,
    };
    let (url, offset) = match kept {
        Some(kept) => kept,
        None => (create(job, memory).await?, 0),
    };
    job.meter.begun(&url, None, offset);
    let sent = send(job, &url, offset).await;
    if sent.as_ref().is_err_and(|trouble| trouble.kind == Kind::Changed) {
        // Nobody will ever go on with it: the file has another fingerprint now.
        let _ = job.remote.send(request(job, Method::DELETE, &url)).await;
        memory.forget();
    }
    sent?;
    Ok(Outcome {
        id: url.clone(),
        location: url,
        key: None,
        etag: None,
    })
}

/// How much of the upload at a kept address is there; none where that upload is gone.
async fn found(job: &Job<'_>, url: &str) -> Result<Option<u64>, Trouble> {
    match job.remote.persist(job.meter, || offset(job, url)).await {
        Ok(offset) => Ok(Some(offset)),
        Err(trouble) if trouble.kind == Kind::Vanished => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

async fn create(job: &Job<'_>, memory: &Memory) -> Result<String, Trouble> {
    let source = job.source;
    let (name, kind) = (
        STANDARD.encode(&source.name),
        STANDARD.encode(&source.content_type),
    );
    let answer = job.remote.persist(job.meter, || {
        let create = request(job, Method::POST, job.api)
            .header("Upload-Length", source.size)
            .header("Upload-Metadata", format!("filename {name},filetype {kind}"))
            .header(CONTENT_LENGTH, 0);
        job.remote.send(create)
    });
    let answer = answer.await?;
    let told = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let base = Url::parse(job.api).ok();
    let url = told.and_then(|told| base.and_then(|base| base.join(told).ok()));
    let url = url.ok_or_else(|| {
        let message = "the server does not say where the upload is; does tus live at this address?";
        Trouble::new(Kind::Final, "bad-answer", message.to_owned())
    })?;
    // The key goes along with whatever is sent there.
    if Url::parse(job.api).is_ok_and(|api| api.origin() != url.origin()) {
        let message = format!(
            "the server puts the upload at {url}, which is another server: give --server that address"
        );
        return Err(Trouble::new(Kind::Final, "elsewhere", message));
    }
    if let Err(error) = memory.keep(url.as_str()) {
        job.meter.note(&format!(
            "its address cannot be kept, so it will not go on after an interruption: {error}"
        ));
    }
    Ok(url.into())
}

/// Sends what is missing from `offset` on.
async fn send(job: &Job<'_>, url: &str, mut offset_now: u64) -> Result<(), Trouble> {
    let _slot = job.slots.acquire().await;
    while offset_now < job.source.size {
        let is_first = Cell::new(true);
        let before = offset_now;
        let sent = job
            .remote
            .persist(job.meter, || async {
                // After a break only the server knows how much arrived. If anything did, patience begins anew.
                if !is_first.replace(false) {
                    let at = offset(job, url).await?;
                    if at != before {
                        return Ok(at);
                    }
                }
                append(job, url, before).await
            })
            .await;
        offset_now = match sent {
            Ok(offset) => offset,
            Err(trouble) => {
                // What arrived before counts as sent, as far as the server still tells it.
                if let Ok(Ok(offset)) = tokio::time::timeout(LAST_LOOK, offset(job, url)).await {
                    job.meter.arrived(WHOLE, offset.saturating_sub(before));
                }
                return Err(trouble);
            }
        };
        job.meter.arrived(WHOLE, offset_now.saturating_sub(before));
    }
    Ok(())
}

/// Appends everything from `from` on, in one request; where the upload is then.
async fn append(job: &Job<'_>, url: &str, from: u64) -> Result<u64, Trouble> {
    job.source.ensure_unchanged()?;
    let slice = job.source.slice(from, job.source.size - from);
    let request = request(job, Method::PATCH, url)
        .header(CONTENT_TYPE, "application/offset+octet-stream")
        .header("Upload-Offset", from);
    let moved = |bytes| job.meter.moved(WHOLE, bytes);
    let sent = job.remote.send_slice(request, &slice, moved).await;
    let sent = sent.inspect_err(|_| job.meter.dropped(WHOLE)).map_err(gone)?;
    number(sent.headers(), "Upload-Offset")
}

/// How much has arrived.
async fn offset(job: &Job<'_>, url: &str) -> Result<u64, Trouble> {
    let answer = job
        .remote
        .send(request(job, Method::HEAD, url))
        .await
        .map_err(gone)?;
    let length = number(answer.headers(), "Upload-Length")?;
    if length != job.source.size {
        let message = format!("the upload at {url} is of {length} bytes");
        return Err(Trouble::new(Kind::Vanished, "vanished", message));
    }
    number(answer.headers(), "Upload-Offset")
}

fn request(job: &Job<'_>, method: Method, url: &str) -> RequestBuilder {
    job.remote.with_key(method, url).header("Tus-Resumable", "1.0.0")
}

/// What the statuses of an upload's address mean: not there, and somewhere else than we thought.
fn gone(trouble: Trouble) -> Trouble {
    let kind = match trouble.status {
        Some(404 | 410) => Kind::Vanished,
        Some(409) => Kind::Passing,
        _ => trouble.kind,
    };
    Trouble { kind, ..trouble }
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Trouble> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = format!("the answer of the server has no {name}; does tus live at this address?");
        Trouble::new(Kind::Final, "bad-answer", message)
    })
}
