//! Muleteer: the backend that every browser uploader can talk to.

pub mod clock;
pub mod domain;
pub mod error;
