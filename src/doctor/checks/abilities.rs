//! What the store can do: sizes and numbers of parts, checksums, conditions, the order of lists.
//!
//! Where stores may differ without harm it is a fact for the report; what an upload would fail of is a finding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::permissions::{part_list, upload_id};
use super::{probe_key, upload_prefix};
use crate::config::Config;
use crate::doctor::ask::{Answer, Ask, Trouble};
use crate::doctor::{Finding, Id, Report, needs};
use crate::signing::{ObjectHeaders, Operation};

/// What every S3 takes as a part.
const TAKEN_EVERYWHERE: u64 = 5 << 20;

/// Checksums of S3 with one that no body of ours has: the right length, all ones.
const CHECKSUMS: [(&str, usize); 5] = [
    ("x-amz-checksum-crc32", 4),
    ("x-amz-checksum-crc32c", 4),
    ("x-amz-checksum-crc64nvme", 8),
    ("x-amz-checksum-sha1", 20),
    ("x-amz-checksum-sha256", 32),
];

/// Tries them.
pub async fn check(config: &Config, ask: &Ask, report: &mut Report) {
    let key = probe_key(&upload_prefix(config));
    checksums(config, ask, &key, report).await;
    conditions(ask, &key, report).await;
    let _ = ask.send(Operation::DeleteObject, &key, Bytes::new()).await;
    last_part(config, ask, &key, report).await;
    if config.min_part_size() < TAKEN_EVERYWHERE {
        least_part(config, ask, &key, report).await;
    }
    order(ask, &key, report).await;
}

/// Claims a wrong sum with each algorithm; a store that takes the body has not looked.
async fn checksums(config: &Config, ask: &Ask, key: &str, report: &mut Report) {
    let mut verified = Vec::new();
    for (name, length) in CHECKSUMS {
        let wrong = STANDARD.encode(vec![0xff; length]);
        if refuses(ask, key, name, &wrong).await {
            verified.push(name.trim_start_matches("x-amz-checksum-"));
        }
    }
    let md5_checked = refuses(ask, key, "content-md5", &STANDARD.encode([0xff; 16])).await;
    if md5_checked {
        verified.push("content-md5");
    } else if ask.location.origin().starts_with("http://") || config.s3.public_endpoint.starts_with("http://")
    {
        // On every other way TLS sees damage by itself.
        report.add(Finding::new(
            Id::Md5Ignored,
            "a body with another MD5 than its Content-MD5 was taken",
            "set s3.endpoint, and s3.public_endpoint where it is set, to an https:// address of the store; or take a store that \
             checks Content-MD5",
        ));
    }
    report.fact("checksums that the store verifies", verified.join(", "));
}

async fn refuses(ask: &Ask, key: &str, header: &str, value: &str) -> bool {
    let extra = [(header, value)];
    let answer = ask.send(put(1, &extra), key, Bytes::from_static(b"x")).await;
    answer.is_ok_and(|answer| !answer.is_fine())
}

fn put<'a>(length: u64, extra: &'a [(&'a str, &'a str)]) -> Operation<'a> {
    Operation::PutObject {
        content_length: Some(length),
        headers: ObjectHeaders {
            extra,
            ..ObjectHeaders::default()
        },
    }
}

async fn conditions(ask: &Ask, key: &str, report: &mut Report) {
    if ask.send(put(1, &[]), key, Bytes::from_static(b"x")).await.is_ok() {
        let holds = refuses(ask, key, "if-none-match", "*").await;
        report.fact(
            "If-None-Match on a write",
            if holds { "honoured" } else { "ignored" },
        );
    }
}

/// Sends the last part that an upload may have by the settings.
async fn last_part(config: &Config, ask: &Ask, key: &str, report: &mut Report) {
    let Some(id) = begin(ask, key).await else { return };
    let last = needs::most_parts(config);
    if let Ok(answer) = send_part(ask, key, &id, last).await
        && !answer.is_fine()
    {
        let taken = last_taken(ask, key, &id, last).await;
        report.add(too_many_parts(config, (last, taken), &answer));
    }
    drop_upload(ask, key, &id).await;
}

async fn send_part(ask: &Ask, key: &str, upload_id: &str, part_number: u16) -> Result<Answer, Trouble> {
    let part = Operation::UploadPart {
        upload_id,
        part_number,
        content_length: 1,
    };
    ask.send(part, key, Bytes::from_static(b"x")).await
}

