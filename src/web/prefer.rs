//! What a client prefers of an answer.

use actix_web::HttpRequest;

/// Whether the client prefers an answer before the work is done:
/// <https://www.rfc-editor.org/rfc/rfc7240#section-4.1>.
pub fn prefers_async(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all("Prefer")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}
