//! Muleteer: the backend that every browser uploader can talk to.

pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod signing;
