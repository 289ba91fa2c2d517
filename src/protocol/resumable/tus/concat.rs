//! `Upload-Concat`: whether an upload is a piece of another, or made of such pieces:
//! <https://tus.io/protocols/resumable-upload#concatenation>.
//!
//! Separate, because the pieces are named by addresses, which come from outside and are never asked: all that counts of
//! them is the id behind an address of ours.

use url::Url;

use crate::domain::UploadId;
use crate::error::Error;

/// The field's name.
pub(super) const NAME: &str = "Upload-Concat";

/// What an upload is among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Concat {
    /// A piece of an upload to come.
    Partial,
    /// Made of these, in this order.
    Final(Vec<UploadId>),
}

impl Concat {
    /// Reads the field. Addresses may be whole or paths, at any of `mounts`, behind whatever a proxy puts before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub(super) fn parse(field: &str, mounts: &[String]) -> Result<Self, Error> {
        if field == "partial" {
            return Ok(Self::Partial);
        }
        let list = field.strip_prefix("final;").ok_or_else(|| {
            Error::invalid(NAME, "is \"partial\", or \"final;\" and the addresses of uploads")
        })?;
        let ids = list.split(' ').map(|address| {
            id_behind(address, mounts).ok_or_else(|| {
                let shown: String = address.chars().take(200).collect();
                Error::invalid(NAME, format!("\"{shown}\" is no upload of ours"))
            })
        });
        ids.collect::<Result<_, _>>().map(Self::Final)
    }
}

/// The id in the address of an upload.
fn id_behind(address: &str, mounts: &[String]) -> Option<UploadId> {
    let is_whole = address.starts_with("http://") || address.starts_with("https://");
    // A list with commas is a mistake, and would pass for one address that ends like its last.
    if (!is_whole && !address.starts_with('/')) || address.contains(',') {
        return None;
    }
    // It stands for whoever is asked here: no name in an address is ever looked up.
    let here = Url::parse("http://here.invalid/").ok()?;
    let address = here.join(address).ok()?;
    let path = address.path();
    let (before, id) = path.strip_suffix('/').unwrap_or(path).rsplit_once('/')?;
    let is_ours = |mount: &String| before.ends_with(mount.as_str());
    if !mounts.iter().any(is_ours) {
        return None;
    }
    UploadId::parse(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0199f0a1b2c37d4e8f90a1b2c3d4e5f6";
    const B: &str = "0199f0a1b2c37d4e8f90a1b2c3d4e5f7";

    fn parse(field: &str) -> Result<Concat, Error> {
        Concat::parse(field, &["/files".to_owned(), "/upload".to_owned()])
    }

    #[test]
    fn an_address_may_be_whole_or_a_path_at_any_mount() {
        let both = Concat::Final(vec![UploadId::parse(A).unwrap(), UploadId::parse(B).unwrap()]);
        for field in [
            format!("final;/files/{A} /files/{B}"),
            format!("final;/upload/{A} /files/{B}/"),
            format!("final;https://up.example/files/{A} /files/{B}"),
            format!("final;http://up.example:8080/behind/files/{A}?x=y //other/upload/{B}"),
        ] {
            assert_eq!(parse(&field).unwrap(), both, "{field}");
        }
        assert_eq!(parse("partial").unwrap(), Concat::Partial);
    }

    #[test]
    fn everything_else_is_refused() {
        for field in [
            String::new(),
            "final".to_owned(),
            "final;".to_owned(),
            "final; ".to_owned(),
            "banana".to_owned(),
            "Partial".to_owned(),
            "partial;x".to_owned(),
            format!("final; /files/{A}"),
            format!("final;/files/{A}  /files/{B}"),
            format!("final;/files/{A},/files/{B}"),
            format!("final;{A}"),
            format!("final;files/{A}"),
            format!("final;/other/{A}"),
            format!("final;https://up.example/?x=/files/{A}"),
            format!("final;ftp://up.example/files/{A}"),
            "final;/files/nonsense".to_owned(),
            format!("final;/files/{}", A.to_uppercase()),
        ] {
            assert!(parse(&field).is_err(), "{field}");
        }
    }
}
