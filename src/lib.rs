//! x
pub mod signing;
