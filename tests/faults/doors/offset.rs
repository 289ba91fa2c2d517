//! Offset chunks: it sends, and goes on from wherever it is told.

use serde_json::{Value, json};

use super::super::KEY;
use super::super::job::{End, Job, Outcome, dripping};

pub async fn upload(job: &mut Job) -> Outcome {
    let wanted = json!({ "bytes": job.len(), "name": job.name });
    let begun = job
        .ask("PUT", "/chunk", &[], wanted.to_string().into_bytes())
        .await?;
    let begun = begun.expect(&[202], "begin")?.json()?;
    let session = begun["session_id"].as_str().unwrap_or_default().to_owned();
    loop {
        let offset = job.offset();
        let piece = job.next_piece(offset);
        let length = piece.len().to_string();
        let url = format!("{}/chunk?session_id={session}&offset={offset}", job.instance());
        let fields = [("x-api-key", KEY), ("content-length", length.as_str())];
        match job.send("PUT", &url, &fields, dripping(&piece)).await {
            Some(sent) if sent.status == 200 => {
                job.stands_at(standing(&sent.json()?)?)?;
                return Ok(End::Complete);
            }
            Some(sent) if sent.status == 201 => job.stands_at(standing(&sent.json()?)?)?,
            Some(sent) => {
                let sent = sent.expect(&[400, 409, 502, 503, 504], "a chunk")?;
                let told = sent.json()?;
                if let Ok(offset) = standing(&told) {
                    job.stands_at(offset)?;
                }
                // An end of which the answer was lost.
                if told["code"] == "offset" && standing(&told)? == job.len() {
                    return Ok(End::Complete);
                }
                job.again(&sent.outcome()).await?;
            }
            None => job.again("no answer to a chunk").await?,
        }
        if job.leaves() && job.offset() < job.len() {
            return Ok(End::Left);
        }
        if job.random.percent(10) {
            let looked = job
                .ask("GET", &format!("/chunk?session_id={session}"), &[], Vec::new())
                .await?;
            if looked.status == 200 {
                job.stands_at(standing(&looked.json()?)?)?;
            }
        }
    }
}

fn standing(told: &Value) -> Result<usize, String> {
    let offset = told["offset"]
        .as_u64()
        .and_then(|offset| usize::try_from(offset).ok());
    offset.ok_or_else(|| format!("no offset in {told}"))
}
