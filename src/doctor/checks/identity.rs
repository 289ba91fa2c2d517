//! Whether the store can be reached at all, knows us, and has the bucket.
//!
//! One request that every other depends on: a list of multipart uploads. What it brings decides whether the rest is worth
//! asking.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::{probe_key, upload_prefix};
use crate::config::Config;
use crate::doctor::ask::{Answer, Ask, Cause, Trouble};
use crate::doctor::{Finding, Id, Report};
use crate::signing::{AddressingStyle, BucketLocation, ObjectHeaders, Operation};

/// From this difference of the clocks on a URL's life is visibly off.
const NOTICED: TimeDelta = TimeDelta::minutes(1);

/// The list that is asked for: nothing smaller tells a refusal in words, as a HEAD has no body.
const LOOK: Operation<'_> = Operation::ListMultipartUploads {
    prefix: None,
    key_marker: None,
    upload_id_marker: None,
    max_uploads: Some(1),
};

/// Asks; `false` where the rest would only fail for the same reason. `place` says which of AWS's places gave the key, if not
/// the settings.
///
/// # Errors
/// Where this machine cannot make connections.
pub async fn check(
    config: &Config,
    ask: &mut Ask,
    place: Option<&str>,
    report: &mut Report,
) -> anyhow::Result<bool> {
    let mut first = ask.send(LOOK, "", Bytes::new()).await;
    if let Ok(answer) = &first {
        let skew = skew(answer, ask.our_now());
        if let Some(skew) = skew.filter(|skew| skew.abs() >= NOTICED) {
            report.add(clock(skew));
            // What else is wrong can be seen only with signatures of the store's own time.
            ask.ahead = -skew;
            first = ask.send(LOOK, "", Bytes::new()).await;
        }
    }
    let mut problem = match &first {
        Ok(answer) if answer.is_fine() && answer.body.contains("ListMultipartUploadsResult") => {
            return Ok(true);
        }
        Ok(answer) => {
            refused_key(config, place, answer, ask).unwrap_or_else(|| answered(config, ask, answer))
        }
        Err(trouble) => silent(config, ask, trouble),
    };
    let is_denied = matches!(&first, Ok(answer) if answer.code() == "AccessDenied");
    let has_token = place.is_none() && !config.s3.session_token.is_empty();
    if is_denied && has_token && !may_write(config, ask).await {
        // Stores that know no tokens, or not this one, say no more than that, whatever they are asked for.
        problem = bad_token(config, place, problem.seen);
    }
    let could_be_style = matches!(
        problem.id,
        Id::EndpointDns | Id::EndpointNotS3 | Id::BucketMissing | Id::EndpointTls | Id::StoreFails
    );
    if could_be_style && let Some(style) = other_style_works(config, ask).await? {
        let (now, then) = match style {
            AddressingStyle::Path => ("in the host name", "always"),
            AddressingStyle::VirtualHost => ("in the path", "never"),
        };
        report.add(Finding::new(
            Id::PathStyle,
            format!("with the bucket {now} the store says: {}", problem.seen),
            format!("set s3.path_style = \"{then}\""),
        ));
        return Ok(false);
    }
    let goes_on = problem.id == Id::ListUploads;
    report.add(problem);
    Ok(goes_on)
}

fn clock(skew: TimeDelta) -> Finding {
    let (minutes, seconds) = (skew.num_seconds().abs() / 60, skew.num_seconds().abs() % 60);
    let way = if skew > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    Finding::new(
        Id::ClockSkew,
        format!("this machine's clock is {minutes} min {seconds} s {way} the store's (its Date header)"),
        "set the clock (`timedatectl set-ntp true`, or `chronyc makestep`)",
    )
}

/// How far our clock is ahead of the store's.
fn skew(answer: &Answer, now: DateTime<Utc>) -> Option<TimeDelta> {
    let date = DateTime::parse_from_rfc2822(answer.header("date")?).ok()?;
    Some(now - date.to_utc())
}

/// The endpoint as the settings spell it, for words.
fn endpoint(ask: &Ask) -> String {
    ask.location.origin()
}

