//! Muleteer: the backend that every browser uploader can talk to.
//!
//! A request is three hops: a protocol parses it, the verbs decide and do, database and store keep the result.
//!
//! | module | what it is |
//! |---|---|
//! | [`domain`] | the vocabulary and the pure rules |
//! | [`signing`] | the pure arithmetic of signatures |
//! | [`db`] | all SQL, SQLite and Postgres |
//! | [`storage`] | where bytes end up |
//! | [`metrics`], [`telemetry`] | what is counted, for Prometheus; what traces are made of |
//! | [`uploads`] | the verbs: the only code that changes an upload |
//! | [`hooks`] | brings events to their receivers |
//! | [`identity`] | who is asking: keys, tokens, visitors |
//! | [`protocol`] | one wire protocol a file: parse, call a verb, render |
//! | [`pages`] | what a person sees |
//! | [`web`] | what all routes share |
//! | [`dev_s3`] | the embedded S3 for local use |
//! | [`doctor`] | tries what uploads need of a bucket and of the way to us, and says what mends it |
//! | [`config`], [`clock`], [`error`] | settings, the only now, every way to fail |
//! | [`app`], [`cli`] | putting it together, and the command line |
//!
//! Nothing may use a module further down that list than the table in `docs/ARCHITECTURE.md` allows; a test holds
//! the source against it.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
#[cfg(feature = "embedded-s3")]
pub mod dev_s3;
pub mod doctor;
pub mod domain;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod hooks;
pub mod identity;
pub mod metrics;
pub mod pages;
pub mod protocol;
pub mod signing;
pub mod storage;
pub mod telemetry;
pub mod uploads;
pub mod web;
