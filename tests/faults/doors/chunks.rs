//! The chunk server's protocol: a token for each part.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::job::{End, Job, Outcome, dripping};
use super::number;

pub async fn upload(job: &mut Job) -> Outcome {
    let wanted = json!({ "filename": job.name, "total_size": job.len() });
    let begun = job.ask_json("POST", "/upload/init", &wanted).await?;
    let begun = begun.expect(&[200], "init")?.json()?;
    let id = begun["file_id"].as_str().unwrap_or_default().to_owned();
    let size = number(&begun["chunk_size"]).unwrap_or(1);
    loop {
        let looked = job
            .ask("GET", &format!("/upload/{id}/status"), &[], Vec::new())
            .await?;
        let found = looked.expect(&[200], "status")?.json()?;
        if found["status"] == "complete" || found["status"] == "completed" {
            return Ok(End::Complete);
        }
        let parts = found["parts"].as_array().cloned().unwrap_or_default();
        let there = parts.iter().filter(|part| part["status"] == "uploaded");
        let there: BTreeSet<usize> = there
            .filter_map(|part| Some(number(&part["part"])? + 1))
            .collect();
        job.check_parts(&there)?;
        if there.len() == parts.len() {
            let path = format!("/upload/{id}/complete");
            let done = job.ask("POST", &path, &[], Vec::new()).await?;
            done.expect(&[200], "complete")?;
            return Ok(End::Complete);
        }
        for part in parts.iter().filter(|part| part["status"] != "uploaded") {
            let number = number(&part["part"]).unwrap_or_default() + 1;
            let bytes = job.part(number, size);
            job.sends_part(number, bytes.len());
            let url = format!("{}/upload/{id}/part/{}", job.instance(), number - 1);
            let token = format!("Bearer {}", part["token"].as_str().unwrap_or_default());
            let length = bytes.len().to_string();
            let fields = [
                ("authorization", token.as_str()),
                ("content-length", length.as_str()),
            ];
            match job.send("PUT", &url, &fields, dripping(&bytes)).await {
                Some(sent) if sent.status == 200 => job.has_part(number),
                Some(sent) => {
                    sent.expect(&[400, 409, 502, 503, 504], "a part")?;
                    break;
                }
                None => break,
            }
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        job.again("parts are missing").await?;
    }
}
