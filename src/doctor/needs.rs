//! What the settings need of a bucket: which pages call it and how, where in it we write, how long it must keep what is
//! unfinished, and what our key must be allowed.
//!
//! Separate from the checks, because `cors apply` and `policy` say the same without looking at any store.

use serde_json::{Value, json};

use super::rules::CorsRule;
use crate::config::{Config, KeyChoice, origin_and_path};
use crate::domain::MAX_PARTS;
use crate::signing::sts::uploader_policy;

/// Where small objects of relayed uploads wait.
const PIECES: &str = ".muleteer/";

/// Days beyond the longest time that an upload may rest, so that our own sweeper comes first.
const SPARE_DAYS: u64 = 1;

/// The rule that lets the pages of all direct doors send to the bucket and read its answers.
pub fn cors_rule(config: &Config) -> CorsRule {
    CorsRule {
        allowed_origins: origins(config),
        allowed_methods: methods(config),
        // What may be sent is decided by the signature, and front ends differ in the fields that they add.
        allowed_headers: vec!["*"],
        expose_headers: vec!["ETag", "Location"],
        max_age_s: 3600,
    }
}

/// The sites whose pages send to the store: those that the settings list, and our own page.
pub fn origins(config: &Config) -> Vec<String> {
    let listed = &config.cors.allowed_origins;
    if listed.iter().any(|origin| origin == "*") {
        return vec!["*".to_owned()];
    }
    let mut all = match config.server.public_url.trim_end_matches('/') {
        "" => {
            let port = config.server.port;
            let mut own = vec![
                format!("http://127.0.0.1:{port}"),
                format!("http://localhost:{port}"),
            ];
            let address = &config.server.address;
            // An address that means all of them is none that a browser shows.
            if !["127.0.0.1", "0.0.0.0", "::", "::1"].contains(&address.as_str()) {
                own.push(if address.contains(':') {
                    format!("http://[{address}]:{port}")
                } else {
                    format!("http://{address}:{port}")
                });
            }
            own
        }
        url => vec![origin_and_path(url).0.to_owned()],
    };
    for origin in listed {
        let origin = origin.trim_end_matches('/');
        if !all.iter().any(|known| known == origin) {
            all.push(origin.to_owned());
        }
    }
    all
}

/// The methods that pages use at the store, through any door that is open.
pub fn methods(config: &Config) -> Vec<&'static str> {
    let doors = &config.protocols;
    let signs_whatever = doors.evaporate.enabled || doors.fine_uploader.enabled || doors.mule.enabled;
    let uppy = &doors.uppy;
    let mut methods = vec!["PUT"];
    if signs_whatever || (uppy.enabled && (uppy.forms || uppy.presign)) {
        methods.push("POST");
    }
    if signs_whatever || (uppy.enabled && uppy.presign) {
        methods.extend(["GET", "DELETE"]);
    }
    if doors.evaporate.enabled && doors.evaporate.existence {
        methods.push("HEAD");
    }
    methods
}

/// Beginnings of all keys that we or our pages write; an empty one is the whole bucket.
pub fn prefixes(config: &Config) -> Vec<String> {
    let doors = &config.protocols;
    let mut templates = vec![config.uploads.key_template.as_str()];
    templates.extend(
        doors
            .evaporate
            .enabled
            .then_some(doors.evaporate.key_prefix.as_str()),
    );
    templates.extend(
        doors
            .fine_uploader
            .enabled
            .then_some(doors.fine_uploader.key_prefix.as_str()),
    );
    let uppy = &doors.uppy;
    if uppy.enabled {
        // A page may propose any key.
        templates.extend((uppy.keys == KeyChoice::Proposed).then_some(""));
        templates.extend(uppy.sts.is_on().then_some(uppy.sts.key_prefix.as_str()));
    }
    let mut found: Vec<String> = templates.into_iter().map(fixed_part).collect();
    if relays(config) {
        found.push(PIECES.to_owned());
    }
    found.sort_unstable();
    found.dedup();
    if found.first().is_some_and(String::is_empty) {
        found.truncate(1);
    }
    found
}