fn silent(config: &Config, ask: &Ask, trouble: &Trouble) -> Finding {
    let (place, detail) = (endpoint(ask), &trouble.detail);
    let seen = format!("{place}: {detail}");
    match trouble.cause {
        Cause::Dns => Finding::new(
            Id::EndpointDns,
            seen,
            format!(
                "mend s3.endpoint (now \"{}\"), or the name server",
                config.s3.endpoint
            ),
        ),
        Cause::Tls => Finding::new(
            Id::EndpointTls,
            seen,
            match config.s3.endpoint.strip_prefix("https://") {
                Some(host) => format!(
                    "if the store speaks plain HTTP, set s3.endpoint = \"http://{host}\"; else add its certificate's issuer to \
                     this machine's trusted roots"
                ),
                None => {
                    "add the issuer of the store's certificate to this machine's trusted roots".to_owned()
                }
            },
        ),
        Cause::Silence => Finding::new(
            Id::EndpointUnreachable,
            seen,
            format!(
                "mend host and port of s3.endpoint (now \"{}\"), or open the firewall; `curl -v {place}/` shows the same",
                config.s3.endpoint
            ),
        ),
        Cause::Unsigned => Finding::new(Id::StoreAddress, seen, "mend the setting that is named"),
    }
}

fn answered(config: &Config, ask: &Ask, answer: &Answer) -> Finding {
    let s3 = &config.s3;
    let seen = format!("{}: {}", endpoint(ask), answer.words());
    if let Some(region) = other_region(answer, &s3.region) {
        return Finding::new(
            Id::OtherRegion,
            format!("{seen}; the bucket is in {region}, s3.region is {}", s3.region),
            format!("set s3.region = \"{region}\""),
        );
    }
    match answer.code() {
        "RequestTimeTooSkewed" => Finding::new(
            Id::ClockSkew,
            seen,
            "set this machine's clock (`timedatectl set-ntp true`)",
        ),
        "NoSuchBucket" => bucket_missing(config, seen),
        "AccessDenied" | "AllAccessDisabled" => Finding::new(
            Id::ListUploads,
            seen,
            "allow s3:ListBucketMultipartUploads on the bucket; `muleteer policy` prints all that is needed",
        ),
        "" => Finding::new(
            Id::EndpointNotS3,
            format!("{}: status {}, and no answer of S3", endpoint(ask), answer.status),
            format!(
                "set s3.endpoint to the store's S3 address (now \"{}\")",
                s3.endpoint
            ),
        ),
        _ => Finding::new(Id::StoreFails, seen, "see the store's own log"),
    }
}

/// What an answer says against key, secret or token, and where these are to be mended: in the settings, or at the place of
/// AWS's chain that gave them.
fn refused_key(config: &Config, place: Option<&str>, answer: &Answer, ask: &Ask) -> Option<Finding> {
    if other_region(answer, &config.s3.region).is_some() {
        return None;
    }
    let seen = format!("{}: {}", endpoint(ask), answer.words());
    let key = &config.s3.access_key_id;
    let (id, of_settings, of_place) = match answer.code() {
        "InvalidAccessKeyId" => (
            Id::UnknownKey,
            format!("set s3.access_key_id to a key of this store (now \"{key}\")"),
            "have it give a key of this store",
        ),
        "SignatureDoesNotMatch" => (
            Id::WrongSecret,
            "set s3.secret_access_key to the secret of this key; mind a cut end, quotes, and blanks".to_owned(),
            "have it give the secret of this key; mind a cut end, quotes, and blanks",
        ),
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => (
            Id::ExpiredToken,
            "get new temporary credentials, or leave s3.access_key_id empty and let a role give them".to_owned(),
            "have it give new temporary credentials; keys that stand in a file are renewed by nobody: let a role or \
             `credential_process` give them",
        ),
        "InvalidToken" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
            return Some(bad_token(config, place, seen));
        }
        "" | "AccessDenied" | "AllAccessDisabled" | "NoSuchBucket" | "RequestTimeTooSkewed" => return None,
        _ if matches!(answer.status, 401 | 403) => (
            Id::CredentialsRefused,
            "do as the store's words say; where they say little, check s3.access_key_id, s3.secret_access_key and \
             s3.session_token"
                .to_owned(),
            "do as the store's words say; where they say little, check the key, the secret and the token there",
        ),
        _ => return None,
    };
    let fix = place.map_or(of_settings, |place| at_place(place, of_place));
    Some(Finding::new(id, seen, fix))
}

