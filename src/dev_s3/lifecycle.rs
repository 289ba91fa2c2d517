//! Lifecycle rules: the one kind that this server can keep, which drops unfinished multipart uploads.
//!
//! Separate from the other operations on buckets, because what cannot be kept is refused: a rule that is stored and does
//! nothing would be a lie. See <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html>.

use std::time::Duration;

use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleRule, LifecycleRuleFilter, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::service::Service;
use super::store::run;

/// A rule that drops unfinished uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortRule {
    /// Its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Keys that it is for begin so.
    pub prefix: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Days after which an unfinished upload is dropped, from 1.
    pub days: u32,
}

impl AbortRule {
    /// Whether it drops an unfinished upload of that key and age.
    pub fn drops(&self, key: &str, age: Duration) -> bool {
        self.enabled
            && key.starts_with(&self.prefix)
            && age >= Duration::from_hours(24 * u64::from(self.days))
    }

    fn from_wire(rule: LifecycleRule) -> S3Result<Self> {
        let others = rule.expiration.is_some()
            || rule.transitions.is_some()
            || rule.noncurrent_version_expiration.is_some()
            || rule.noncurrent_version_transitions.is_some();
        let filter = rule.filter.unwrap_or_default();
        let picks = filter.and.is_some()
            || filter.tag.is_some()
            || filter.object_size_greater_than.is_some()
            || filter.object_size_less_than.is_some();
        if others || picks {
            return Err(s3_error!(
                NotImplemented,
                "This server keeps rules with AbortIncompleteMultipartUpload and a prefix alone"
            ));
        }
        let days = rule
            .abort_incomplete_multipart_upload
            .and_then(|abort| abort.days_after_initiation)
            .and_then(|days| u32::try_from(days).ok())
            .filter(|days| *days >= 1);
        Ok(Self {
            id: rule.id,
            prefix: filter.prefix.or(rule.prefix).unwrap_or_default(),
            enabled: rule.status.as_str() == ExpirationStatus::ENABLED,
            days: days.ok_or_else(|| {
                s3_error!(
                    InvalidArgument,
                    "'DaysAfterInitiation' for AbortIncompleteMultipartUpload must be a positive integer"
                )
            })?,
        })
    }

    fn to_wire(&self) -> LifecycleRule {
        let status = if self.enabled {
            ExpirationStatus::ENABLED
        } else {
            ExpirationStatus::DISABLED
        };
        LifecycleRule {
            abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload {
                days_after_initiation: i32::try_from(self.days).ok(),
            }),
            expiration: None,
            filter: Some(LifecycleRuleFilter {
                prefix: Some(self.prefix.clone()),
                ..LifecycleRuleFilter::default()
            }),
            id: self.id.clone(),
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(status),
            transitions: None,
        }
    }
}

pub fn get(
    service: &Service,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let bucket = request.input.bucket;
    let rules = service
        .store
        .with_bucket(&bucket, |bucket| bucket.record.lifecycle.clone())?;
    let rules = rules.ok_or_else(|| {
        s3_error!(
            NoSuchLifecycleConfiguration,
            "The lifecycle configuration does not exist"
        )
    })?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules.iter().map(AbortRule::to_wire).collect()),
        ..Default::default()
    }))
}

pub async fn put(
    service: &Service,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let input = request.input;
    let configuration = input
        .lifecycle_configuration
        .ok_or_else(|| s3_error!(MalformedXML, "The rules are missing"))?;
    let rules = configuration.rules.into_iter().map(AbortRule::from_wire);
    let rules: Vec<_> = rules.collect::<S3Result<_>>()?;
    let (store, name) = (service.store.clone(), input.bucket);
    run(move || store.set_lifecycle(&name, Some(rules))).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

pub async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let (store, name) = (service.store.clone(), request.input.bucket);
    run(move || store.set_lifecycle(&name, None)).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}
