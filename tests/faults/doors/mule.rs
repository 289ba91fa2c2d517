//! mule-uploader's two generations: the browser talks to the store, with signatures of ours or with the key of the day.

use std::collections::BTreeSet;

use super::super::job::{End, Job, Outcome, Reply};
use super::super::s3_client::completion;
use super::super::script::Grant;
use super::super::{BUCKET, PART, STORE_ID};

const TYPE: &str = "application/octet-stream";

/// How a try to complete ended.
enum Ended {
    Complete,
    /// The store may have completed it, and its answer is lost.
    Unknown,
    NotYet,
}

/// What tells a file apart.
fn identity(job: &Job) -> String {
    format!(
        "filename={}&filesize={}&last_modified=1777975200000",
        job.name,
        job.len()
    )
}

/// A call of the backend.
async fn call(job: &mut Job, action: &str, query: &str) -> Result<Reply, String> {
    job.ask(
        "GET",
        &format!("/upload-backend/{action}/?{query}"),
        &[],
        Vec::new(),
    )
    .await
}

fn missing(job: &Job, listed: &Reply) -> Result<Vec<usize>, String> {
    let there: BTreeSet<usize> = listed.parts().into_iter().map(|(number, _, _)| number).collect();
    job.check_parts(&there)?;
    Ok((1..=job.len().div_ceil(PART))
        .filter(|number| !there.contains(number))
        .collect())
}

fn joining(listed: &Reply) -> String {
    let parts = listed.parts();
    let parts: Vec<(u16, &str)> = parts
        .iter()
        .map(|(number, tag, _)| (u16::try_from(*number).expect("small"), tag.as_str()))
        .collect();
    completion(&parts)
}

