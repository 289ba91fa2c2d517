//! Evaporate's protocol over real HTTP, against the whole application with its embedded S3 on both databases. The released
//! client itself runs in `tests/browser`; here each point of the protocol and of its security is tried by hand.

#![cfg(feature = "embedded-s3")]

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;
#[path = "../support/page.rs"]
mod page;
#[expect(dead_code, reason = "the embedded S3's own tests use the rest")]
#[path = "../support/s3_client.rs"]
mod s3_client;
#[expect(dead_code, reason = "other tests look into the server's folder")]
#[path = "../support/server.rs"]
mod server;
#[path = "../support/time_line.rs"]
mod time_line;

mod answers;
mod client;
mod owners;
mod refusals;
mod whole;
