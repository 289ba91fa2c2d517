//! Uppy's S3 plugin as its versions 2 to 5 talk to Companion.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::PART;
use super::super::job::{End, Job, Outcome};
use super::super::s3_client::encode;

pub async fn multipart(job: &mut Job) -> Outcome {
    let wanted = json!({ "filename": job.name, "type": "video/mp4", "metadata": { "name": job.name, "size": job.len() } });
    let begun = job
        .ask_json("POST", "/s3/multipart", &wanted)
        .await?
        .expect(&[200], "begin")?
        .json()?;
    let text = |name: &str| begun[name].as_str().unwrap_or_default().to_owned();
    let (id, key) = (text("uploadId"), encode(&text("key"), false));
    loop {
        let listed = job
            .ask("GET", &format!("/s3/multipart/{id}?key={key}"), &[], Vec::new())
            .await?;
        let listed = listed.expect(&[200], "list")?.json()?;
        let listed = listed.as_array().cloned().unwrap_or_default();
        let there: BTreeSet<usize> = listed.iter().filter_map(number).collect();
        job.check_parts(&there)?;
        let missing: Vec<usize> = (1..=job.len().div_ceil(PART))
            .filter(|n| !there.contains(n))
            .collect();
        if missing.is_empty() {
            let parts: Vec<Value> = listed
                .iter()
                .map(|part| json!({ "PartNumber": part["PartNumber"], "ETag": part["ETag"] }))
                .collect();
            let path = format!("/s3/multipart/{id}/complete?key={key}");
            let done = job.ask_json("POST", &path, &json!({ "parts": parts })).await?;
            done.expect(&[200], "complete")?;
            return Ok(End::Complete);
        }
        for part in missing {
            let signed = job
                .ask(
                    "GET",
                    &format!("/s3/multipart/{id}/{part}?key={key}"),
                    &[],
                    Vec::new(),
                )
                .await?;
            let signed = signed.expect(&[200], "sign")?.json()?;
            let bytes = job.part(part, PART);
            job.sends_part(part, bytes.len());
            let url = signed["url"].as_str().unwrap_or_default();
            match job.send("PUT", url, &[], bytes.into()).await {
                Some(sent) if sent.status == 200 => job.has_part(part),
                Some(sent) => {
                    sent.expect(&[503], "a part")?;
                    break;
                }
                None => break,
            }
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        job.again("parts may be missing").await?;
    }
}

fn number(part: &Value) -> Option<usize> {
    part["PartNumber"]
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

pub async fn single(job: &mut Job) -> Outcome {
    loop {
        let path = format!("/s3/params?filename={}&type=video%2Fmp4", job.name);
        let form = job
            .ask("GET", &path, &[], Vec::new())
            .await?
            .expect(&[200], "params")?
            .json()?;
        if job.leaves() {
            return Ok(End::Left);
        }
        let (kind, body) = filled(&form, &job.bytes);
        job.sends(job.len());
        let url = form["url"].as_str().unwrap_or_default();
        match job
            .send("POST", url, &[("content-type", &kind)], body.into())
            .await
        {
            Some(sent) if sent.status == 201 => return Ok(End::Complete),
            Some(sent) => {
                sent.expect(&[503], "the form")?;
            }
            // The plugin begins again, and the first object may be there as well.
            None => {}
        }
        job.again("the form was not taken").await?;
    }
}

/// The type and the body of a form with a file.
fn filled(form: &Value, bytes: &[u8]) -> (String, Vec<u8>) {
    const EDGE: &str = "the-boundary-of-the-tests";
    let mut body = Vec::new();
    for (name, value) in form["fields"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        body.extend_from_slice(
            format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    body.extend_from_slice(
        format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"blob\"\r\n\r\n")
            .as_bytes(),
    );
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{EDGE}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={EDGE}"), body)
}
