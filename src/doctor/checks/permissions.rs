//! What our key may do: each request that uploads make, made once, below each prefix that we write.

use std::fmt::Write as _;

use bytes::Bytes;

use super::probe_key;
use crate::config::Config;
use crate::doctor::ask::{Answer, Ask, Trouble};
use crate::doctor::{Finding, Id, Report, needs};
use crate::signing::{ObjectHeaders, Operation};

/// What a probe holds.
const PROBE: &[u8] = b"muleteer doctor\n";

/// Tries everything; whether objects can be written where uploads go.
pub async fn check(config: &Config, ask: &Ask, report: &mut Report) -> bool {
    let mut may_write = true;
    for prefix in needs::prefixes(config) {
        let mut probe = Probe {
            config,
            ask,
            report,
            key: probe_key(&prefix),
        };
        may_write &= probe.object().await;
        if may_write {
            probe.multipart().await;
        }
    }
    let list = Operation::ListObjects {
        prefix: &super::upload_prefix(config),
        start_after: None,
    };
    let answer = ask.send(list, "", Bytes::new()).await;
    let mut probe = Probe {
        config,
        ask,
        report,
        key: String::new(),
    };
    probe.judge(Id::ListObjects, "ListObjectsV2", "s3:ListBucket", &answer);
    may_write
}

struct Probe<'a> {
    config: &'a Config,
    ask: &'a Ask,
    report: &'a mut Report,
    key: String,
}

impl Probe<'_> {
    /// Writes, looks, reads and removes one object.
    async fn object(&mut self) -> bool {
        let put = Operation::PutObject {
            content_length: Some(PROBE.len() as u64),
            headers: ObjectHeaders::default(),
        };
        let answer = self.ask.send(put, &self.key, Bytes::from_static(PROBE)).await;
        if !self.judge(Id::Put, "PutObject", "s3:PutObject", &answer) {
            return false;
        }
        let get = Operation::GetObject { range: None };
        let answer = self.ask.send(get, &self.key, Bytes::new()).await;
        self.judge(Id::Get, "GetObject", "s3:GetObject", &answer);
        let answer = self
            .ask
            .send(Operation::DeleteObject, &self.key, Bytes::new())
            .await;
        self.judge(Id::Delete, "DeleteObject", "s3:DeleteObject", &answer);
        true
    }

    /// Begins an upload, sends a part, lists it, joins it; begins another, and drops it.
    async fn multipart(&mut self) {
        let Some(id) = self.begin().await else { return };
        let part = Operation::UploadPart {
            upload_id: &id,
            part_number: 1,
            content_length: PROBE.len() as u64,
        };
        let answer = self.ask.send(part, &self.key, Bytes::from_static(PROBE)).await;
        let sent = self.judge(Id::Put, "UploadPart", "s3:PutObject", &answer);
        let etag = answer
            .ok()
            .and_then(|answer| answer.header("etag").map(str::to_owned));

        let list = Operation::ListParts {
            upload_id: &id,
            marker: None,
            max_parts: None,
        };
        let answer = self.ask.send(list, &self.key, Bytes::new()).await;
        self.judge(Id::ListParts, "ListParts", "s3:ListMultipartUploadParts", &answer);

        if let Some(etag) = etag.filter(|_| sent) {
            let complete = Operation::CompleteMultipartUpload { upload_id: &id };
            let answer = self.ask.send(complete, &self.key, part_list(&[(1, &etag)])).await;
            self.judge(Id::Complete, "CompleteMultipartUpload", "s3:PutObject", &answer);
            // Refused or not, it was told above; this is to leave nothing behind.
            let _ = self
                .ask
                .send(Operation::DeleteObject, &self.key, Bytes::new())
                .await;
        }
        // What could not be joined is dropped by the same request whose right is tried here.
        let second = self.begin().await;
        let abort = Operation::AbortMultipartUpload {
            upload_id: second.as_deref().unwrap_or(&id),
        };
        let answer = self.ask.send(abort, &self.key, Bytes::new()).await;
        self.judge(
            Id::Abort,
            "AbortMultipartUpload",
            "s3:AbortMultipartUpload",
            &answer,
        );
        let first = Operation::AbortMultipartUpload { upload_id: &id };
        let _ = self.ask.send(first, &self.key, Bytes::new()).await;
    }

    async fn begin(&mut self) -> Option<String> {
        let create = Operation::CreateMultipartUpload {
            headers: ObjectHeaders::default(),
        };
        let answer = self.ask.send(create, &self.key, Bytes::new()).await;
        if !self.judge(Id::Put, "CreateMultipartUpload", "s3:PutObject", &answer) {
            return None;
        }
        upload_id(&answer.ok()?)
    }

    /// Whether it worked; tells why not, once for each right.
    fn judge(&mut self, id: Id, request: &str, action: &str, answer: &Result<Answer, Trouble>) -> bool {
        let seen = match answer {
            Ok(answer) if answer.is_fine() => return true,
            Ok(answer) if answer.is_denied() => format!("{request} on {}: {}", self.place(), answer.words()),
            Ok(answer) => {
                let seen = format!("{request} on {}: {}", self.place(), answer.words());
                self.add_once(
                    Id::StoreFails,
                    seen,
                    format!("see what the store says to {request}"),
                );
                return false;
            }
            Err(trouble) => {
                let seen = format!("{request} on {}: {}", self.place(), trouble.detail);
                self.add_once(
                    Id::StoreFails,
                    seen,
                    "see the store's own log, and the network between".to_owned(),
                );
                return false;
            }
        };
        let bucket = needs::bucket_arn(self.config);
        let prefix = self.key.split(".muleteer-doctor-").next().unwrap_or_default();
        let resource = match id {
            Id::ListObjects => bucket,
            _ => format!("{bucket}/{prefix}*"),
        };
        let mut fix = format!("allow {action} on {resource}; `muleteer policy` prints all that is needed");
        if id == Id::Complete {
            // The same right has just written an object and a part, or we would not have come here.
            fix.push_str(
                ". Other writes were allowed: look for a condition in the policy, and for a proxy that changes POST requests",
            );
        }
        self.add_once(id, seen, fix);
        false
    }

    fn place(&self) -> &str {
        if self.key.is_empty() {
            "the bucket"
        } else {
            &self.key
        }
    }

    fn add_once(&mut self, id: Id, seen: String, fix: String) {
        if !self.report.has(id) {
            self.report.add(Finding::new(id, seen, fix));
        }
    }
}

/// The id in the answer to a beginning.
pub(super) fn upload_id(answer: &Answer) -> Option<String> {
    let text = crate::doctor::rules::text_of(&answer.body, "UploadId")?;
    quick_xml::escape::unescape(text)
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// The body of a completion.
pub(super) fn part_list(parts: &[(u16, &str)]) -> Bytes {
    let mut xml = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        let etag = quick_xml::escape::escape(*etag);
        let _ = write!(
            xml,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        );
    }
    xml.push_str("</CompleteMultipartUpload>");
    Bytes::from(xml)
}