/// The last part below a refused one that the store takes, found by halving; 0 where it takes none.
async fn last_taken(ask: &Ask, key: &str, upload_id: &str, refused: u16) -> u16 {
    let (mut taken, mut refused) = (0_u16, refused);
    while refused - taken > 1 {
        let middle = taken.midpoint(refused);
        let answer = send_part(ask, key, upload_id, middle).await;
        if answer.is_ok_and(|answer| answer.is_fine()) {
            taken = middle;
        } else {
            refused = middle;
        }
    }
    taken
}

fn too_many_parts(config: &Config, (refused, taken): (u16, u16), answer: &Answer) -> Finding {
    let said = answer.words();
    let seen = match taken {
        0 => format!("part {refused}, and every one before: {said}"),
        _ => format!("part {refused}: {said}; part {taken} is the last to be taken"),
    };
    let fix = if taken == 0 {
        "see what the store says to UploadPart".to_owned()
    } else if needs::relays(config) {
        let size = config.min_part_size().saturating_mul(taken.into());
        format!(
            "set limits.max_parts = {taken}, and for what is appended to (tus and its like) limits.max_size = {size}: so many \
             times s3.min_part_size, which may be raised"
        )
    } else {
        format!("set limits.max_parts = {taken}")
    };
    Finding::new(Id::PartCount, seen, fix)
}

/// Joins an upload whose first part is as small as the settings believe to be enough.
async fn least_part(config: &Config, ask: &Ask, key: &str, report: &mut Report) {
    let Some(id) = begin(ask, key).await else { return };
    let least = config.min_part_size();
    let mut etags = Vec::new();
    for (number, length) in [(1, least), (2, 1)] {
        let part = Operation::UploadPart {
            upload_id: &id,
            part_number: number,
            content_length: length,
        };
        let body = Bytes::from(vec![0; usize::try_from(length).unwrap_or_default()]);
        let sent = ask.send(part, key, body).await.ok().filter(Answer::is_fine);
        let etag = sent.and_then(|answer| answer.header("etag").map(str::to_owned));
        etags.extend(etag.map(|etag| (number, etag)));
    }
    let parts: Vec<(u16, &str)> = etags
        .iter()
        .map(|(number, etag)| (*number, etag.as_str()))
        .collect();
    let complete = Operation::CompleteMultipartUpload { upload_id: &id };
    match ask.send(complete, key, part_list(&parts)).await {
        Ok(answer) if answer.is_fine() => {
            let _ = ask.send(Operation::DeleteObject, key, Bytes::new()).await;
        }
        Ok(answer) if answer.code() == "EntityTooSmall" => report.add(Finding::new(
            Id::PartTooSmall,
            format!("two parts, the first of {least} bytes: {}", answer.words()),
            format!("set s3.min_part_size = {TAKEN_EVERYWHERE} and uploads.part_size to at least that"),
        )),
        _ => {}
    }
    drop_upload(ask, key, &id).await;
}

/// Whether lists of uploads come by key, as S3 promises.
async fn order(ask: &Ask, key: &str, report: &mut Report) {
    let keys = [format!("{key}-b"), format!("{key}-c"), format!("{key}-a")];
    let mut begun = Vec::new();
    for key in &keys {
        begun.extend(begin(ask, key).await.map(|id| (key, id)));
    }
    let list = Operation::ListMultipartUploads {
        prefix: Some(key),
        key_marker: None,
        upload_id_marker: None,
        max_uploads: None,
    };
    if let Ok(answer) = ask.send(list, "", Bytes::new()).await.map(|answer| answer.body) {
        let at: Vec<_> = ["-a<", "-b<", "-c<"]
            .iter()
            .filter_map(|end| answer.find(end))
            .collect();
        if at.len() == keys.len() {
            let sorted = at.is_sorted();
            report.fact("lists of uploads", if sorted { "by key" } else { "in no order" });
        }
    }
    for (key, id) in begun {
        drop_upload(ask, key, &id).await;
    }
}

async fn begin(ask: &Ask, key: &str) -> Option<String> {
    let create = Operation::CreateMultipartUpload {
        headers: ObjectHeaders::default(),
    };
    upload_id(&ask.send(create, key, Bytes::new()).await.ok()?)
}

async fn drop_upload(ask: &Ask, key: &str, upload_id: &str) {
    let abort = Operation::AbortMultipartUpload { upload_id };
    let _ = ask.send(abort, key, Bytes::new()).await;
}
