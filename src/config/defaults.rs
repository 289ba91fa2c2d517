//! What holds where nothing is set.
//!
//! Separate from the shape, because these are the numbers that `Rocket.toml.example` repeats; a test holds the two together.

use super::{
    AuthConfig, BackendName, ChecksumName, ChunksConfig, Config, CorsConfig, DatabaseConfig, DevS3Settings,
    EvaporateConfig, FineUploaderConfig, GalileoConfig, KeyChoice, LimitsConfig, LocalStorageConfig,
    LocationStyle, LogConfig, LogFormat, MetricsConfig, MuleConfig, MuleKeyConfig, NativeConfig,
    OffsetConfig, OwnerLimits, PathStyle, ProtocolsConfig, RatesConfig, ReceiptsConfig, S3Config, Secret,
    ServerConfig, SmbStorageConfig, Sniff, StorageConfig, StsConfig, TelemetryConfig, TusConfig,
    UploadsConfig, UppyConfig,
};
use crate::domain::{MAX_PART_SIZE, MAX_PARTS};

const MIB: u64 = 1 << 20;

/// Where pages choose keys; no key of ours begins like this.
const KEY_PREFIX: &str = "pages/{owner}/";

/// All headers of an object's own metadata.
const METADATA: &str = "x-amz-meta-*";

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            server: ServerConfig::default(),
            database: DatabaseConfig::default(),
            s3: S3Config::default(),
            dev_s3: DevS3Settings::default(),
            storage: StorageConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            receipts: ReceiptsConfig::default(),
            uploads: UploadsConfig::default(),
            protocols: ProtocolsConfig::default(),
            hooks: super::HooksConfig::default(),
            cors: CorsConfig::default(),
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            pool_size: 8,
        }
    }
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            region: "us-east-1".into(),
            endpoint: String::new(),
            public_endpoint: String::new(),
            path_style: PathStyle::Auto,
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            session_token: Secret::default(),
            profile: String::new(),
            url_lifetime_s: 3600,
            answer_timeout_s: 10,
            min_part_size: 5 * MIB,
            checksum: ChecksumName::Auto,
        }
    }
}

impl Default for DevS3Settings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1".into(),
            port: 8081,
            bucket: "uploads".into(),
            access_key_id: "muleteer".into(),
            secret_access_key: Secret::default(),
            min_part_size: 5 * MIB,
            allow_remote: false,
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            backend: BackendName::S3,
            sync: true,
            local: LocalStorageConfig::default(),
            smb: SmbStorageConfig::default(),
        }
    }
}

impl Default for LocalStorageConfig {
    fn default() -> Self {
        Self {
            path: "./uploads".into(),
            temp_path: String::new(),
        }
    }
}

impl Default for SmbStorageConfig {
    fn default() -> Self {
        Self {
            host: "localhost".into(),
            port: 445,
            user: String::new(),
            password: Secret::default(),
            share: "share".into(),
            path: String::new(),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_size: MAX_PART_SIZE * 10_000,
            types: Vec::new(),
            sniff: Sniff::Types,
            whole_objects: true,
            max_parts: MAX_PARTS,
            named: OwnerLimits::default(),
            visitor: OwnerLimits::default(),
            anybody: OwnerLimits::default(),
            rates: RatesConfig::default(),
        }
    }
}

impl Default for RatesConfig {
    fn default() -> Self {
        Self {
            creations_per_owner: 0,
            creations_per_address: 0,
            signatures_per_owner: 0,
            signatures_per_address: 0,
            failures_per_address: 600,
        }
    }
}

impl Default for UploadsConfig {
    fn default() -> Self {
        Self {
            key_template: "uploads/{yyyy}/{mm}/{dd}/{id}/{filename}".into(),
            part_size: 6 * MIB,
            ttl_hours: 168,
            sweep_interval_s: 300,
            orphan_interval_s: 3600,
            orphan_grace_hours: 24,
        }
    }
}

impl Default for NativeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/api".into(),
        }
    }
}

impl Default for MuleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            paths: vec!["/upload-backend".into()],
            signature_v2: false,
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            chunk_size: 6 * MIB,
            mime_type: "application/octet-stream".into(),
            signing_key: MuleKeyConfig::default(),
        }
    }
}

impl Default for ChunksConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/upload".into(),
            chunk_size_mb: 50,
            ttl_hours: 24,
        }
    }
}

impl Default for TusConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/files".into(),
            ietf: true,
            max_size: 0,
            ttl_hours: 24,
            termination: true,
            concatenation: true,
            downloads: false,
            location: LocationStyle::Relative,
        }
    }
}

impl Default for OffsetConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/chunk".into(),
            file_max: 1024,
            chunk_max: 50,
            expires: 3600,
        }
    }
}

impl Default for GalileoConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/galileo".into(),
            also_at: vec!["/upload".into()],
            chunk_size: MIB,
            largest_chunk_size: 8 * MIB,
            max_size: 0,
            ttl_hours: 24,
            metadata_s: 10,
            idle_s: 60,
            ping_s: 20,
            strangers_per_address: 16,
        }
    }
}

impl Default for EvaporateConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/evaporate".into(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            signature_v2: false,
            key_prefix: KEY_PREFIX.into(),
            acl: "private".into(),
            headers: vec![METADATA.into()],
            existence: false,
        }
    }
}

impl Default for FineUploaderConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/fineuploader".into(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            signature_v2: false,
            key_prefix: KEY_PREFIX.into(),
            acl: "private".into(),
            headers: vec![METADATA.into()],
            delete: false,
        }
    }
}

impl Default for UppyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/s3".into(),
            token_path: "/t".into(),
            token_ttl_s: 14_400,
            forms: true,
            presign: true,
            keys: KeyChoice::Ours,
            signed_headers: true,
            sts: StsConfig::default(),
        }
    }
}

impl Default for StsConfig {
    fn default() -> Self {
        Self {
            role_arn: String::new(),
            duration_s: 3600,
            endpoint: String::new(),
            external_id: Secret::default(),
            key_prefix: "sts/{owner}/".into(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}
