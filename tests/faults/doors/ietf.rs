//! Resumable uploads as the IETF drafts them.

use super::super::KEY;
use super::super::job::{End, Job, Outcome, dripping};

pub async fn upload(job: &mut Job) -> Outcome {
    let name = format!("attachment; filename=\"{}\"", job.name);
    let length = job.len().to_string();
    let mut fields = vec![
        ("upload-draft-interop-version", "10"),
        ("upload-complete", "?0"),
        ("content-disposition", name.as_str()),
    ];
    // Otherwise the last request tells it by its end.
    if job.random.percent(50) {
        fields.push(("upload-length", length.as_str()));
    }
    let made = job.ask("POST", "/files", &fields, Vec::new()).await?;
    let path = made.expect(&[201], "create")?.field("location")?;
    let path = path
        .find("/files/")
        .map_or(path.as_str(), |at| &path[at..])
        .to_owned();
    loop {
        let version = [("upload-draft-interop-version", "10")];
        let looked = job.ask("HEAD", &path, &version, Vec::new()).await?;
        let looked = looked.expect(&[204], "look")?;
        job.stands_at(looked.number("upload-offset")?)?;
        if looked.field("upload-complete")? == "?1" {
            return Ok(End::Complete);
        }
        if job.leaves() {
            return Ok(End::Left);
        }
        while send(job, &path).await? {
            if job.leaves() && job.offset() < job.len() {
                return Ok(End::Left);
            }
        }
        job.again("a request has failed").await?;
    }
}

/// One request with what comes next; whether it was taken whole, and more is to come.
async fn send(job: &mut Job, path: &str) -> Result<bool, String> {
    let offset = job.offset();
    let piece = job.next_piece(offset);
    let is_last = offset + piece.len() == job.len();
    let (url, at, length) = (
        format!("{}{path}", job.instance()),
        offset.to_string(),
        piece.len().to_string(),
    );
    let fields = [
        ("upload-draft-interop-version", "10"),
        ("x-api-key", KEY),
        ("content-type", "application/partial-upload"),
        ("upload-offset", at.as_str()),
        ("upload-complete", if is_last { "?1" } else { "?0" }),
        ("content-length", length.as_str()),
    ];
    let Some(sent) = job.send("PATCH", &url, &fields, dripping(&piece)).await else {
        return Ok(false);
    };
    if !matches!(sent.status, 200 | 201 | 204) {
        sent.expect(&[400, 409, 423, 502, 503, 504], "append")?;
        return Ok(false);
    }
    job.stands_at(sent.number("upload-offset")?)?;
    // The look says whether that was the end.
    Ok(!is_last)
}
