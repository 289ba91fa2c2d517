//! The operations on buckets and their CORS rules.
//!
//! Separate from objects because a bucket is a name and its rules only; nothing here touches a body.

use s3s::dto::{
    Bucket, BucketLocationConstraint, CORSRule, CreateBucketInput, CreateBucketOutput, DeleteBucketCorsInput,
    DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput, GetBucketLocationInput,
    GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::cors::CorsRule;
use super::listing::{self, Filter, Start};
use super::service::Service;
use super::store::run;

/// The methods that a CORS rule may name.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

pub fn list(
    service: &Service,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let start = input
        .continuation_token
        .as_deref()
        .map_or(Ok(Start::Beginning), Start::from_token)?;
    let limit = usize::try_from(listing::limit(input.max_buckets)?).unwrap_or_default();
    let prefix = input.prefix.clone().unwrap_or_default();
    let filter = Filter {
        prefix,
        delimiter: String::new(),
        limit,
    };
    let buckets = service.store.buckets();
    let behind = buckets
        .iter()
        .map(|bucket| (bucket.name.as_str(), bucket))
        .filter(|(name, _)| start.admits(name));
    let page = listing::page(behind, &filter);
    let listed = page.entries.iter().map(|bucket| Bucket {
        name: Some(bucket.name.clone()),
        creation_date: Some(bucket.created.into()),
        ..Bucket::default()
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(listed.collect()),
        continuation_token: page.last.filter(|_| page.truncated).map(listing::token),
        prefix: input.prefix,
        ..Default::default()
    }))
}

pub async fn create(
    service: &Service,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let (store, name) = (service.store.clone(), request.input.bucket);
    let location = format!("/{name}");
    if !run(move || store.create_bucket(&name).map_err(S3Error::internal_error)).await? {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "The bucket exists and is yours."
        ));
    }
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(location),
    }))
}

pub fn head(
    service: &Service,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let HeadBucketInput { bucket, .. } = request.input;
    service.store.with_bucket(&bucket, |_| ())?;
    Ok(S3Response::new(HeadBucketOutput {
        access_point_alias: None,
        bucket_location_name: None,
        bucket_location_type: None,
        bucket_region: Some(service.region.clone()),
    }))
}

pub fn location(
    service: &Service,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let GetBucketLocationInput { bucket, .. } = request.input;
    service.store.with_bucket(&bucket, |_| ())?;
    // S3's oldest region has no name here.
    let named =
        (service.region != "us-east-1").then(|| BucketLocationConstraint::from(service.region.clone()));
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: named,
    }))
}

pub async fn put_cors(
    service: &Service,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let rules: Vec<_> = request
        .input
        .cors_configuration
        .cors_rules
        .into_iter()
        .map(from_wire)
        .collect();
    rules.iter().try_for_each(check)?;
    let (store, name) = (service.store.clone(), request.input.bucket);
    run(move || store.set_cors(&name, Some(rules))).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub fn get_cors(
    service: &Service,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let GetBucketCorsInput { bucket, .. } = request.input;
    let rules = service
        .store
        .with_bucket(&bucket, |bucket| bucket.record.cors.clone())?;
    let rules = rules
        .ok_or_else(|| s3_error!(NoSuchCORSConfiguration, "The CORS configuration does not exist"))?
        .into_iter()
        .map(to_wire);
    Ok(S3Response::new(GetBucketCorsOutput {
        cors_rules: Some(rules.collect()),
    }))
}

pub async fn delete_cors(
    service: &Service,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let (store, name) = (service.store.clone(), request.input.bucket);
    run(move || store.set_cors(&name, None)).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

fn check(rule: &CorsRule) -> S3Result<()> {
    if let Some(method) = rule
        .allowed_methods
        .iter()
        .find(|method| !METHODS.contains(&method.as_str()))
    {
        return Err(s3_error!(
            InvalidRequest,
            "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
        ));
    }
    let patterns = rule.allowed_origins.iter().chain(&rule.allowed_headers);
    match patterns
        .into_iter()
        .find(|pattern| pattern.matches('*').count() > 1)
    {
        None => Ok(()),
        Some(pattern) => Err(s3_error!(
            InvalidRequest,
            "\"{pattern}\" can not have more than one wildcard."
        )),
    }
}

fn from_wire(rule: CORSRule) -> CorsRule {
    CorsRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_s: rule.max_age_seconds,
    }
}

fn to_wire(rule: CorsRule) -> CORSRule {
    CORSRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: Some(rule.allowed_headers).filter(|list| !list.is_empty()),
        expose_headers: Some(rule.expose_headers).filter(|list| !list.is_empty()),
        max_age_seconds: rule.max_age_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_the_way_there_and_back() {
        let rule = CorsRule {
            id: Some("r".to_owned()),
            allowed_origins: vec!["http://page.test".to_owned()],
            allowed_methods: vec!["PUT".to_owned()],
            allowed_headers: vec!["*".to_owned()],
            expose_headers: vec!["ETag".to_owned()],
            max_age_s: Some(60),
        };
        let back = from_wire(to_wire(rule.clone()));

        assert!(check(&back).is_ok());
        assert_eq!(back, rule);
    }

    #[test]
    fn two_wildcards_and_unknown_methods_are_refused() {
        let rule = |origin: &str, method: &str| CorsRule {
            id: None,
            allowed_origins: vec![origin.to_owned()],
            allowed_methods: vec![method.to_owned()],
            allowed_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age_s: None,
        };
        assert!(check(&rule("http://*.page.test", "PUT")).is_ok());
        assert!(check(&rule("http://*.*.test", "PUT")).is_err());
        assert!(check(&rule("*", "PATCH")).is_err());
    }
}
