//! Requests to STS for credentials that are narrower than ours and end soon.
//!
//! Separate from the requests to the store: another service, with forms instead of keys. What the session may do is written
//! here, and nowhere else. <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::{Credentials, SigningError, v4};

/// Whose role is taken on, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct AssumeRole<'a> {
    /// The role, `arn:PARTITION:iam::ACCOUNT:role/NAME`.
    pub role_arn: &'a str,
    /// What the session is called in the logs of AWS: 2 to 64 of `A-Z a-z 0-9 _ + = , . @ -`.
    pub session_name: &'a str,
    /// What may be done of what the role may.
    pub policy: &'a str,
    /// Seconds until the credentials end.
    pub seconds: u64,
    /// What the role's owner wants to hear, if anything.
    pub external_id: Option<&'a str>,
}

/// A form to post, with its signature. `Debug` shows none of it.
pub struct SignedAssumeRole {
    /// Headers to send, names in lower case; without `host` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// The form.
    pub body: String,
}

impl fmt::Debug for SignedAssumeRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SignedAssumeRole").finish_non_exhaustive()
    }
}

/// Signs the request for an STS at `url`, which is sent as it is.
///
/// # Errors
/// [`SigningError::Signer`] for an address that is none.
pub fn assume_role(
    wanted: AssumeRole<'_>,
    url: &str,
    region: &str,
    credentials: &Credentials,
    now: DateTime<Utc>,
) -> Result<SignedAssumeRole, SigningError> {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "AssumeRole")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", wanted.role_arn)
        .append_pair("RoleSessionName", wanted.session_name)
        .append_pair("Policy", wanted.policy)
        .append_pair("DurationSeconds", &wanted.seconds.to_string());
    if let Some(id) = wanted.external_id {
        form.append_pair("ExternalId", id);
    }
    let body = form.finish();
    let headers = v4::sign_form("sts", url, &body, region, credentials, now)?;
    Ok(SignedAssumeRole { headers, body })
}

/// What a browser needs to put objects below `prefix` in parts, and nothing that reads, lists or removes any. In S3's
/// policies `s3:PutObject` also stands for beginning a multipart upload, for its parts and for joining them.
///
/// Bucket and prefix must hold none of `*?$`, which mean something in a policy.
pub fn uploader_policy(partition: &str, bucket: &str, prefix: &str) -> String {
    let statement = json!({
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        "Resource": [format!("arn:{partition}:s3:::{bucket}/{prefix}*")],
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://sts.eu-west-1.amazonaws.com/";

    fn signed(external_id: Option<&str>) -> SignedAssumeRole {
        let policy = uploader_policy("aws", "media", "sts/a_40b/");
        let wanted = AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/uploader",
            session_name: "muleteer-a_40b",
            policy: &policy,
            seconds: 3600,
            external_id,
        };
        let credentials = Credentials {
            session_token: Some("the-token".into()),
            ..Credentials::long_term("AKID", "the-secret")
        };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assume_role(wanted, URL, "eu-west-1", &credentials, now).unwrap()
    }

    #[test]
    fn the_form_says_who_what_and_how_long_and_the_signature_is_for_sts() {
        let request = signed(Some("a b&c"));

        let fields: Vec<(String, String)> = url::form_urlencoded::parse(request.body.as_bytes())
            .into_owned()
            .collect();
        let field = |name: &str| fields.iter().find(|(own, _)| own == name).unwrap().1.as_str();
        assert_eq!(field("Action"), "AssumeRole");
        assert_eq!(field("DurationSeconds"), "3600");
        assert_eq!(field("ExternalId"), "a b&c");
        let policy: serde_json::Value = serde_json::from_str(field("Policy")).unwrap();
        assert_eq!(
            policy["Statement"][0]["Resource"],
            json!(["arn:aws:s3:::media/sts/a_40b/*"])
        );
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
        let header = |name: &str| {
            let mut headers = request.headers.iter();
            headers
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.as_str())
        };
        let authorization = header("authorization").unwrap();
        assert!(
            authorization.contains("/eu-west-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date"),
            "{authorization}"
        );
        assert_eq!(header("x-amz-security-token"), Some("the-token"));
        assert!(!signed(None).body.contains("ExternalId"));
    }

    #[test]
    fn debug_output_holds_nothing_of_the_request() {
        assert_eq!(format!("{:?}", signed(None)), "SignedAssumeRole { .. }");
    }
}