/// What to do about credentials that a place of AWS's chain gave.
fn at_place(place: &str, what: &str) -> String {
    format!("{place} gave these credentials: {what}")
}

/// Whether an object can be written where uploads go; it is removed again.
async fn may_write(config: &Config, ask: &Ask) -> bool {
    let key = probe_key(&upload_prefix(config));
    let put = Operation::PutObject {
        content_length: Some(1),
        headers: ObjectHeaders::default(),
    };
    let written = ask.send(put, &key, Bytes::from_static(b"x")).await;
    let is_written = written.is_ok_and(|answer| answer.is_fine());
    if is_written {
        let _ = ask.send(Operation::DeleteObject, &key, Bytes::new()).await;
    }
    is_written
}

fn bucket_missing(config: &Config, seen: String) -> Finding {
    let s3 = &config.s3;
    let place = if s3.endpoint.is_empty() {
        format!("--region {}", s3.region)
    } else {
        format!("--endpoint-url {}", s3.endpoint)
    };
    let bucket = super::needs::bucket_name(config);
    Finding::new(
        Id::BucketMissing,
        seen,
        format!("mend s3.bucket, or make it: aws s3api create-bucket --bucket {bucket} {place}"),
    )
}

fn bad_token(config: &Config, place: Option<&str>, seen: String) -> Finding {
    let fix = match place {
        Some(place) => at_place(
            place,
            "have it give the token that belongs to this key, or none with a long-term key",
        ),
        None if config.s3.session_token.is_empty() => {
            "the key is a temporary one: set s3.session_token as well".to_owned()
        }
        None => {
            "set s3.session_token to the token that was given with this key, or clear it for a long-term key"
                .to_owned()
        }
    };
    Finding::new(Id::BadToken, seen, fix)
}

/// The region that an answer names, where it is not ours.
fn other_region(answer: &Answer, ours: &str) -> Option<String> {
    let is_about_region = matches!(answer.status, 301 | 307)
        || matches!(
            answer.code(),
            "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "TemporaryRedirect"
                | "IllegalLocationConstraintException"
        );
    if !is_about_region {
        return None;
    }
    let message = answer.element("Message").unwrap_or_default();
    let expected = message
        .split_once("expecting '")
        .or_else(|| message.split_once("expecting &apos;"))
        .or_else(|| message.split_once("expecting &#39;"))
        .and_then(|(_, rest)| rest.split(['\'', '&']).next());
    let region = answer
        .header("x-amz-bucket-region")
        .or_else(|| answer.element("Region"))
        .or(expected)?;
    (region != ours).then(|| region.to_owned())
}

/// The other way of addressing the bucket, if the store knows it in that way.
async fn other_style_works(config: &Config, ask: &Ask) -> anyhow::Result<Option<AddressingStyle>> {
    if config.s3.endpoint.is_empty() || config.uses_embedded_store() {
        return Ok(None);
    }
    let other = match ask.location.style() {
        AddressingStyle::Path => AddressingStyle::VirtualHost,
        AddressingStyle::VirtualHost => AddressingStyle::Path,
    };
    let s3 = &config.s3;
    let Ok(location) = BucketLocation::new(&s3.endpoint, &s3.bucket, other, &s3.region) else {
        return Ok(None);
    };
    let answer = ask.at(location)?.send(LOOK, "", Bytes::new()).await;
    let works =
        answer.is_ok_and(|answer| answer.is_fine() && answer.body.contains("ListMultipartUploadsResult"));
    Ok(works.then_some(other))
}
