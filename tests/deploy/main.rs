//! What operators get in `deploy/`: the reverse proxies' samples are run in front of the real server, the installers into
//! a folder, and what other programs read is held against those programs where they are.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod raw_http;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

mod compose;
mod front;
mod install;
mod proxies;
mod tools;
mod units;
