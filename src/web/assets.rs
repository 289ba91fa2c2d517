//! The files that a browser loads, all from the binary itself: `static/`, and the kit under `static/sdk/`.
//!
//! Separate, so that nothing but these files can ever be served: there is no folder to climb out of.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header as _, IfNoneMatch};
use actix_web::web::{Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::methods::readable;
use super::problem::{Failure, ProblemDocument};
use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/static"]
struct Static;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/sdk/src"]
struct Kit;

/// Serves the files under `/static`.
pub fn routes(config: &mut ServiceConfig) {
    config.service(readable("/static/{path:.+}", serve));
}

async fn serve(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, Failure<ProblemDocument>> {
    let file = find(&path).ok_or(Error::NotFound("file"))?;
    let tag = EntityTag::new_strong(hex::encode(file.metadata.sha256_hash()));
    // Always asked again, mostly answered with 304: an upgrade of the server reaches every page at once.
    if let Ok(IfNoneMatch::Items(seen)) = IfNoneMatch::parse(&request)
        && seen.iter().any(|seen| seen.weak_eq(&tag))
    {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, tag.to_string()))
            .finish());
    }
    let kind = mime_guess::from_path(path.as_str()).first_or_octet_stream();
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, with_charset(kind.essence_str())))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag.to_string()))
        .body(file.data.into_owned()))
}

fn find(path: &str) -> Option<EmbeddedFile> {
    match path.strip_prefix("sdk/") {
        Some(path) => Kit::get(path),
        None => Static::get(path),
    }
}

fn with_charset(kind: &str) -> String {
    let textual = kind.starts_with("text/") || matches!(kind, "application/javascript" | "image/svg+xml");
    if textual {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_owned()
    }
}
