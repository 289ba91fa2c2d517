//! A part that goes through the server, for a machine that cannot reach the store.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::native::Session;
use super::trouble::Trouble;

/// Sends one part, once; the server records it by itself.
///
/// # Errors
/// What the server, or the way to it, had against it.
pub async fn send(session: &Session<'_>, number: u64) -> Result<(), Trouble> {
    let job = session.job;
    let url = format!("{}/parts/{number}/content", session.url);
    let slice = job
        .source
        .slice(session.start_of(number), session.length_of(number));
    let request = job
        .remote
        .with_key(Method::PUT, &url)
        .header(CONTENT_TYPE, "application/octet-stream");
    let moved = |bytes| job.meter.moved(number, bytes);
    job.remote.send_slice(request, &slice, moved).await.map(drop)
}
