//! Settings of the doors whose pages write what is signed, and which values of them are impossible.
//!
//! Separate from the other doors, because these two have all but one setting in common, and what one of them may allow is a
//! matter of what a stranger may do with our key.

use serde::{Deserialize, Serialize};

use super::Secret;
use super::doors::{PATH, is_path};
use super::validate::Complaints;
use crate::domain::KeyPrefix;

/// Evaporate, which signs through us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaporateConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address; `/sign`, `/time` and `/settings` follow.
    pub path: String,
    /// Long-term credentials that sign what pages write; empty takes those of the store. Pages know the id.
    pub access_key_id: String,
    /// The secret that belongs to them.
    pub secret_access_key: Secret,
    /// Signs with SigV2 (HMAC-SHA1) too.
    pub signature_v2: bool,
    /// What the keys of an owner begin with: `{owner}` as a whole segment, and a slash at the end.
    pub key_prefix: String,
    /// The only canned ACL that pages may ask for.
    pub acl: String,
    /// Further `x-amz-` headers that pages may have stored with an object.
    pub headers: Vec<String>,
    /// Whether pages may ask if an object of their owner exists (`allowS3ExistenceOptimization`).
    pub existence: bool,
}

/// Fine Uploader for S3, which signs through us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FineUploaderConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address; `/signature`, `/success`, `/session`, `/files` and `/settings` follow.
    pub path: String,
    /// Long-term credentials that sign what pages write; empty takes those of the store. Pages know the id.
    pub access_key_id: String,
    /// The secret that belongs to them.
    pub secret_access_key: Secret,
    /// Signs with SigV2 (HMAC-SHA1) too.
    pub signature_v2: bool,
    /// What the keys of an owner begin with: `{owner}` as a whole segment, and a slash at the end.
    pub key_prefix: String,
    /// The only canned ACL that pages may ask for.
    pub acl: String,
    /// Further `x-amz-` headers that pages may have stored with an object.
    pub headers: Vec<String>,
    /// Whether an owner's pages may remove finished files.
    pub delete: bool,
}

impl EvaporateConfig {
    /// What it has in common with its like.
    pub fn signing(&self) -> PageSigning<'_> {
        PageSigning {
            section: "evaporate",
            path: &self.path,
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            signature_v2: self.signature_v2,
            key_prefix: &self.key_prefix,
            acl: &self.acl,
            headers: &self.headers,
        }
    }
}

impl FineUploaderConfig {
    /// What it has in common with its like.
    pub fn signing(&self) -> PageSigning<'_> {
        PageSigning {
            section: "fine_uploader",
            path: &self.path,
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            signature_v2: self.signature_v2,
            key_prefix: &self.key_prefix,
            acl: &self.acl,
            headers: &self.headers,
        }
    }
}

/// Headers that may be stored with an object because a page says so. No other one is harmless in everybody's hands; and
/// what is encrypted with a key that the page brings, we could not look at ourselves.
const STORABLE: [&str; 6] = [
    "x-amz-meta-*",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
];

/// The canned ACLs of S3: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>.
const ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "aws-exec-read",
    "authenticated-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// What the doors that sign what pages write have in common.
#[derive(Debug, Clone, Copy)]
pub struct PageSigning<'a> {
    /// The name of its section.
    section: &'static str,
    /// Its address.
    path: &'a str,
    /// The id of the key that signs; empty for the store's.
    pub access_key_id: &'a str,
    /// The secret that belongs to it.
    pub secret_access_key: &'a Secret,
    /// Whether SigV2 is offered.
    pub signature_v2: bool,
    /// What the keys of an owner begin with.
    pub key_prefix: &'a str,
    /// The only canned ACL that pages may ask for.
    pub acl: &'a str,
    /// Further `x-amz-` headers that pages may have stored with an object.
    pub headers: &'a [String],
}

impl PageSigning<'_> {
    /// Which values are impossible, where our own keys are made by `key_template`.
    pub(super) fn check(&self, key_template: &str, complaints: &mut Complaints) {
        let section = self.section;
        let key = |name: &str| format!("protocols.{section}.{name}");
        complaints.unless(is_path(self.path), &key("path"), PATH);
        complaints.unless(
            self.access_key_id.is_empty() == self.secret_access_key.is_empty(),
            &key("access_key_id"),
            &format!("must be given together with protocols.{section}.secret_access_key"),
        );
        if let Err(reason) = KeyPrefix::new(self.key_prefix) {
            complaints.unless(false, &key("key_prefix"), &reason);
        }
        complaints.unless(
            !share_folder(self.key_prefix, key_template),
            &key("key_prefix"),
            "must be in another folder than uploads.key_template, whose objects pages could claim",
        );
        complaints.unless(
            ACLS.contains(&self.acl),
            &key("acl"),
            &format!("must be one of {}", ACLS.join(", ")),
        );
        for name in self.headers {
            complaints.unless(
                STORABLE.contains(&name.as_str()),
                &key("headers"),
                &format!("\"{name}\" is none of {}", STORABLE.join(", ")),
            );
        }
    }
}

/// Whether keys of both templates may lie in one folder: what the one begins with, before its first placeholder, is what
/// the other begins with. A template without such a beginning has no folder.
fn share_folder(one: &str, other: &str) -> bool {
    let fixed = |template: &str| {
        let end = template.find('{').unwrap_or(template.len());
        template[..end].to_owned()
    };
    let (one, other) = (fixed(one), fixed(other));
    let have_both = !one.is_empty() && !other.is_empty();
    have_both && (one.starts_with(&other) || other.starts_with(&one))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_pages_name_lies_in_a_folder_apart_from_what_is_named_here() {
        for (prefix, template, is_refused) in [
            ("uploads/{owner}/", "uploads/{yyyy}/{id}/{filename}", true),
            ("uploads/of/{owner}/", "uploads/{owner}/{id}", true),
            ("pages/{owner}/", "{owner}/{id}/{filename}", false),
            ("pages/{owner}/", "uploads/{id}", false),
            ("up/{owner}/", "uploads/{id}", false),
        ] {
            let mut config = Config::default();
            config.protocols.fine_uploader.key_prefix = prefix.into();
            config.uploads.key_template = template.into();

            let complaints = config.validate();

            let named = |text: &String| text.starts_with("protocols.fine_uploader.key_prefix: ");
            assert_eq!(
                complaints.iter().any(named),
                is_refused,
                "{prefix} {template}: {complaints:?}"
            );
        }
    }

    #[test]
    fn headers_that_change_what_a_request_does_cannot_be_allowed() {
        let mut config = Config::default();
        config.protocols.evaporate.headers = vec!["x-amz-copy-source".into(), "x-amz-storage-class".into()];
        config.protocols.fine_uploader.acl = "everybody".into();
        config.protocols.fine_uploader.key_prefix = "pages/".into();

        let complaints = config.validate();

        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(
            complaints[0].starts_with("protocols.evaporate.headers: "),
            "{complaints:?}"
        );
        assert!(
            complaints[1].starts_with("protocols.fine_uploader.key_prefix: "),
            "{complaints:?}"
        );
        assert!(
            complaints[2].starts_with("protocols.fine_uploader.acl: "),
            "{complaints:?}"
        );
    }
}
