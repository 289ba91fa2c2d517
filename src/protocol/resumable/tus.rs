//! To come.

use actix_web::http::header::HeaderMap;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::shared::Door;
use crate::uploads::Uploads;

/// The protocol's name on record.
pub(super) const NAME: &str = "tus";

pub(super) fn tell_abilities(_door: &Door, _uploads: &Uploads, _headers: &mut HeaderMap) {}

pub(super) async fn at_creation(
    _request: HttpRequest,
    _payload: Payload,
    _door: &Door,
    _uploads: &Uploads,
) -> HttpResponse {
    HttpResponse::NotImplemented().finish()
}

pub(super) async fn at_upload(
    _request: HttpRequest,
    _id: &str,
    _payload: Payload,
    _door: &Door,
    _uploads: &Uploads,
) -> HttpResponse {
    HttpResponse::NotImplemented().finish()
}