pub async fn first(job: &mut Job) -> Outcome {
    let begin = format!("key=proposed&mime_type={TYPE}&{}", identity(job));
    loop {
        let begun = call(job, "get_init_signature", &begin).await?;
        let begun = begun.expect(&[200], "begin")?.json()?;
        let text = |name: &str| begun[name].as_str().unwrap_or_default().to_owned();
        let (key, id) = (text("key"), text("upload_id"));
        let pair = format!("upload_id={id}&key={key}");
        let Some(listed) = signed(job, "get_list_signature", &pair, "GET", &key, &id, "", Vec::new()).await?
        else {
            job.again("no list").await?;
            continue;
        };
        let missing = missing(job, &listed.expect(&[200], "list")?)?;
        let mut is_whole = true;
        for number in missing {
            let bytes = job.part(number, PART);
            job.sends_part(number, bytes.len());
            let asked = format!("chunk={number}&{pair}");
            let part = format!("partNumber={number}&");
            match signed(job, "get_chunk_signature", &asked, "PUT", &key, &id, &part, bytes).await? {
                Some(sent) if sent.status == 200 => job.has_part(number),
                _ => {
                    is_whole = false;
                    break;
                }
            }
            // The script does not care whether that is heard.
            let told = format!(
                "/upload-backend/chunk_loaded/?key={key}&chunk={number}&upload_id={id}&{}",
                identity(job)
            );
            job.once("GET", &told, &[], Vec::new()).await;
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        if !is_whole {
            job.again("parts are missing").await?;
            continue;
        }
        match end_first(job, &key, &id).await? {
            Ended::Complete => return Ok(End::Complete),
            Ended::Unknown | Ended::NotYet => job.again("it is not complete").await?,
        }
    }
}

/// Completes at the store, and tells us; also where the store's answer was lost.
async fn end_first(job: &mut Job, key: &str, id: &str) -> Result<Ended, String> {
    let pair = format!("upload_id={id}&key={key}");
    let Some(listed) = signed(job, "get_list_signature", &pair, "GET", key, id, "", Vec::new()).await? else {
        return Ok(Ended::NotYet);
    };
    let body = joining(&listed.expect(&[200], "list")?).into_bytes();
    if let Some(done) = signed(job, "get_end_signature", &pair, "POST", key, id, "", body).await?
        && done.status != 200
    {
        return Ok(Ended::NotYet);
    }
    let told = call(
        job,
        "upload_finished",
        &format!("key={key}&upload_id={id}&{}", identity(job)),
    )
    .await?;
    told.expect(&[200], "finished")?;
    Ok(Ended::Complete)
}

/// Has a request signed and sends it to the store; `None` where no answer came, or the store is busy.
#[expect(clippy::too_many_arguments, reason = "what a request to the store is made of")]
async fn signed(
    job: &mut Job,
    action: &str,
    asked: &str,
    method: &str,
    key: &str,
    id: &str,
    query: &str,
    body: Vec<u8>,
) -> Result<Option<Reply>, String> {
    let signature = call(job, action, asked).await?.expect(&[200], action)?.json()?;
    let text = |name: &str| signature[name].as_str().unwrap_or_default().to_owned();
    let authorization = format!("AWS {STORE_ID}:{}", text("signature"));
    let disposition = format!("attachment; filename={}", job.name);
    let date = text("date");
    let mut fields = vec![
        ("authorization", authorization.as_str()),
        ("x-amz-date", date.as_str()),
    ];
    if method != "GET" {
        fields.extend([
            ("content-type", TYPE),
            ("content-disposition", disposition.as_str()),
        ]);
    }
    let url = format!("{}/{BUCKET}/{key}?{query}uploadId={id}", job.store);
    let answer = job.send(method, &url, &fields, body.into()).await;
    Ok(answer.filter(|answer| answer.status != 503))
}

pub async fn second(job: &mut Job) -> Outcome {
    let begin = format!("{}&content_type=video%2Fmp4", identity(job));
    loop {
        let reply = call(job, "signing_key", &begin)
            .await?
            .expect(&[200], "key")?
            .json()?;
        let grant = Grant::of(&reply).map_err(|ending| format!("{ending:?}"))?;
        let id = reply["upload_id"].as_str().unwrap_or_default().to_owned();
        let Some(listed) = with_key(job, &grant, "GET", &format!("uploadId={id}"), Vec::new()).await else {
            job.again("no list").await?;
            continue;
        };
        let mut is_whole = true;
        for number in missing(job, &listed.expect(&[200], "list")?)? {
            let bytes = job.part(number, PART);
            job.sends_part(number, bytes.len());
            let query = format!("partNumber={number}&uploadId={id}");
            match with_key(job, &grant, "PUT", &query, bytes).await {
                Some(sent) if sent.status == 200 => job.has_part(number),
                _ => {
                    is_whole = false;
                    break;
                }
            }
            // It counts its chunks from 0 here.
            let told = format!(
                "{}&chunk={}&key={}&upload_id={id}",
                identity(job),
                number - 1,
                grant.object
            );
            job.once(
                "GET",
                &format!("/upload-backend/chunk_loaded/?{told}"),
                &[],
                Vec::new(),
            )
            .await;
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        if !is_whole {
            job.again("parts are missing").await?;
            continue;
        }
        loop {
            match end_second(job, &grant, &id).await? {
                Ended::Complete => return Ok(End::Complete),
                Ended::NotYet => break,
                Ended::Unknown => job.again("the answer is lost").await?,
            }
        }
        job.again("it is not complete").await?;
    }
}

/// Completes at the store, which nobody tells us.
async fn end_second(job: &mut Job, grant: &Grant, id: &str) -> Result<Ended, String> {
    let query = format!("uploadId={id}");
    let Some(listed) = with_key(job, grant, "GET", &query, Vec::new()).await else {
        return Ok(Ended::Unknown);
    };
    match listed.status {
        200 => {}
        // All parts were there, so it was completed.
        404 => return Ok(Ended::Complete),
        _ => return Err(format!("list: {}", listed.outcome())),
    }
    let body = joining(&listed).into_bytes();
    Ok(match with_key(job, grant, "POST", &query, body).await {
        Some(done) if done.status == 200 => Ended::Complete,
        Some(_) => Ended::NotYet,
        None => Ended::Unknown,
    })
}

/// A request that is signed with the key of the day; `None` where no answer came, or the store is busy.
async fn with_key(job: &Job, grant: &Grant, method: &str, query: &str, body: Vec<u8>) -> Option<Reply> {
    let host = format!("{}.s3.amazonaws.com", grant.bucket);
    let signed = grant.sign(method, &host, query, chrono::Utc::now());
    let url = format!("{}/{}?{signed}", job.store, grant.object);
    let answer = job.send(method, &url, &[("host", &host)], body.into()).await;
    answer.filter(|answer| answer.status != 503)
}
