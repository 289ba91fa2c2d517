//! Where bytes end up.
//!
//! Separate from the verbs, so that what a store can and cannot do is known in one place. Today there is S3
//! alone, as a plain struct; the relay's backends will stand beside it behind one trait.

mod credentials;
mod s3;
mod s3_answers;

pub use credentials::CredentialSource;
pub use s3::{S3Store, StoreSettings, StoredObject};
