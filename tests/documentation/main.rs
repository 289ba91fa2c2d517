//! The documentation does what it says: links lead somewhere, settings and subcommands exist, the reference of settings is
//! that of the code, and what is marked as runnable is run.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

mod commands;
mod links;
mod pages;
mod reference;
mod settings;
