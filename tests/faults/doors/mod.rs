//! Every door, each with a client as small as it can be: it sends what is missing, believes what it is told, and holds the
//! program to it.

mod chunks;
mod galileo;
mod ietf;
mod mule;
mod native;
mod offset;
mod pages;
mod tus;
mod uppy;

use serde_json::Value;

use super::job::{Job, Outcome};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    Native,
    Relayed,
    MuleV1,
    MuleV2,
    Uppy,
    UppySingle,
    Evaporate,
    FineUploader,
    Chunks,
    Tus,
    Ietf,
    Offset,
    Galileo,
}

impl Door {
    pub const ALL: [Self; 13] = [
        Self::Native,
        Self::Relayed,
        Self::MuleV1,
        Self::MuleV2,
        Self::Uppy,
        Self::UppySingle,
        Self::Evaporate,
        Self::FineUploader,
        Self::Chunks,
        Self::Tus,
        Self::Ietf,
        Self::Offset,
        Self::Galileo,
    ];

    /// Those whose bytes pass through the program.
    pub const THROUGH_US: [Self; 5] = [Self::Chunks, Self::Tus, Self::Ietf, Self::Offset, Self::Galileo];

    /// Least and most bytes of its files.
    pub fn sizes(self) -> (u64, u64) {
        match self {
            Self::Tus | Self::Ietf | Self::Offset | Self::Galileo => (0, 1 << 20),
            // Its parts have at least a mebibyte.
            Self::Chunks => (1, 3 << 20),
            _ => (1, 600 << 10),
        }
    }

    pub async fn upload(self, job: &mut Job) -> Outcome {
        match self {
            Self::Native => native::direct(job).await,
            Self::Relayed => native::relayed(job).await,
            Self::MuleV1 => mule::first(job).await,
            Self::MuleV2 => mule::second(job).await,
            Self::Uppy => uppy::multipart(job).await,
            Self::UppySingle => uppy::single(job).await,
            Self::Evaporate => pages::evaporate(job).await,
            Self::FineUploader => pages::fine_uploader(job).await,
            Self::Chunks => chunks::upload(job).await,
            Self::Tus => tus::upload(job).await,
            Self::Ietf => ietf::upload(job).await,
            Self::Offset => offset::upload(job).await,
            Self::Galileo => galileo::upload(job).await,
        }
    }
}

/// A number in an answer, as what counts parts and bytes here.
fn number(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}
