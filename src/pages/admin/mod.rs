//! The admin's pages: what support looks at when somebody calls about an upload.
//!
//! Separate from the other pages, because these have a session. Every page works without a script, every change is a form
//! that is sent, and everything that is done is a verb of `uploads`.

mod advice;
mod form;
mod login;
mod owners;
mod parts;
mod session;
mod sweeps;
mod throttle;
mod timeline;
mod upload;
mod uploads;
mod webhooks;
mod words;

use actix_web::web::{ServiceConfig, get, head, post, resource, scope};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::VERSION;
use crate::error::Error;
use crate::web::peer::outer_prefix;
use crate::web::problem::{Kind, log};
use session::Admin;
pub use throttle::Attempts;

/// Where the pages are.
const MOUNT: &str = "/admin";

/// What the frame of every page wants.
struct Frame {
    base: String,
    /// Who is logged in.
    admin: String,
    /// The token of the page's forms.
    token: String,
    /// The page that the navigation marks.
    here: &'static str,
}

impl Frame {
    fn new(request: &HttpRequest, admin: &Admin, here: &'static str) -> Self {
        Self {
            base: outer_prefix(request),
            admin: admin.caller.owner.to_string(),
            token: admin.cookie.form_token(),
            here,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/error.html")]
struct ErrorPage {
    base: String,
    version: &'static str,
    title: &'static str,
    detail: String,
    request_id: String,
}

/// The pages' addresses.
pub(super) fn routes(config: &mut ServiceConfig) {
    let page = |path: &str| resource(path.to_owned());
    config.service(
        scope(MOUNT)
            .service(
                page("/login")
                    .route(get().to(login::show))
                    .route(head().to(login::show))
                    .route(post().to(login::log_in)),
            )
            .service(page("/logout").route(post().to(login::log_out)))
            .service(page("").route(get().to(uploads::list)))
            .service(page("/").route(get().to(uploads::list)))
            .service(page("/uploads/{id}").route(get().to(upload::show)))
            .service(page("/uploads/{id}/abort").route(post().to(upload::abort)))
            .service(page("/uploads/{id}/extend").route(post().to(upload::extend)))
            .service(page("/uploads/{id}/complete").route(post().to(upload::complete)))
            .service(page("/webhooks").route(get().to(webhooks::list)))
            .service(page("/webhooks/{id}/replay").route(post().to(webhooks::replay)))
            .service(page("/owners").route(get().to(owners::list)))
            .service(page("/sweeps").route(get().to(sweeps::list))),
    );
}

fn html(page: &impl Template) -> Result<HttpResponse, Error> {
    let html = page.render().map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// An error as a page, under its status.
fn error_page(request: &HttpRequest, error: &Error) -> HttpResponse {
    log(error);
    let kind = Kind::of(error);
    let page = ErrorPage {
        base: outer_prefix(request),
        version: VERSION,
        title: kind.title,
        detail: error.to_string(),
        request_id: crate::web::trace::request_id(),
    };
    let mut answer = html(&page).unwrap_or_else(|_| HttpResponse::InternalServerError().finish());
    *answer.status_mut() = kind.status();
    answer
}
