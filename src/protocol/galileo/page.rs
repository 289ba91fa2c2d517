//! The demo page.
//!
//! Separate from the other pages, because it comes and goes with this protocol.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::Door;
use crate::error::Error;
use crate::web::peer::outer_prefix;
use crate::web::problem::{Failure, ProblemDocument};

#[derive(Template)]
#[template(path = "galileo.html")]
struct DemoPage<'a> {
    base: String,
    version: &'static str,
    mount: &'a str,
}

/// `GET …/demo`.
pub async fn demo(request: HttpRequest, door: Data<Door>) -> Result<HttpResponse, Failure<ProblemDocument>> {
    let page = DemoPage {
        base: outer_prefix(&request),
        version: env!("CARGO_PKG_VERSION"),
        mount: &door.mount,
    };
    let html = page.render().map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Cache-Control", "no-cache"))
        .body(html))
}
