//! What stands before `s3s`: the request id, preflights, the CORS headers, whole error documents, and the rest of a
//! body that nobody wanted.
//!
//! Separate because all of it concerns every answer alike, also those that `s3s` gives before an operation is known.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPECT, HOST, LOCATION, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use s3s::Body;
use s3s::service::S3Service;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::address::{bucket_of, location};
use super::body::{Lent, drain};
use super::cors::{self, CorsRule};
use super::store::Store;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// How long the rest of a refused body is read, so that the client gets to see the answer.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// The whole server as one function of a request.
#[derive(Clone)]
pub struct Front {
    /// What speaks S3.
    pub s3: S3Service,
    /// Where the CORS rules are.
    pub store: Arc<Store>,
}

impl Front {
    /// Answers a request; failures are answers too.
    pub async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let id = Uuid::new_v4().simple().to_string().to_ascii_uppercase();
        let (method, asked) = (request.method().clone(), request.headers().clone());
        let host = asked
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let bucket = bucket_of(host, request.uri().path()).to_owned();
        let rules = self
            .store
            .with_bucket(&bucket, |bucket| bucket.record.cors.clone())
            .unwrap_or_default();

        let mut answer = if method == Method::OPTIONS {
            answer_preflight(rules.as_deref(), &asked)
        } else {
            self.ask_s3(request).await
        };
        complete_error(&mut answer, &id);
        if method == Method::POST {
            complete_form_answer(&mut answer, host);
        }
        // `s3s` answers HEAD with 200 whatever was asked for; S3 says that it is a piece.
        if method == Method::HEAD && answer.headers().contains_key(CONTENT_RANGE) {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let headers = answer.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(SERVER, HeaderValue::from_static("muleteer-embedded-s3"));
        if method != Method::OPTIONS {
            cors::decorate(rules.as_deref(), &asked, method.as_str(), headers);
        }
        tracing::debug!(%method, bucket, status = answer.status().as_u16(), request_id = %id, "embedded S3");
        Ok(answer)
    }

    async fn ask_s3(&self, request: Request<Incoming>) -> Response<Body> {
        // Who waits for "100 Continue" has sent no body yet, and is spared it by an early refusal.
        let waits = request.headers().contains_key(EXPECT);
        let (give_back, returned) = oneshot::channel();
        let request = request.map(|body| Lent::wrap(body, give_back));
        let answer = self.s3.call(request).await.unwrap_or_else(|error| {
            tracing::error!(?error, "the embedded S3 could not answer");
            error_answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "We encountered an internal error.",
            )
        });
        // By now the body was dropped, wherever it was: what is left of it came back.
        if answer.status().is_client_error()
            && !waits
            && let Ok(rest) = returned.await
        {
            drain(rest, DRAIN_TIME).await;
        }
        answer
    }
}

fn answer_preflight(rules: Option<&[CorsRule]>, asked: &HeaderMap) -> Response<Body> {
    match cors::preflight(rules, asked) {
        Ok(headers) => {
            let mut answer = Response::new(Body::empty());
            *answer.headers_mut() = headers;
            answer
        }
        Err((status, reason)) => {
            let code = if status == StatusCode::FORBIDDEN {
                "AccessForbidden"
            } else {
                "BadRequest"
            };
            error_answer(status, code, reason)
        }
    }
}

fn error_answer(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut answer = Response::new(Body::from(document));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// Gives an error document of `s3s` the message and the request id that it lacks. A 304 has no document at all.
fn complete_error(answer: &mut Response<Body>, id: &str) {
    if answer.status() == StatusCode::NOT_MODIFIED {
        *answer.body_mut() = Body::empty();
        answer.headers_mut().remove(CONTENT_TYPE);
        return;
    }
    let is_error = answer.status().is_client_error() || answer.status().is_server_error();
    let Some(document) = answer.body().bytes().filter(|_| is_error) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&document) else {
        return;
    };
    let Some((head, tail)) = text.rsplit_once("</Error>") else {
        return;
    };
    let code = head
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    let message = if head.contains("<Message>") {
        String::new()
    } else {
        format!("<Message>{}</Message>", message_for(code.unwrap_or_default()))
    };
    let whole = format!("{head}{message}<RequestId>{id}</RequestId></Error>{tail}");
    answer.headers_mut().remove(CONTENT_LENGTH);
    *answer.body_mut() = Body::from(whole);
}

/// Gives the answer to a posted form the tag and the whole address that S3 sends in headers too:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html#RESTObjectPOST-responses>.
fn complete_form_answer(answer: &mut Response<Body>, host: &str) {
    let Some(document) = answer
        .body()
        .bytes()
        .filter(|_| answer.status() == StatusCode::CREATED)
    else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&document) else {
        return;
    };
    let content = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inside, _) = rest.split_once(&format!("</{name}>"))?;
        quick_xml::escape::unescape(inside).ok()
    };
    let (Some(bucket), Some(key), Some(etag)) = (content("Bucket"), content("Key"), content("ETag")) else {
        return;
    };
    let address = location(host, &bucket, &key);
    let tag = format!("\"{}\"", etag.trim_matches('"'));
    let whole = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><PostResponse><Location>{address}</Location>\
         <Bucket>{bucket}</Bucket><Key>{}</Key><ETag>{}</ETag></PostResponse>",
        quick_xml::escape::escape(key.as_ref()),
        quick_xml::escape::escape(tag.as_str()),
    );
    let headers = answer.headers_mut();
    headers.remove(CONTENT_LENGTH);
    for (name, value) in [(ETAG, tag), (LOCATION, address)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    *answer.body_mut() = Body::from(whole);
}

/// The message of an error that `s3s` raises without one.
fn message_for(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "AccessDenied" => "Access Denied",
        "NotImplemented" => "This server does not know the operation.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidURI" => "The specified URI could not be parsed.",
        "KeyTooLongError" => "Your key is too long.",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate.",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "InternalError" => "We encountered an internal error. Please try again.",
        _ => "The request was refused.",
    }
}
