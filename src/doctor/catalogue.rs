//! Every finding that there is: its stable name, how bad it is, what it means, and what mends it.
//!
//! Separate from the checks, because scripts and `docs/doctor.md` rely on this list; a test holds the page against it.

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Uploads work, but not as well or as safely as they should.
    Warning,
    /// Uploads fail, or will.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! findings {
    ($($variant:ident $name:literal $severity:ident $means:literal => $mend:literal;)+) => {
        /// The stable name of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Id {
            $(
                #[doc = $means]
                $variant,
            )+
        }

        impl Id {
            /// All of them, in the order in which they are looked for.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As scripts see it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What it means, in one sentence.
            pub fn means(self) -> &'static str {
                match self { $(Self::$variant => $means,)+ }
            }

            /// What mends it in general; the finding itself says it exactly.
            pub fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend,)+ }
            }
        }
    };
}

findings! {
    SqliteOnNetwork "sqlite-network-file-system" Error
        "The SQLite file lies on a network file system, whose locks it cannot rely on."
        => "Have `data_dir`, or the file that `database.url` names, on a local disk, or set `database.url` to a PostgreSQL.";
    DatabaseUnusable "database-unusable" Error
        "The database cannot be opened."
        => "Mend `database.url`, or the folder's permissions.";
    PublicUrlLoopback "public-url-loopback" Error
        "`server.public_url` is a loopback address, while the server listens for other machines."
        => "Set `server.public_url` to the address that browsers use.";
    TrustedProxiesMissing "trusted-proxies-missing" Warning
        "`server.public_url` says that a proxy stands in front, and no proxy is believed: all visitors seem to be one."
        => "Name the proxy's address in `server.trusted_proxies`.";
    AnonymousOpen "anonymous-open" Warning
        "Anybody who reaches the server may upload without a credential."
        => "Set `auth.anonymous` to \"auto\" or \"off\", and make keys with `muleteer keys create`.";
    UrlOutlivesUpload "url-outlives-upload" Warning
        "A presigned URL lives longer than an upload that nobody goes on with."
        => "Set `s3.url_lifetime_s` below the shortest `ttl_hours`.";
    UrlOutlivesCredentials "url-outlives-credentials" Warning
        "The store's credentials are temporary and end before a presigned URL would."
        => "Set `s3.url_lifetime_s` well below what is left of them, or have the role's sessions last some times as long as a URL.";
    StorageUnusable "storage-unusable" Error
        "The folder or the share that all files go to cannot be used."
        => "Mend what `storage.backend` names: path, address or credentials, or the folder's permissions.";
    StoreAddress "store-address" Error
        "Endpoint, bucket, region and path style make no address."
        => "Mend the setting that is named.";
    CredentialsMissing "credentials-missing" Error
        "There are no credentials for the store."
        => "Set `s3.access_key_id` and `s3.secret_access_key`, or AWS's own variables, profile or role.";
    EndpointDns "endpoint-dns" Error
        "The store's host name has no address."
        => "Mend `s3.endpoint`, or the name server.";
    EndpointTls "endpoint-tls" Error
        "No secure connection to the store comes about."
        => "Use the scheme that the store speaks, and a certificate that this machine trusts.";
    EndpointUnreachable "endpoint-unreachable" Error
        "Nothing answers at the store's address."
        => "Mend host and port of `s3.endpoint`, or the firewall between.";
    EndpointNotS3 "endpoint-not-s3" Error
        "Something answers at the store's address, and it does not speak S3."
        => "Set `s3.endpoint` to the store's S3 address.";
    PathStyle "path-style" Error
        "The store knows the bucket in the other style of address only."
        => "Set `s3.path_style` to the other value.";
    ClockSkew "clock-skew" Error
        "This machine's clock and the store's differ: signatures are refused from 15 minutes on, and live shorter before."
        => "Set this machine's clock, and keep it by NTP.";
    UnknownKey "credentials-unknown-key" Error
        "The store does not know the access key."
        => "Set `s3.access_key_id` to a key of this store.";
    WrongSecret "credentials-wrong-secret" Error
        "The store computes another signature: the secret is not that of the key."
        => "Set `s3.secret_access_key` to the key's secret.";
    ExpiredToken "credentials-expired" Error
        "The temporary credentials have run out."
        => "Get new ones where they come from, or use a role whose credentials are renewed.";
    BadToken "credentials-bad-token" Error
        "The session token does not belong to the key."
        => "Set `s3.session_token` to the key's own token, or clear it for a long-term key.";
    CredentialsRefused "credentials-refused" Error
        "The store refuses the credentials without saying why."
        => "Check key, secret and token; then what the key may do (`muleteer policy`).";
    OtherRegion "bucket-other-region" Error
        "The bucket is in another region."
        => "Set `s3.region` to the bucket's region.";
    BucketMissing "bucket-missing" Error
        "There is no such bucket."
        => "Mend `s3.bucket`, or make the bucket.";
    ListUploads "permission-list-uploads" Error
        "The key may not list the multipart uploads of the bucket."
        => "Allow `s3:ListBucketMultipartUploads`.";
    ListObjects "permission-list-objects" Error
        "The key may not list the bucket: small pieces cannot be found again, and a missing object looks like a refusal."
        => "Allow `s3:ListBucket`.";
    Put "permission-put" Error
        "The key may not write objects, begin multipart uploads, or send their parts."
        => "Allow `s3:PutObject`.";
    ListParts "permission-list-parts" Error
        "The key may not list the parts of an upload, without which nothing is resumed or completed."
        => "Allow `s3:ListMultipartUploadParts`.";
    Complete "permission-complete" Error
        "The key may not join the parts of an upload."
        => "Allow `s3:PutObject` without a condition, and have proxies pass POST as it comes.";
    Get "permission-get" Error
        "The key may not read objects: no look at a finished one, no download, no relayed piece."
        => "Allow `s3:GetObject`.";
    Delete "permission-delete" Error
        "The key may not remove objects: pieces of relayed uploads and terminated uploads stay for ever."
        => "Allow `s3:DeleteObject`.";
    Abort "permission-abort" Error
        "The key may not drop multipart uploads: their parts stay, and cost, for ever."
        => "Allow `s3:AbortMultipartUpload`.";
    StoreFails "store-fails" Error
        "The store fails at something that it must do."
        => "See what the store says.";
    PartTooSmall "part-size-too-small" Error
        "`s3.min_part_size` is less than the store takes: uploads would fail at their end."
        => "Raise `s3.min_part_size` and `uploads.part_size`; every S3 takes 5242880.";
    PartCount "part-count-limit" Error
        "The store takes fewer parts of an upload than the settings allow."
        => "Set `limits.max_parts` to what the store takes, and `limits.max_size` to so many times `s3.min_part_size`.";
    Md5Ignored "content-md5-ignored" Warning
        "The store, reached by HTTP, takes a body that does not have the MD5 that was claimed: damage on the way goes unseen."
        => "Use HTTPS to the store, or a store that checks `Content-MD5`.";
    PublicUnreachable "public-endpoint-unreachable" Error
        "Browsers would be sent to an address where nothing answers."
        => "Mend `s3.public_endpoint`.";
    PublicNotS3 "public-endpoint-not-s3" Error
        "Browsers would be sent to an address where something answers that does not speak S3."
        => "Set `s3.public_endpoint` to the store's S3 address as browsers reach it.";
    PublicLoopback "public-endpoint-loopback" Error
        "Browsers elsewhere would be sent to their own machine. A warning where `server.address` alone says that there are any."
        => "Set `s3.public_endpoint` to the store's address as browsers reach it.";
    PublicInsecure "public-endpoint-insecure" Error
        "The page comes by HTTPS and would send parts by HTTP, which browsers block."
        => "Set `s3.public_endpoint` to an https:// address of the store.";
    PublicSignature "public-endpoint-signature" Error
        "A signature that is good at the store is refused through `s3.public_endpoint`: host or path change on the way."
        => "Have the proxy in front of the store keep Host, path and query as they come.";
    CorsMissing "cors-missing" Error
        "The bucket has no CORS rules: no page may send parts to it."
        => "`muleteer cors apply`";
    CorsOrigin "cors-origin" Error
        "The bucket's CORS rules do not allow an origin that uses us."
        => "`muleteer cors apply`";
    CorsMethod "cors-method" Error
        "The bucket's CORS rules do not allow a method that browsers need."
        => "`muleteer cors apply`";
    CorsHeaders "cors-headers" Error
        "The bucket's CORS rules do not allow headers that browsers send."
        => "`muleteer cors apply`";
    CorsEtagHidden "cors-etag-hidden" Error
        "Pages cannot read the ETag of a part, which some front ends need."
        => "`muleteer cors apply`";
    CorsSwallowed "cors-swallowed" Error
        "The store's own answers have CORS headers, and those through `s3.public_endpoint` have not."
        => "Have the proxy in front of the store pass OPTIONS and the Access-Control headers.";
    LifecycleMissing "lifecycle-missing" Warning
        "No lifecycle rule drops multipart uploads that are left over should we lose track of them."
        => "`muleteer doctor --fix`, or the rule that `muleteer policy` prints.";
    LifecycleTooShort "lifecycle-too-short" Error
        "A lifecycle rule drops multipart uploads while they may still be gone on with."
        => "Raise the rule's days, or lower `ttl_hours`.";
    ServerUnreachable "server-unreachable" Error
        "Nothing answers at the server's address."
        => "Mend the address, the proxy, or start the server.";
    ServerNotMuleteer "server-not-muleteer" Error
        "What answers at the server's address is not our API."
        => "Have the proxy pass all paths on unchanged.";
    ServerKeyRefused "server-key-refused" Error
        "The server does not take the key that was given."
        => "Give a key of this server: `muleteer keys create`.";
    ProxyBuffers "proxy-buffers-requests" Warning
        "The proxy keeps a request's body back until it is whole: relayed uploads arrive in jumps, and twice on disk."
        => "nginx: `proxy_request_buffering off; proxy_http_version 1.1;`";
    ProxyBodyLimit "proxy-body-limit" Error
        "The proxy refuses large request bodies."
        => "nginx: `client_max_body_size 0;`";
    ProxyHeaders "proxy-drops-headers" Error
        "Header fields of tus do not come through the proxy."
        => "Have the proxy pass OPTIONS, and the fields Tus-Resumable, Upload-Offset, Upload-Length and Location.";
    ProxyLocation "proxy-location" Error
        "The address of a new upload does not lead back through the proxy."
        => "Set `server.public_url` to the address that browsers use, with its path, or serve us at the root of a host name of our own.";
    ProxyWebSocket "proxy-no-websocket" Error
        "WebSockets do not come through the proxy."
        => "nginx: `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`";
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
