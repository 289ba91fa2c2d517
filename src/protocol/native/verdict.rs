//! What a scanner says of a whole file after it was asked about it.
//!
//! Separate from the uploads' handlers, because here it is not an owner who asks: the token that came with the question is
//! good for this, for one object, and for nothing else.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Answer;
use crate::domain::{Opinion, UploadId};
use crate::error::Error;
use crate::uploads::Uploads;
use crate::web::{auth, body};

/// Longest reason, in characters.
const LONGEST: usize = 300;

const NO_TOKEN: Error =
    Error::Unauthenticated("a verdict carries the verdict_token that came with the question");

/// A verdict.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// `accept` or `reject`.
    verdict: String,
    /// Why it is rejected, for its owner: at most 300 characters.
    #[serde(default)]
    reason: String,
}

impl Verdict {
    fn opinion(self) -> Result<Opinion, Error> {
        if self.reason.chars().count() > LONGEST || self.reason.chars().any(char::is_control) {
            let detail = format!("is one line of at most {LONGEST} characters");
            return Err(Error::invalid("reason", detail));
        }
        match self.verdict.as_str() {
            "accept" => Ok(Opinion::Accept),
            "reject" => Ok(Opinion::Reject { reason: self.reason }),
            _ => Err(Error::invalid("verdict", "is accept or reject")),
        }
    }
}

/// Says later what `hooks.pre_complete.url` was asked: takes the `verdict_token` of the question as a bearer token. The
/// same again does no harm.
#[utoipa::path(tag = "uploads", request_body = Verdict, params(("id" = String, Path, description = "The upload")), responses(
    (status = 204, description = "Done"),
    (status = 400, description = "`errors` names each bad field"),
    (status = 401, description = "Not the token of this upload's object as it is"),
    (status = 409, description = "Something else has become of it; `state` says what"),
))]
#[post("/uploads/{id}/verdict")]
pub async fn give_verdict(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    uploads: Data<Uploads>,
) -> Answer {
    let token = auth::bearer(&request).map_err(|_| NO_TOKEN)?.to_owned();
    let id = UploadId::parse(&path).map_err(|_| NO_TOKEN)?;
    let verdict: Verdict = body::json(&request, payload).await?;
    match uploads.hear_verdict(&id, &token, verdict.opinion()?).await {
        Err(Error::NotFound(_)) => Err(NO_TOKEN.into()),
        heard => {
            heard?;
            Ok(HttpResponse::NoContent().finish())
        }
    }
}
