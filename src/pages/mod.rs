//! What a person sees: the uploader page, the doctor's, the demo of the drop-in for mule-uploader, a page for each type of problem, and
//! the admin's pages.
//!
//! Separate from the protocols, because pages are read and not parsed. Templates only display.

mod admin;

use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::error::Error;
use crate::uploads::Uploads;
use crate::web::methods::readable;
use crate::web::peer::outer_prefix;
use crate::web::problem::{Failure, KINDS, Kind, ProblemDocument};

pub use admin::Attempts;

/// What the pages have to know of the settings.
#[derive(Debug, Clone)]
pub struct PageSettings {
    /// The native API's address; `None` while it is switched off, and then there is no uploader page.
    pub api: Option<String>,
    /// Whether visitors without any credential may upload.
    pub anonymous: bool,
    /// Whether the files go to the embedded S3.
    pub embedded_store: bool,
    /// Where the files go in words, where they all pass through us, into no store.
    pub place: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "uploader.html")]
struct UploaderPage<'a> {
    base: String,
    api: &'a str,
    version: &'static str,
    anonymous: bool,
    max_size: u64,
    part_size: u64,
    embedded_store: bool,
    place: Option<&'static str>,
}

/// An old page of mule-uploader's. Not that protocol's own, since the script behind it speaks the native API.
#[derive(Template)]
#[template(path = "mule.html")]
struct MulePage<'a> {
    base: String,
    api: &'a str,
    version: &'static str,
}

/// Tries the way to the store from where the reader is, which `muleteer doctor` cannot.
#[derive(Template)]
#[template(path = "doctor.html")]
struct DoctorPage<'a> {
    base: String,
    api: &'a str,
    version: &'static str,
    place: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    base: String,
    version: &'static str,
    kind: &'static Kind,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

type Page = Result<HttpResponse, Failure<ProblemDocument>>;

/// The pages' addresses.
pub fn routes(config: &mut ServiceConfig) {
    config.service(readable("/", uploader));
    config.service(readable("/problems/{slug}", problem));
    config.service(readable("/mule/demo", mule));
    config.service(readable("/doctor", doctor));
    admin::routes(config);
}

/// Nobody becomes a visitor here but by the page's own first call: who follows a link from another site sends no
/// strict cookie with this request, and a new one would cost them their unfinished uploads.
async fn uploader(request: HttpRequest, settings: Data<PageSettings>, uploads: Data<Uploads>) -> Page {
    let api = settings.api.as_deref().ok_or(Error::NotFound("page"))?;
    let policy = uploads.policy();
    render(&UploaderPage {
        base: outer_prefix(&request),
        api,
        version: VERSION,
        anonymous: settings.anonymous,
        max_size: policy.max_size(),
        part_size: policy.parts.preferred,
        embedded_store: settings.embedded_store,
        place: settings.place,
    })
}

async fn mule(request: HttpRequest, settings: Data<PageSettings>) -> Page {
    render(&MulePage {
        base: outer_prefix(&request),
        api: settings.api.as_deref().ok_or(Error::NotFound("page"))?,
        version: VERSION,
    })
}

async fn doctor(request: HttpRequest, settings: Data<PageSettings>) -> Page {
    render(&DoctorPage {
        base: outer_prefix(&request),
        api: settings.api.as_deref().ok_or(Error::NotFound("page"))?,
        version: VERSION,
        place: settings.place,
    })
}

async fn problem(request: HttpRequest, slug: Path<String>) -> Page {
    let kind = KINDS
        .iter()
        .find(|kind| kind.slug == *slug)
        .ok_or(Error::NotFound("problem type"))?;
    render(&ProblemPage {
        base: outer_prefix(&request),
        version: VERSION,
        kind,
    })
}

fn render(page: &impl Template) -> Page {
    let html = page.render().map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Cache-Control", "no-cache"))
        .body(html))
}
