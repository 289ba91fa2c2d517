//! A part that goes through the server, for a machine that cannot reach the store.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::claims::Sums;
use super::native::Session;
use super::trouble::Trouble;

/// Sends one part, once; the server records it by itself.
///
/// # Errors
/// What the server, or the way to it, had against it.
pub async fn send(session: &Session<'_>, number: u64, sums: Option<&Sums>) -> Result<(), Trouble> {
    let job = session.job;
    let url = format!("{}/parts/{number}/content", session.url);
    let slice = job
        .source
        .slice(session.start_of(number), session.length_of(number));
    let mut request = job
        .remote
        .with_key(Method::PUT, &url)
        .header(CONTENT_TYPE, "application/octet-stream");
    if let Some((name, value)) = session.header_of(sums) {
        request = request.header(name, value);
    }
    let moved = |bytes| job.meter.moved(number, bytes);
    job.remote.send_slice(request, &slice, moved).await.map(drop)
}