/// A template up to its first placeholder, cut at a slash.
fn fixed_part(template: &str) -> String {
    let fixed = template.split('{').next().unwrap_or_default();
    match fixed.rfind('/') {
        Some(slash) => fixed[..=slash].to_owned(),
        None => String::new(),
    }
}

/// Whether bytes that pass through us go to the bucket.
pub(super) fn relays(config: &Config) -> bool {
    config.storage.backend == crate::config::BackendName::S3
}

/// Most parts that an upload may come to have at the store, 1 to 10,000. What is appended to through us is cut into the least
/// parts that the store takes, and heeds no `limits.max_parts`: its largest file decides.
pub fn most_parts(config: &Config) -> u16 {
    let parts = config.limits.max_size.div_ceil(config.min_part_size().max(1));
    let appended = if relays(config) { parts } else { 0 };
    let most = appended
        .max(config.limits.max_parts.into())
        .clamp(1, MAX_PARTS.into());
    u16::try_from(most).unwrap_or(u16::MAX)
}

/// Hours for which an upload may rest before we give it up ourselves, through the most patient door.
pub fn longest_rest_hours(config: &Config) -> u64 {
    let doors = &config.protocols;
    let mut hours = vec![config.uploads.ttl_hours];
    hours.extend(doors.chunks.enabled.then_some(doors.chunks.ttl_hours));
    hours.extend(doors.tus.enabled.then_some(doors.tus.ttl_hours));
    hours.extend(doors.galileo.enabled.then_some(doors.galileo.ttl_hours));
    hours.extend(
        doors
            .offset
            .enabled
            .then_some(doors.offset.expires.div_ceil(3600)),
    );
    hours.into_iter().max().unwrap_or_default()
}

/// Days after which the bucket's own rule may drop an unfinished upload.
pub fn lifecycle_days(config: &Config) -> u64 {
    longest_rest_hours(config).div_ceil(24) + SPARE_DAYS
}

