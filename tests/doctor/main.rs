//! `muleteer doctor`: each test breaks one thing of a bucket that was right, and looks that it is called by its name.
//!
//! On the embedded S3, and on a store that is not ours where `S3_ENDPOINT`, `S3_KEY` and `S3_SECRET` name one.

#![cfg(feature = "embedded-s3")]

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "these tests set buckets up, and upload nothing")]
mod s3_client;

mod abilities;
mod commands;
mod cors;
mod ground;
mod identity;
#[path = "../native_api/process.rs"]
#[expect(
    dead_code,
    reason = "these tests run it to its end, or until they have asked it"
)]
mod process;
mod proxy;
mod settings;
mod through;

#[test]
fn the_page_of_findings_is_the_programs_own_table() {
    let page = include_str!("../../docs/doctor.md");

    assert!(
        page.contains(&muleteer::cli::doctor::table()),
        "docs/doctor.md has not the table of `muleteer doctor --list`"
    );
}
