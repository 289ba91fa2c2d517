//! Signs S3 requests: credentials, request and time in; URL, headers or signature out.
//!
//! It is separate because it is pure: nothing here sends, waits, reads a clock or knows what an upload is, so
//! every answer can be held against published vectors and against an independent implementation.
//!
//! | to sign | use |
//! |---|---|
//! | the parts of one upload, by the thousand | [`PartSigner`] |
//! | any other single request, as a URL | [`v4::presign`] |
//! | a request that we send ourselves | [`v4::sign`] |
//! | a request for temporary credentials | [`sts::assume_role`] |
//! | a form that a browser posts an object with | [`policy::sign`] |
//! | what a SigV2 client asks for | [`v2::sign`], [`v2::presign`] |
//! | what a page writes itself and asks to have signed | [`Signable`], [`AskedPolicy`] |
//! | what was stored, for whoever wants to prove it later | [`ReceiptKey`] |

mod asked;
mod batch;
mod credentials;
mod encoding;
mod key;
mod location;
mod operation;
pub mod policy;
mod receipt;
mod shape;
pub mod sts;
mod token;
pub mod v2;
pub mod v4;

pub use asked::{AskRules, Asked, AskedOperation, AskedPolicy, Refusal, Signable, SignedPolicy};
pub use batch::{ChecksumHeader, MultipartUpload, PartSigner, Signature};
pub use credentials::{Credentials, MAX_LIFETIME, lifetime};
pub use key::{HandedKey, SigningKeys, derive_signing_key};
pub use location::{AddressingStyle, BucketLocation};
pub use operation::{ObjectHeaders, Operation, copy_source};
pub use receipt::{PublicKey, ReceiptError, ReceiptKey};
pub use token::{PartClaim, TicketClaim, Tokens, UploadClaim};
pub use v4::{Payload, SignedRequest};

/// Part numbers that S3 takes: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub const PART_NUMBERS: std::ops::RangeInclusive<u16> = 1..=10_000;

/// Why something cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The endpoint is not an address that a bucket can be reached at.
    #[error("the endpoint `{endpoint}` {problem}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong, to be read after the endpoint.
        problem: &'static str,
    },
    /// The bucket's name cannot stand in an address of this style.
    #[error("the bucket name `{bucket}` {problem}")]
    Bucket {
        /// As it was given.
        bucket: String,
        /// What is wrong, to be read after the name.
        problem: &'static str,
    },
    /// The region would break the credential scope.
    #[error("the region `{0}` must be letters, digits, `-`, `_` or `.`")]
    Region(String),
    /// An operation on an object was given no key; signed as it is, it would act on the bucket.
    #[error("the object key is empty")]
    EmptyKey,
    /// The upload id is empty, or holds characters that would change the meaning of what is signed.
    #[error("the upload id is empty or malformed")]
    UploadId,
    /// The part number is outside [`PART_NUMBERS`].
    #[error("part numbers go from 1 to 10000, not {0}")]
    PartNumber(u16),
    /// A header that cannot be sent or must not be chosen by the caller.
    #[error("the header `{name}` {problem}")]
    Header {
        /// The header's name as it was given.
        name: String,
        /// What is wrong, to be read after the name.
        problem: &'static str,
    },
    /// Less than a second is left of the credentials, or was asked for.
    #[error("the credentials have expired, or a lifetime under one second was asked for")]
    NoLifetime,
    /// SigV2 is offered with long-term keys alone: its clients have no place for a session token.
    #[error("SigV2 needs a long-term key, not one with a session token")]
    SessionToken,
    /// The signer itself refused; with the checks above, a fault of ours.
    #[error("the request could not be signed")]
    Signer(#[source] Box<dyn std::error::Error + Send + Sync>),
}