/// The least policy of IAM for our key; `setup` adds what `doctor --fix` and `cors apply` need.
pub fn iam_policy(config: &Config, setup: bool) -> Value {
    let bucket = bucket_arn(config);
    let prefixes = prefixes(config);
    let objects: Vec<String> = prefixes
        .iter()
        .map(|prefix| format!("{bucket}/{prefix}*"))
        .collect();
    let mut on_bucket = json!({
        "Sid": "ListWhatIsOurs",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [bucket],
    });
    if prefixes != [""] {
        let patterns: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}*")).collect();
        on_bucket["Condition"] = json!({ "StringLike": { "s3:prefix": patterns } });
    }
    let mut statements = vec![
        on_bucket,
        // Also asked without a prefix: it is how we see that the bucket is there.
        json!({
            "Sid": "ListUnfinishedUploads",
            "Effect": "Allow",
            "Action": ["s3:ListBucketMultipartUploads"],
            "Resource": [bucket],
        }),
        json!({
            "Sid": "Upload",
            "Effect": "Allow",
            "Action": [
                "s3:PutObject",
                "s3:GetObject",
                "s3:DeleteObject",
                "s3:ListMultipartUploadParts",
                "s3:AbortMultipartUpload",
            ],
            "Resource": objects,
        }),
    ];
    statements.extend(lending(config));
    if setup {
        statements.push(json!({
            "Sid": "SetTheBucketUp",
            "Effect": "Allow",
            "Action": [
                "s3:GetBucketCORS",
                "s3:PutBucketCORS",
                "s3:GetLifecycleConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            "Resource": [bucket],
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The most that the role may be allowed whose sessions Uppy's pages get, if they do: each session is narrowed to its owner's
/// part besides.
pub fn sts_role_policy(config: &Config) -> Option<Value> {
    if !lends_credentials(config) {
        return None;
    }
    let sts = &config.protocols.uppy.sts;
    let policy = uploader_policy(sts.partition(), bucket_name(config), sts.folder());
    serde_json::from_str(&policy).ok()
}

/// What our key needs to hand out sessions of that role, if it does.
fn lending(config: &Config) -> Option<Value> {
    let role = &config.protocols.uppy.sts.role_arn;
    lends_credentials(config).then(|| {
        json!({
            "Sid": "LendCredentials",
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Resource": [role],
        })
    })
}

fn lends_credentials(config: &Config) -> bool {
    let uppy = &config.protocols.uppy;
    uppy.enabled && uppy.sts.is_on()
}

/// The lifecycle rule that belongs to the settings, as `aws s3api` takes it.
pub fn lifecycle_json(config: &Config) -> Value {
    json!({ "Rules": [{
        "ID": super::rules::OUR_RULE,
        "Filter": { "Prefix": "" },
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": lifecycle_days(config) },
    }] })
}

/// The CORS rule that belongs to the settings, as `aws s3api` takes it.
pub fn cors_json(config: &Config) -> Value {
    let rule = cors_rule(config);
    json!({ "CORSRules": [{
        "ID": super::rules::OUR_RULE,
        "AllowedOrigins": rule.allowed_origins,
        "AllowedMethods": rule.allowed_methods,
        "AllowedHeaders": rule.allowed_headers,
        "ExposeHeaders": rule.expose_headers,
        "MaxAgeSeconds": rule.max_age_s,
    }] })
}

/// The bucket in use.
pub fn bucket_name(config: &Config) -> &str {
    if config.uses_embedded_store() {
        &config.dev_s3.bucket
    } else {
        &config.s3.bucket
    }
}

/// Its name in policies.
pub fn bucket_arn(config: &Config) -> String {
    format!(
        "arn:{}:s3:::{}",
        partition(&config.s3.region),
        bucket_name(config)
    )
}

fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_begins_with_a_placeholder_needs_the_whole_bucket() {
        let mut config = Config::default();
        assert_eq!(prefixes(&config), [".muleteer/", "pages/", "uploads/"]);

        config.uploads.key_template = "{owner}/{id}".into();

        assert_eq!(prefixes(&config), [""]);
        assert!(
            iam_policy(&config, false)["Statement"][0]
                .get("Condition")
                .is_none()
        );
    }

    #[test]
    fn a_page_that_proposes_its_keys_needs_the_whole_bucket_and_one_that_signs_itself_its_folder() {
        let mut config = Config::default();
        config.protocols.uppy.sts.role_arn = "arn:aws:iam::1:role/pages".into();
        assert!(
            prefixes(&config).contains(&"sts/".to_owned()),
            "{:?}",
            prefixes(&config)
        );

        config.protocols.uppy.keys = KeyChoice::Proposed;

        assert_eq!(prefixes(&config), [""]);
    }

    #[test]
    fn a_page_below_a_path_is_of_the_origin_alone() {
        let mut config = Config::default();
        config.server.public_url = "https://example.org:8443/uploads/".into();

        assert_eq!(origins(&config), ["https://example.org:8443"]);
    }

    #[test]
    fn only_methods_that_an_open_door_uses_are_asked_for() {
        let mut config = Config::default();
        let doors = &mut config.protocols;
        doors.mule.enabled = false;
        doors.evaporate.enabled = false;
        doors.fine_uploader.enabled = false;
        doors.uppy.enabled = false;

        assert_eq!(methods(&config), ["PUT"]);
    }

    #[test]
    fn as_many_parts_are_asked_for_as_the_largest_file_may_have() {
        let mut config = Config::default();
        assert_eq!(most_parts(&config), 10_000);

        config.limits.max_parts = 500;
        config.limits.max_size = config.min_part_size() * 700;
        config.uploads.part_size = config.min_part_size() * 2;
        assert_eq!(most_parts(&config), 700, "what is appended heeds its size alone");

        config.storage.backend = crate::config::BackendName::Local;
        assert_eq!(most_parts(&config), 500);
    }

    #[test]
    fn the_bucket_keeps_what_is_unfinished_longer_than_we_do() {
        let mut config = Config::default();
        config.uploads.ttl_hours = 25;

        assert_eq!(lifecycle_days(&config), 3);
    }
}
