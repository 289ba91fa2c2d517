//! tus 1.0.

use super::super::KEY;
use super::super::job::{End, Job, Outcome, dripping};
use base64::Engine as _;

const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");

pub async fn upload(job: &mut Job) -> Outcome {
    let name = base64::engine::general_purpose::STANDARD.encode(&job.name);
    let (length, metadata) = (job.len().to_string(), format!("filename {name}"));
    let fields = [
        VERSION,
        ("upload-length", length.as_str()),
        ("upload-metadata", metadata.as_str()),
    ];
    let made = job.ask("POST", "/files", &fields, Vec::new()).await?;
    let path = made.expect(&[201], "create")?.field("location")?;
    loop {
        let looked = job.ask("HEAD", &path, &[VERSION], Vec::new()).await?;
        let offset = looked.expect(&[200], "look")?.number("upload-offset")?;
        job.stands_at(offset)?;
        if job.leaves() && offset < job.len() {
            return Ok(End::Left);
        }
        if offset == job.len() && send(job, &path).await? {
            return Ok(End::Complete);
        }
        while send(job, &path).await? {
            if job.offset() == job.len() {
                return Ok(End::Complete);
            }
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        job.again("a request has failed").await?;
    }
}

/// One request with what comes next; whether it was taken whole.
async fn send(job: &mut Job, path: &str) -> Result<bool, String> {
    let offset = job.offset();
    let piece = job.next_piece(offset);
    let (url, at, length) = (
        format!("{}{path}", job.instance()),
        offset.to_string(),
        piece.len().to_string(),
    );
    let fields = [
        VERSION,
        ("x-api-key", KEY),
        ("content-type", "application/offset+octet-stream"),
        ("upload-offset", at.as_str()),
        ("content-length", length.as_str()),
    ];
    let Some(sent) = job.send("PATCH", &url, &fields, dripping(&piece)).await else {
        return Ok(false);
    };
    if sent.status != 204 {
        // The offset is another than we think, somebody is sending (we were), or the store does not take it now.
        sent.expect(&[400, 409, 423, 502, 503, 504], "append")?;
        return Ok(false);
    }
    job.stands_at(sent.number("upload-offset")?)?;
    Ok(true)
}
