//! Who is asking, and what they may reach.
//!
//! Separate from the ways of proving it (keys, tokens, cookies): a verb only asks what this caller may touch.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::bounds::Bounds;
use super::id::UploadId;
use super::owner::Owner;
use crate::error::Error;

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Begin uploads, and everything with those of one's own.
    Upload,
    /// Look at and end everybody's uploads, begin none.
    Admin,
    /// Both.
    UploadAndAdmin,
    /// Everything with one upload, which exists already.
    OneUpload(UploadId),
}

/// Somebody we know, mapped to an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose uploads are theirs.
    pub owner: Owner,
    /// What they may do.
    pub grant: Grant,
    /// The id of the API key that they came with, on which all depends that is made in their name; `None` for others.
    pub key: Option<String>,
    /// Where they ask from, where that is known.
    pub address: Option<IpAddr>,
    /// How much less than everybody they may begin.
    pub bounds: Bounds,
    /// When what they came with ends, where that is known: nothing that stands for it may last longer.
    pub until: Option<DateTime<Utc>>,
}

impl Principal {
    /// A caller with a grant.
    pub fn new(owner: Owner, grant: Grant) -> Self {
        Self {
            owner,
            grant,
            key: None,
            address: None,
            bounds: Bounds::default(),
            until: None,
        }
    }

    /// The same caller, known by the API key with this id.
    #[must_use]
    pub fn with_key(self, id: String) -> Self {
        Self {
            key: Some(id),
            ..self
        }
    }

    /// The same caller, who may begin no more than these bounds allow as well.
    #[must_use]
    pub fn within(mut self, bounds: &Bounds) -> Self {
        self.bounds = self.bounds.and(bounds);
        self
    }

    /// The same caller, whose credential ends then.
    #[must_use]
    pub fn until(self, end: DateTime<Utc>) -> Self {
        Self {
            until: Some(end),
            ..self
        }
    }

    /// The same caller, asking from there.
    #[must_use]
    pub fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Whether this caller sees everybody's uploads.
    pub fn is_admin(&self) -> bool {
        matches!(self.grant, Grant::Admin | Grant::UploadAndAdmin)
    }

    /// Whether the application has named this caller, in a token or in an answer, and not a key of ours.
    pub fn is_of_application(&self) -> bool {
        self.key.is_none() && !self.owner.is_visitor() && !matches!(self.grant, Grant::OneUpload(_))
    }

    /// Whether this caller may begin uploads.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where they may not.
    pub fn may_begin(&self) -> Result<(), Error> {
        match self.grant {
            Grant::Upload | Grant::UploadAndAdmin => Ok(()),
            Grant::Admin => Err(Error::Forbidden("this key may look at uploads but not begin any")),
            Grant::OneUpload(_) => Err(Error::Forbidden(
                "an upload's token is good for that upload alone",
            )),
        }
    }

    /// Whether this caller may send parts of an upload of `owner`: an admin looks at everybody's and ends them, but
    /// sends only their own.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where they may not.
    pub fn may_send(&self, owner: &Owner) -> Result<(), Error> {
        if self.owner == *owner && self.grant != Grant::Admin {
            Ok(())
        } else {
            Err(Error::Forbidden("only its owner may send parts of an upload"))
        }
    }

    /// Whether this caller may have what works without us until it ends: nothing holds it within bounds.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller with bounds.
    pub fn may_have_keys(&self) -> Result<(), Error> {
        if self.bounds.is_open() {
            Ok(())
        } else {
            Err(Error::Forbidden(
                "your credential has limits of its own, in which keys of the store cannot be held",
            ))
        }
    }

    /// Within whose uploads this caller may look for `id`: `None` means everybody's.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the caller's token is for another upload.
    pub fn reach(&self, id: &UploadId) -> Result<Option<&Owner>, Error> {
        match &self.grant {
            Grant::OneUpload(only) if only != id => Err(Error::NotFound("upload")),
            Grant::Admin | Grant::UploadAndAdmin => Ok(None),
            Grant::Upload | Grant::OneUpload(_) => Ok(Some(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::named("anna").unwrap()
    }

    #[test]
    fn a_token_reaches_its_own_upload_and_no_other() {
        let own = UploadId::generate("2026-01-01T00:00:00Z".parse().unwrap());
        let other = UploadId::generate("2026-01-01T00:00:01Z".parse().unwrap());
        let holder = Principal::new(owner(), Grant::OneUpload(own.clone()));

        assert_eq!(holder.reach(&own).unwrap(), Some(&owner()));
        assert!(matches!(holder.reach(&other), Err(Error::NotFound(_))));
        assert!(matches!(holder.may_begin(), Err(Error::Forbidden(_))));
    }

    #[test]
    fn an_admin_sends_nothing_in_somebody_elses_name() {
        let other = Owner::named("bert").unwrap();

        assert!(
            Principal::new(owner(), Grant::UploadAndAdmin)
                .may_send(&owner())
                .is_ok()
        );
        assert!(
            Principal::new(owner(), Grant::UploadAndAdmin)
                .may_send(&other)
                .is_err()
        );
        assert!(Principal::new(owner(), Grant::Admin).may_send(&owner()).is_err());
    }

    #[test]
    fn only_an_admin_looks_beyond_one_owner() {
        let id = UploadId::generate("2026-01-01T00:00:00Z".parse().unwrap());

        assert!(
            Principal::new(owner(), Grant::Admin)
                .reach(&id)
                .unwrap()
                .is_none()
        );
        assert!(
            Principal::new(owner(), Grant::Upload)
                .reach(&id)
                .unwrap()
                .is_some()
        );
    }
}
