//! The server as somebody meets it who wants to break it: TLS, slow and endless requests, headers, secrets.
//!
//! One binary with a file for each idea; everything over real sockets.

#![cfg(feature = "embedded-s3")]

#[path = "../support/certificate.rs"]
mod certificate;
#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod process;

#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod raw_http;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

mod answers;
mod corpus;
mod headers;
mod slow;
mod tls;
