//! Signed parts: which of them a client asks for, and how their URLs are told.
//!
//! Separate from the uploads' handlers, because many URLs go out at once here: whole, or as what they share and what they
//! do not.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::views::header_of;
use super::{Answer, caller_and_id, fresh};
use crate::domain::{Algorithm, PartNumber, PartSet};
use crate::error::Error;
use crate::uploads::{Signature, SignedParts, Uploads};
use crate::web::body;

/// Part numbers as text or as a list.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum Selection {
    /// Such as `1-1000` or `3,7,20-29`.
    Text(String),
    /// Such as `[3, 7]`.
    List(Vec<u64>),
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = || D::Error::custom("is text such as \"1-1000\" or a list of numbers such as [3, 7]");
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(list) => {
                let numbers: Option<Vec<u64>> = list.iter().map(Value::as_u64).collect();
                numbers.map(Self::List).ok_or_else(wanted)
            }
            _ => Err(wanted()),
        }
    }
}

impl Selection {
    /// The numbers, held against the upload's.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `parts`.
    pub fn parse(&self, part_count: u32) -> Result<PartSet, Error> {
        match self {
            Self::Text(text) => PartSet::parse(text, part_count),
            Self::List(numbers) => PartSet::from_numbers(numbers.iter().copied(), part_count),
        }
    }
}

/// How signatures are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFormat {
    /// A whole URL for each part.
    #[default]
    Full,
    /// What all URLs share, once, and a number and a signature for each part.
    Compact,
}

/// Which parts to sign.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignParts {
    /// Which parts: `"1-1000"`, `"3,7"` or `[3, 7]`.
    pub parts: Selection,
    /// How to tell.
    #[serde(default)]
    pub format: SignatureFormat,
    /// The checksum of each of these parts by its number, in base64, where the upload's `checksum` is `signed`: the store
    /// then takes no other bytes. All of them or none.
    #[serde(default)]
    pub checksums: Option<BTreeMap<u16, String>>,
    /// The store's error code for a part that it has refused with an earlier URL, where there was one: if it blames the
    /// server's credentials, these are tried first, and replaced if the store takes them no more.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Signed parts, in one of two formats.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SignaturesView {
    /// A whole URL for each part.
    Full {
        /// When the URLs die.
        expires_at: DateTime<Utc>,
        /// One for each part, ascending.
        signatures: Vec<SignedPartView>,
    },
    /// `url = head + number + middle + signature + tail`
    Compact {
        /// When the URLs die.
        expires_at: DateTime<Utc>,
        /// What stands before the number.
        head: String,
        /// What stands between number and signature.
        middle: String,
        /// What stands after the signature; often empty.
        tail: String,
        /// `[number, signature]`, ascending.
        #[schema(value_type = Vec<(u16, String)>)]
        signatures: Vec<(u16, HexSignature)>,
    },
}

/// A door for one part.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedPartView {
    /// The part.
    number: u16,
    /// Where to PUT its bytes.
    url: String,
    /// Headers that are signed and must be sent. Browsers send `Content-Length` by themselves.
    #[schema(value_type = BTreeMap<String, String>)]
    headers: SignedHeaders,
}

/// The headers of one part's request.
#[derive(Debug, Serialize)]
pub struct SignedHeaders {
    #[serde(rename = "Content-Length")]
    content_length: String,
    /// By its header; none or one.
    #[serde(flatten)]
    checksum: Option<BTreeMap<&'static str, String>>,
}

/// A signature in hexadecimal, kept on the stack.
#[derive(Debug)]
pub struct HexSignature(Signature);

impl Serialize for HexSignature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl SignaturesView {
    /// Signs and tells.
    pub fn new(signed: &SignedParts, format: SignatureFormat) -> Self {
        let signer = signed.signer();
        let expires_at = signed.expires_at();
        match format {
            SignatureFormat::Full => {
                let claimed = |(algorithm, value): (Algorithm, &str)| {
                    BTreeMap::from([(header_of(algorithm), value.to_owned())])
                };
                let door = |(number, size): (PartNumber, u64)| SignedPartView {
                    number: number.get(),
                    url: signed.url(number, size),
                    headers: SignedHeaders {
                        content_length: size.to_string(),
                        checksum: signed.checksum(number).map(claimed),
                    },
                };
                let signatures = signed.parts().map(door).collect();
                Self::Full {
                    expires_at,
                    signatures,
                }
            }
            SignatureFormat::Compact => {
                let numbered = |(number, size): (PartNumber, u64)| {
                    (number.get(), HexSignature(signed.signature(number, size)))
                };
                Self::Compact {
                    expires_at,
                    head: signer.head().to_owned(),
                    middle: signer.middle().to_owned(),
                    tail: signer.tail().to_owned(),
                    signatures: signed.parts().map(numbered).collect(),
                }
            }
        }
    }
}

/// Signs parts, at most 10,000 at once. Each URL takes a PUT of exactly that part's bytes. Of an upload whose `transfer` is
/// `relay` nothing is signed (403).
#[utoipa::path(tag = "uploads", request_body = SignParts, params(("id" = String, Path, description = "The upload")),
    responses(
        (status = 200, body = SignaturesView),
        (status = 400, description = "`errors` names each bad field"),
        (status = 404, description = "Not there, or not yours"),
        (status = 409, description = "The upload has ended; `state` says how"),
        (status = 429, description = "Too many signatures are asked for; `Retry-After` says when"),
        (status = 503, description = "The server's own credentials have run out; `Retry-After` says when to come again"),
    ))]
#[post("/uploads/{id}/signatures")]
pub(super) async fn sign(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    uploads: Data<Uploads>,
) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    let wanted: SignParts = body::json(&request, payload).await?;
    if let Some(code) = &wanted.refused {
        uploads.store_has_refused(&caller, &id, code).await?;
    }
    let signed = uploads
        .sign_parts(
            &caller,
            &id,
            |part_count| wanted.parts.parse(part_count),
            wanted.checksums,
        )
        .await?;
    Ok(fresh(
        HttpResponse::Ok(),
        &SignaturesView::new(&signed, wanted.format),
    ))
}
