//! What all routes share: who is asking, how errors are told, what every answer carries.

pub mod assets;
pub mod auth;
pub mod body;
pub mod cors;
pub mod doors;
pub mod failures;
pub mod headers;
pub mod health;
pub mod interim;
pub mod methods;
pub mod metrics;
pub mod mishaps;
pub mod outer;
pub mod peer;
pub mod prefer;
pub mod problem;
pub mod tally;
pub mod trace;
pub mod veil;
