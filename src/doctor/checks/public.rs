//! The store as browsers reach it: whether that is an address for them, and whether signatures survive the way.

use bytes::Bytes;

use super::{is_loopback_url, probe_key, upload_prefix};
use crate::config::Config;
use crate::doctor::ask::Ask;
use crate::doctor::{Finding, Id, Report, Severity, needs};
use crate::domain::is_loopback;
use crate::signing::{ObjectHeaders, Operation};

/// Looks at the address, then sends an object through it with a signature.
pub async fn check(config: &Config, ask: &Ask, public: &Ask, may_write: bool, report: &mut Report) {
    let place = public.location.origin();
    let url = config.server.public_url.as_str();
    if url.starts_with("https://") && place.starts_with("http://") {
        report.add(Finding::new(
            Id::PublicInsecure,
            format!("the page is at {url}, parts would go to {place}"),
            "set s3.public_endpoint to an https:// address of the store",
        ));
    }
    if is_loopback_url(&place) {
        report.findings.extend(loopback(config, &place));
    }
    if public.location == ask.location || !may_write {
        return;
    }
    let key = probe_key(&upload_prefix(config));
    let put = Operation::PutObject {
        content_length: None,
        headers: ObjectHeaders::default(),
    };
    let origin = needs::origins(config).remove(0);
    let body = Bytes::from_static(b"x");
    match public.as_browser(put, &key, &origin, body).await {
        Ok(answer) if answer.is_fine() => {}
        Ok(answer) if answer.code().is_empty() && !matches!(answer.status, 401 | 403) => {
            report.add(Finding::new(
                Id::PublicNotS3,
                format!("{place}: status {}, and no answer of S3", answer.status),
                format!("mend s3.public_endpoint (now \"{}\")", config.s3.public_endpoint),
            ));
        }
        Ok(answer) => report.add(Finding::new(
            Id::PublicSignature,
            format!("a signed PUT through {place}: {}", answer.words()),
            "have the proxy pass Host, path and query as they come (nginx: `proxy_set_header Host $http_host;` and no path in \
             proxy_pass)",
        )),
        Err(trouble) => report.add(Finding::new(
            Id::PublicUnreachable,
            format!("{place}: {}", trouble.detail),
            format!("mend s3.public_endpoint (now \"{}\")", config.s3.public_endpoint),
        )),
    }
    let _ = ask.send(Operation::DeleteObject, &key, Bytes::new()).await;
}

/// What is wrong with a store on loopback, if browsers elsewhere are to reach it. Without a public address it is the address
/// that we listen on which says so: a warning, as a tunnel or a proxy may be all that comes there.
fn loopback(config: &Config, place: &str) -> Option<Finding> {
    let server = &config.server;
    let url = server.public_url.as_str();
    let fix = if config.uses_embedded_store() {
        "set s3.bucket and s3.endpoint to a store that browsers reach; to try it in your own network, dev_s3.address and \
         dev_s3.allow_remote"
    } else {
        "set s3.public_endpoint to the store's address as browsers reach it"
    };
    if url.is_empty() && !is_loopback(&server.address) {
        let seen = format!(
            "the server listens on {} for other machines as well, parts would go to {place}",
            server.address
        );
        return Some(Finding {
            severity: Severity::Warning,
            ..Finding::new(Id::PublicLoopback, seen, fix)
        });
    }
    (!url.is_empty() && !is_loopback_url(url)).then(|| {
        let seen = format!("the page is at {url}, parts would go to {place}");
        Finding::new(Id::PublicLoopback, seen, fix)
    })
}
