//! Asking others who somebody is, or by which keys they are known: the operator's own application, and the issuer of its
//! tokens.
//!
//! Separate, because both are asked with the same care: no redirect, so that a credential goes nowhere else; no wait without
//! an end; no answer larger than an honest one.

use std::time::Duration;

use reqwest::{Client, Response};

use crate::error::Error;

/// A client whose answers take no longer than that.
///
/// # Errors
/// [`Error::Internal`] where the TLS roots of this machine cannot be read.
pub(super) fn client(patience: Duration) -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("Muleteer/", env!("CARGO_PKG_VERSION")))
        .timeout(patience)
        .redirect(reqwest::redirect::Policy::none())
        // What these are asked with is for them alone.
        .no_proxy()
        .build()
        .map_err(Error::internal)
}

/// The answer's body, if it has no more than so many bytes.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) async fn body(mut answer: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| explain(&error))? {
        if bytes.len() + piece.len() > most {
            return Err(format!("its answer has more than {most} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Why there was no answer, without the address that was asked: it may hold a secret.
pub(super) fn explain(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "no connection could be made".to_owned()
    } else if error.is_timeout() {
        "there was no answer in time".to_owned()
    } else {
        "the connection broke before the answer".to_owned()
    }
}
