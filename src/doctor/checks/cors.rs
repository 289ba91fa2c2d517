//! Whether pages may send to the store, asked as their browsers ask.
//!
//! What a bucket's rules say is one thing, what the store answers another: a store may have rules of its own, and a proxy
//! may swallow them. So the answers decide, and the rules only help to say what is missing.

use bytes::Bytes;

use super::{probe_key, upload_prefix};
use crate::config::Config;
use crate::doctor::ask::{Answer, Ask};
use crate::doctor::setup::{Remedy, current_cors};
use crate::doctor::{Finding, Id, Report, needs, rules};
use crate::signing::{ObjectHeaders, Operation};

/// Header fields that front ends put on their requests to the store.
const SENT: &str = "content-type,content-md5,x-amz-date,x-amz-content-sha256,x-amz-meta-name,authorization";

/// An origin for those who allow all.
const ANY_ORIGIN: &str = "https://muleteer-doctor.invalid";

const FIX: &str = "`muleteer cors apply`, or `muleteer doctor --fix`";

/// Asks for each origin that uses us; one finding of each kind is enough.
pub async fn check(config: &Config, ask: &Ask, public: &Ask, may_write: bool, report: &mut Report) {
    if report.has(Id::PublicUnreachable) {
        return;
    }
    let key = probe_key(&upload_prefix(config));
    let mut found: Vec<(Id, String, bool)> = Vec::new();
    for origin in needs::origins(config) {
        let origin = if origin == "*" {
            ANY_ORIGIN.to_owned()
        } else {
            origin
        };
        let mut problem = preflights(config, public, &key, &origin).await;
        if problem.is_none() && may_write {
            problem = real_put(public, &key, &origin).await;
        }
        let Some((id, seen)) = problem else { continue };
        if found.iter().any(|(known, ..)| *known == id) {
            continue;
        }
        // The store itself may give the answer that does not come through its public address.
        let swallowed =
            public.location != ask.location && answers_directly(config, ask, &key, &origin, may_write).await;
        found.push((id, seen, swallowed));
    }
    let _ = ask.send(Operation::DeleteObject, &key, Bytes::new()).await;
    if found.is_empty() {
        return;
    }
    // Where there are no rules at all, nothing else needs to be said.
    let stored = current_cors(ask).await;
    let has_rules = match &stored {
        Ok(document) => document
            .as_deref()
            .is_some_and(|document| rules::cors_rule_count(document) > 0),
        Err(_) => true,
    };
    for (id, seen, swallowed) in found {
        let finding = match id {
            _ if swallowed => Finding::new(
                Id::CorsSwallowed,
                seen,
                "have the proxy in front of the store pass OPTIONS and every Access-Control header unchanged",
            ),
            _ if !has_rules => Finding::new(Id::CorsMissing, seen, FIX).mendable(Remedy::Cors),
            _ => Finding::new(id, seen, FIX).mendable(Remedy::Cors),
        };
        if !report.has(finding.id) {
            report.add(finding);
        }
    }
}

/// Whether pages of this origin may send to the store where no proxy is in front of it.
async fn answers_directly(config: &Config, ask: &Ask, key: &str, origin: &str, may_write: bool) -> bool {
    preflights(config, ask, key, origin).await.is_none()
        && (!may_write || real_put(ask, key, origin).await.is_none())
}

/// The first thing that a browser would stumble over before it sends anything.
async fn preflights(config: &Config, public: &Ask, key: &str, origin: &str) -> Option<(Id, String)> {
    for method in needs::methods(config) {
        if passes(public, key, origin, method, SENT).await {
            continue;
        }
        // Ask for less and less, to see what it was.
        if passes(public, key, origin, method, "").await {
            let seen = format!(
                "a preflight from {origin} for {method} with the fields {SENT} is refused, without them it is not"
            );
            return Some((Id::CorsHeaders, seen));
        }
        for other in ["PUT", "GET", "POST", "DELETE", "HEAD"] {
            if other != method && passes(public, key, origin, other, "").await {
                let seen =
                    format!("a preflight from {origin} for {method} is refused, one for {other} is not");
                return Some((Id::CorsMethod, seen));
            }
        }
        let answer = public.preflight(key, origin, method, "").await;
        let words = answer.map_or_else(|trouble| trouble.detail, |answer| answer.words());
        return Some((
            Id::CorsOrigin,
            format!("a preflight from {origin} for {method} is refused: {words}"),
        ));
    }
    None
}

async fn passes(public: &Ask, key: &str, origin: &str, method: &str, headers: &str) -> bool {
    let answer = public.preflight(key, origin, method, headers).await;
    answer.is_ok_and(|answer| allows(&answer, origin, method, headers))
}

/// Whether a browser would go on: <https://fetch.spec.whatwg.org/#cors-preflight-fetch>.
fn allows(answer: &Answer, origin: &str, method: &str, headers: &str) -> bool {
    let listed = |name: &str, wanted: &str| {
        let list = answer.header(name).unwrap_or_default();
        list.split(',')
            .map(str::trim)
            .any(|entry| entry == "*" || entry.eq_ignore_ascii_case(wanted))
    };
    let simple = matches!(method, "GET" | "HEAD" | "POST");
    (200..300).contains(&answer.status)
        && is_origin_allowed(answer, origin)
        && (simple || listed("access-control-allow-methods", method))
        && headers
            .split(',')
            .filter(|name| !name.is_empty())
            .all(|name| listed("access-control-allow-headers", name))
}

fn is_origin_allowed(answer: &Answer, origin: &str) -> bool {
    matches!(answer.header("access-control-allow-origin"), Some(allowed) if allowed == "*" || allowed == origin)
}

/// Sends an object as a page would, and looks whether the page could read the answer.
async fn real_put(public: &Ask, key: &str, origin: &str) -> Option<(Id, String)> {
    let put = Operation::PutObject {
        content_length: None,
        headers: ObjectHeaders::default(),
    };
    let answer = public
        .as_browser(put, key, origin, Bytes::from_static(b"x"))
        .await
        .ok()?;
    if !answer.is_fine() {
        return None;
    }
    if !is_origin_allowed(&answer, origin) {
        let seen = format!("the answer to a PUT from {origin} has no Access-Control-Allow-Origin for it");
        return Some((Id::CorsOrigin, seen));
    }
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    let readable = exposed
        .split(',')
        .map(str::trim)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("etag"));
    if readable {
        return None;
    }
    let seen = format!("the answer to a PUT from {origin} exposes \"{exposed}\", and not ETag");
    Some((Id::CorsEtagHidden, seen))
}
