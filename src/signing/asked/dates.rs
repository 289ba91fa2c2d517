//! The dates of what is to be signed.
//!
//! Separate, because requests in both versions and policies are dated, and S3 allows the same for all of them: fifteen
//! minutes (<https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html>, "time stamp requirement").

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::Refusal;
use crate::signing::{encoding, v2};

/// How far a date may be from our clock, in both directions; and how far ahead a policy may end.
pub(super) const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// Checks a date of SigV4, such as `20260505T100000Z`.
pub(super) fn check_v4(text: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").map(|time| time.and_utc());
    let time = time.ok().filter(|time| encoding::timestamp(*time) == text);
    near(time.ok_or(Refusal("date: must look like 20260505T100000Z"))?, now)
}

/// Checks a date of SigV2, such as `Tue, 05 May 2026 10:00:00 GMT`.
pub(super) fn check_v2(text: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let time = NaiveDateTime::parse_from_str(text, "%a, %d %b %Y %H:%M:%S GMT").map(|time| time.and_utc());
    let time = time.ok().filter(|time| v2::http_date(*time) == text);
    near(
        time.ok_or(Refusal("date: must look like Tue, 05 May 2026 10:00:00 GMT"))?,
        now,
    )
}

/// Checks the end of a policy, such as `2026-05-05T10:05:00.000Z`.
pub(super) fn check_expiration(text: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let end: DateTime<Utc> = text
        .parse()
        .map_err(|_| Refusal("expiration: must look like 2026-05-05T10:05:00.000Z"))?;
    if end > now && end <= now + WINDOW {
        Ok(())
    } else {
        Err(Refusal(
            "expiration: must be within the next 15 minutes of our clock",
        ))
    }
}

fn near(time: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
    if (time - now).abs() <= WINDOW {
        Ok(())
    } else {
        Err(Refusal("date: must be within 15 minutes of our clock"))
    }
}
