//! What is particular to a share: it goes away and comes back, others write to it too, and some names it cannot have.
//!
//! A binary of its own, because these tests stop and start servers. Everything that holds for all storages is in
//! `tests/storage/`.
#![cfg(feature = "smb")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

mod breaks;
mod kit;
mod ordinary;
mod refusals;
mod several;
