//! Evaporate and Fine Uploader: the page writes each request to the store itself, has it signed, and sends it.

use std::collections::BTreeSet;

use super::super::job::{End, Job, Outcome, Reply};
use super::super::page::{EMPTY, Written, hash_of, joining};
use super::super::{BUCKET, PART, STORE_ID};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Evaporate,
    FineUploader,
}

pub async fn evaporate(job: &mut Job) -> Outcome {
    upload(job, Page::Evaporate).await
}

pub async fn fine_uploader(job: &mut Job) -> Outcome {
    upload(job, Page::FineUploader).await
}

impl Page {
    /// A request as this client writes it.
    fn write(self, job: &Job, method: &'static str, query: &str, payload: &str) -> Written {
        let key = format!("pages/default/{}", job.name);
        let (_, address) = job.store.split_once("://").expect("an address");
        let now = chrono::Utc::now();
        match self {
            // It leaves the port out.
            Self::Evaporate => {
                let host = address.rsplit_once(':').expect("a port").0;
                let payload = if method == "PUT" {
                    "UNSIGNED-PAYLOAD"
                } else {
                    payload
                };
                Written::new(method, host, &format!("/{BUCKET}/{key}"), query, payload, now)
            }
            // It writes the bucket behind the host.
            Self::FineUploader => {
                let host = format!("{address}/{BUCKET}");
                Written::new(method, &host, &format!("/{key}"), query, payload, now)
                    .with("x-amz-content-sha256", payload)
            }
        }
    }

    /// The answer of whoever signs it.
    async fn sign(self, job: &mut Job, written: &Written) -> Result<Reply, String> {
        let canonical = written.canonical();
        match self {
            Self::Evaporate => {
                let to_sign = written.to_sign(&hash_of(&canonical));
                let pairs = [
                    ("to_sign", &to_sign),
                    ("datetime", &written.date),
                    ("canonical_request", &canonical),
                ];
                let query = encoded(&pairs);
                job.ask("GET", &format!("/evaporate/sign?{query}"), &[], Vec::new())
                    .await
            }
            Self::FineUploader => {
                let asked = serde_json::json!({ "headers": written.to_sign(&canonical) });
                job.ask_json("POST", "/fineuploader/signature?v4=true", &asked)
                    .await
            }
        }
    }

    /// Has it signed and sends it to the store; the refusal where it is not signed, and nothing where no answer came or the
    /// store is busy.
    async fn send(
        self,
        job: &mut Job,
        written: &Written,
        body: Vec<u8>,
    ) -> Result<Result<Option<Reply>, Reply>, String> {
        let signed = self.sign(job, written).await?;
        if signed.status != 200 {
            return Ok(Err(signed));
        }
        let (signature, place) = match self {
            Self::Evaporate => (signed.text(), job.store.clone()),
            Self::FineUploader => {
                let signature = signed.json()?["signature"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                (signature, format!("{}/{BUCKET}", job.store))
            }
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={STORE_ID}/{}, SignedHeaders={}, Signature={signature}",
            written.scope(),
            written.signed_headers()
        );
        let mut fields = vec![
            ("authorization", authorization.as_str()),
            ("x-amz-content-sha256", written.payload.as_str()),
        ];
        let own = written
            .headers
            .iter()
            .filter(|(name, _)| !["host", "x-amz-content-sha256"].contains(&name.as_str()));
        fields.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        let url = format!("{place}{}?{}", written.path, written.query);
        let answer = job.send(written.method, &url, &fields, body.into()).await;
        Ok(Ok(answer.filter(|answer| answer.status != 503)))
    }

    /// Tells that the object is there, where this client does.
    async fn tell(self, job: &mut Job) -> Result<(), String> {
        if self == Self::FineUploader {
            let key = format!("pages/default/{}", job.name);
            let form = format!("key={key}&uuid=u-1&name={}&bucket={BUCKET}&etag=x", job.name);
            let fields = [("content-type", "application/x-www-form-urlencoded")];
            let told = job
                .ask("POST", "/fineuploader/success", &fields, form.into_bytes())
                .await?;
            told.expect(&[200], "success")?;
        }
        Ok(())
    }

    /// The store's id of a new upload.
    async fn begin(self, job: &mut Job) -> Result<String, String> {
        loop {
            let mut written = self.write(job, "POST", "uploads=", EMPTY);
            if self == Self::FineUploader {
                written = written
                    .with("x-amz-acl", "private")
                    .with("x-amz-meta-qqfilename", &job.name);
            }
            match self.send(job, &written, Vec::new()).await? {
                Ok(Some(begun)) => {
                    let ids = begun.expect(&[200], "begin")?.tags("UploadId");
                    return ids.into_iter().next().ok_or_else(|| "no id".to_owned());
                }
                Ok(None) => job.again("no answer to the beginning").await?,
                Err(refused) => return Err(format!("begin: {}", refused.outcome())),
            }
        }
    }
}

fn encoded(pairs: &[(&str, &String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

async fn upload(job: &mut Job, page: Page) -> Outcome {
    let id = page.begin(job).await?;
    let query = format!("uploadId={id}");
    let mut may_be_complete = false;
    loop {
        let list = page.write(job, "GET", &query, EMPTY);
        let listed = match page.send(job, &list, Vec::new()).await? {
            Ok(Some(listed)) if listed.status == 200 => listed,
            Ok(Some(gone)) if gone.status == 404 && may_be_complete => break,
            Err(_) if may_be_complete => break,
            Ok(Some(refused)) | Err(refused) => return Err(format!("list: {}", refused.outcome())),
            Ok(None) => {
                job.again("no list").await?;
                continue;
            }
        };
        let parts = listed.parts();
        let there: BTreeSet<usize> = parts.iter().map(|(number, _, _)| *number).collect();
        job.check_parts(&there)?;
        let missing: Vec<usize> = (1..=job.len().div_ceil(PART))
            .filter(|n| !there.contains(n))
            .collect();
        if missing.is_empty() {
            let tags: Vec<String> = parts.into_iter().map(|(_, tag, _)| tag).collect();
            let xml = joining(&tags);
            let mut end = page.write(job, "POST", &query, &hash_of(&xml));
            if page == Page::Evaporate {
                end = end.with("content-type", "application/xml; charset=UTF-8");
            }
            match page.send(job, &end, xml.into_bytes()).await? {
                Ok(Some(done)) if done.status == 200 => break,
                Ok(Some(refused)) if refused.status == 404 && may_be_complete => break,
                Err(_) if may_be_complete => break,
                Ok(Some(refused)) | Err(refused) => return Err(format!("complete: {}", refused.outcome())),
                Ok(None) => may_be_complete = true,
            }
        }
        for part in missing {
            let bytes = job.part(part, PART);
            job.sends_part(part, bytes.len());
            let asked = format!("partNumber={part}&{query}");
            let written = page.write(job, "PUT", &asked, &hash_of(&bytes));
            match page.send(job, &written, bytes).await? {
                Ok(Some(sent)) if sent.status == 200 => job.has_part(part),
                Ok(Some(refused)) | Err(refused) => return Err(format!("a part: {}", refused.outcome())),
                Ok(None) => break,
            }
            if job.leaves() {
                return Ok(End::Left);
            }
        }
        job.again("parts may be missing").await?;
    }
    page.tell(job).await?;
    Ok(End::Complete)
}
