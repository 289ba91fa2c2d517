//! `muleteer upload`, the program itself, against a running server and a store, with breaks where a test wants them.

#![cfg(feature = "embedded-s3")]

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;
#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

mod command;
mod gate;
mod places;

mod breaks;
mod mistakes;
mod relayed;
mod several;
mod whole;

const MIB: usize = 1 << 20;
