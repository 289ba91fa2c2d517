//! Settings of the temporary credentials that Uppy's pages may have, and which values of them are impossible.
//!
//! Separate from the door's other settings: these hand something out that works without us until it ends.

use serde::{Deserialize, Serialize};

use super::validate::{Complaints, ORIGIN, is_origin};
use super::{Config, Secret};
use crate::domain::KeyPrefix;

/// Temporary credentials for pages that sign by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StsConfig {
    /// The role that sessions are of, `arn:aws:iam::ACCOUNT:role/NAME`; empty switches it all off.
    pub role_arn: String,
    /// Seconds that credentials are good, 900 to 43,200 (12 hours).
    pub duration_s: u64,
    /// `http(s)://host[:port]` of the STS; empty takes the store's own endpoint, and AWS's STS of the region where the store
    /// is AWS.
    pub endpoint: String,
    /// What the role's trust policy asks for as `sts:ExternalId`; empty for nothing.
    pub external_id: Secret,
    /// What the keys of an owner begin with: a folder, `{owner}` as a whole segment, and a slash at the end.
    pub key_prefix: String,
}

impl StsConfig {
    /// Whether credentials are handed out.
    pub fn is_on(&self) -> bool {
        !self.role_arn.is_empty()
    }

    /// The partition of AWS that the role is in, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        self.role_arn.split(':').nth(1).unwrap_or("aws")
    }

    /// The folder that all owners' prefixes are in, with its slash.
    pub fn folder(&self) -> &str {
        self.key_prefix.split("{owner}").next().unwrap_or_default()
    }
}

impl Config {
    /// Where the STS is, when temporary credentials are handed out.
    pub fn sts_endpoint(&self) -> String {
        let (sts, s3) = (&self.protocols.uppy.sts, &self.s3);
        if !sts.endpoint.is_empty() {
            return sts.endpoint.clone();
        }
        if !s3.endpoint.is_empty() {
            return s3.endpoint.clone();
        }
        let suffix = if s3.region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://sts.{}.amazonaws.com{suffix}", s3.region)
    }

    /// Which values are impossible.
    pub(super) fn check_sts(&self, complaints: &mut Complaints) {
        let sts = &self.protocols.uppy.sts;
        let key = |name: &str| format!("protocols.uppy.sts.{name}");
        complaints.unless(
            (900..=43_200).contains(&sts.duration_s),
            &key("duration_s"),
            "must be 900 to 43200 seconds (12 hours)",
        );
        complaints.unless(
            sts.endpoint.is_empty() || is_origin(&sts.endpoint),
            &key("endpoint"),
            ORIGIN,
        );
        if let Err(reason) = KeyPrefix::new(&sts.key_prefix) {
            complaints.unless(false, &key("key_prefix"), &reason);
        }
        if !sts.is_on() {
            return;
        }
        complaints.unless(
            is_role(&sts.role_arn),
            &key("role_arn"),
            "must be a role's ARN, such as arn:aws:iam::123456789012:role/uploader",
        );
        complaints.unless(
            !self.uses_embedded_store(),
            &key("role_arn"),
            "the embedded S3 has no STS: set s3.bucket, or leave this empty",
        );
        self.check_folder(complaints, &key("key_prefix"));
    }

    /// Whoever has credentials may overwrite what lies below their prefix, so nothing else of ours may lie there.
    fn check_folder(&self, complaints: &mut Complaints, key: &str) {
        let folder = self.protocols.uppy.sts.folder();
        complaints.unless(
            !folder.is_empty(),
            key,
            "must begin with a folder of its own, such as sts/{owner}/",
        );
        let protocols = &self.protocols;
        for (name, other) in [
            ("uploads.key_template", &self.uploads.key_template),
            ("protocols.evaporate.key_prefix", &protocols.evaporate.key_prefix),
            (
                "protocols.fine_uploader.key_prefix",
                &protocols.fine_uploader.key_prefix,
            ),
        ] {
            let text = format!("must be in another folder than {name}, whose objects it could overwrite");
            complaints.unless(folder.is_empty() || !other.starts_with(folder), key, &text);
        }
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME`; stores other than AWS leave the account out.
fn is_role(arn: &str) -> bool {
    let pieces: Vec<&str> = arn.splitn(6, ':').collect();
    let [head, partition, service, region, _, resource] = pieces[..] else {
        return false;
    };
    head == "arn"
        && !partition.is_empty()
        && partition.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && service == "iam"
        && region.is_empty()
        && resource
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty())
        && arn.len() <= 2048
        && arn.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Adjust = fn(&mut Config);

    /// Settings with a bucket and a role, adjusted.
    fn complaints(adjust: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        config.s3.bucket = "media".into();
        config.protocols.uppy.sts.role_arn = "arn:aws:iam::123456789012:role/uploader".into();
        adjust(&mut config);
        config.validate()
    }

    #[test]
    fn what_could_not_work_or_reach_other_objects_is_named() {
        assert_eq!(complaints(|_| {}), Vec::<String>::new());
        let refused: [(&str, Adjust); 10] = [
            ("role_arn", |config| config.s3.bucket = String::new()),
            ("role_arn", |config| {
                config.protocols.uppy.sts.role_arn = "uploader".into();
            }),
            ("role_arn", |config| {
                config.protocols.uppy.sts.role_arn = "arn:aws:iam::123456789012:user/anna".into();
            }),
            ("duration_s", |config| config.protocols.uppy.sts.duration_s = 899),
            ("duration_s", |config| {
                config.protocols.uppy.sts.duration_s = 43_201;
            }),
            ("endpoint", |config| {
                config.protocols.uppy.sts.endpoint = "https://sts.example/x".into();
            }),
            ("key_prefix", |config| {
                config.protocols.uppy.sts.key_prefix = "sts/".into();
            }),
            ("key_prefix", |config| {
                config.protocols.uppy.sts.key_prefix = "{owner}/".into();
            }),
            ("key_prefix", |config| {
                config.uploads.key_template = "sts/{id}/{filename}".into();
            }),
            ("key_prefix", |config| {
                config.protocols.evaporate.key_prefix = "sts/{owner}/".into();
            }),
        ];
        for (number, (key, adjust)) in refused.into_iter().enumerate() {
            let complaints = complaints(adjust);
            assert_eq!(complaints.len(), 1, "{number}: {complaints:?}");
            let start = format!("protocols.uppy.sts.{key}: ");
            assert!(complaints[0].starts_with(&start), "{number}: {complaints:?}");
        }
    }

    #[test]
    fn the_sts_is_beside_the_store() {
        let mut config = Config::default();
        config.s3.region = "eu-west-1".into();
        assert_eq!(config.sts_endpoint(), "https://sts.eu-west-1.amazonaws.com");
        config.s3.region = "cn-north-1".into();
        assert_eq!(config.sts_endpoint(), "https://sts.cn-north-1.amazonaws.com.cn");
        config.s3.endpoint = "https://s3.example.org".into();
        assert_eq!(config.sts_endpoint(), "https://s3.example.org");
        config.protocols.uppy.sts.endpoint = "https://sts.example.org".into();
        assert_eq!(config.sts_endpoint(), "https://sts.example.org");
    }
}
