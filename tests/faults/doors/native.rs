//! The native API, straight to the store and through the program.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::PART;
use super::super::job::{End, Job, Outcome, dripping};
use super::number;

pub async fn direct(job: &mut Job) -> Outcome {
    upload(job, false).await
}

pub async fn relayed(job: &mut Job) -> Outcome {
    upload(job, true).await
}

async fn upload(job: &mut Job, is_relayed: bool) -> Outcome {
    let wanted = json!({
        "filename": job.name, "size": job.len(), "part_size": PART, "fingerprint": job.name,
    });
    let begun = job.ask_json("POST", "/api/v1/uploads", &wanted).await?;
    let id = text(&begun.expect(&[200, 201], "begin")?.json()?, "id");
    loop {
        let looked = job
            .ask("GET", &format!("/api/v1/uploads/{id}"), &[], Vec::new())
            .await?;
        let found = looked.expect(&[200], "look")?.json()?;
        if found["state"] == "complete" {
            return Ok(End::Complete);
        }
        let listed = found["parts"].as_array().into_iter().flatten();
        let there: BTreeSet<usize> = listed.filter_map(|part| number(&part["number"])).collect();
        job.check_parts(&there)?;
        let missing: Vec<usize> = (1..=job.len().div_ceil(PART))
            .filter(|n| !there.contains(n))
            .collect();
        if missing.is_empty() {
            complete(job, &id).await?;
            continue;
        }
        let is_done = if is_relayed {
            relay(job, &id, &missing).await?
        } else {
            send(job, &id, &missing).await?
        };
        if job.leaves() {
            return Ok(End::Left);
        }
        if !is_done {
            job.again("parts are missing").await?;
        }
    }
}

async fn complete(job: &mut Job, id: &str) -> Result<(), String> {
    let done = job
        .ask("POST", &format!("/api/v1/uploads/{id}/complete"), &[], Vec::new())
        .await?;
    // What is missing after all is told by the next look.
    done.expect(&[200, 409], "complete").map(drop)
}

/// Sends parts to the store; whether all of them arrived.
async fn send(job: &mut Job, id: &str, missing: &[usize]) -> Result<bool, String> {
    let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let path = format!("/api/v1/uploads/{id}/signatures");
    let signed = job
        .ask_json("POST", &path, &json!({ "parts": list.join(",") }))
        .await?;
    let signed = signed.expect(&[200], "sign")?.json()?;
    for one in signed["signatures"].as_array().into_iter().flatten() {
        let part = number(&one["number"]).ok_or_else(|| format!("no number in {one}"))?;
        let bytes = job.part(part, PART);
        job.sends_part(part, bytes.len());
        let fields: Vec<(String, String)> = one["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let Some(sent) = job
            .send("PUT", &text(one, "url"), &fields, bytes.clone().into())
            .await
        else {
            return Ok(false);
        };
        if sent.status != 200 {
            sent.expect(&[503], "a part")?;
            return Ok(false);
        }
        job.has_part(part);
        if job.random.percent(50) {
            let told = json!({ "etag": sent_tag(&sent.headers), "size": bytes.len() });
            let path = format!("/api/v1/uploads/{id}/parts/{part}");
            let fields = [("content-type", "application/json")];
            if let Some(told) = job
                .once("PUT", &path, &fields, told.to_string().into_bytes())
                .await
            {
                told.expect(&[200, 204, 503], "report")?;
            }
        }
        if job.leaves() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends parts through the program; whether all of them arrived.
async fn relay(job: &mut Job, id: &str, missing: &[usize]) -> Result<bool, String> {
    for part in missing {
        let bytes = job.part(*part, PART);
        job.sends_part(*part, bytes.len());
        let url = format!("{}/api/v1/uploads/{id}/parts/{part}/content", job.instance());
        let length = bytes.len().to_string();
        let fields = [
            ("x-api-key", super::super::KEY),
            ("content-type", "application/octet-stream"),
            ("content-length", length.as_str()),
        ];
        match job.send("PUT", &url, &fields, dripping(&bytes)).await {
            Some(sent) if sent.status == 200 => job.has_part(*part),
            Some(sent) => {
                // Somebody else sends the same: that was we, over a connection that is gone.
                sent.expect(&[400, 409, 502, 503], "a part")?;
                return Ok(false);
            }
            None => return Ok(false),
        }
        if job.leaves() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sent_tag(headers: &reqwest::header::HeaderMap) -> String {
    let tag = headers.get("etag").and_then(|value| value.to_str().ok());
    tag.unwrap_or_default().to_owned()
}

fn text(from: &Value, name: &str) -> String {
    from[name].as_str().unwrap_or_default().to_owned()
}
