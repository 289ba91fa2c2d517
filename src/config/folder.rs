//! The rule for settings that name a folder or a share and no bucket: everything passes through us into that.
//!
//! Separate from the other rules, because half of the program asks for this one, and the doors that it closes are closed here.

use figment::providers::Serialized;
use figment::{Figment, Provider as _};

use super::validate::Complaints;
use super::{BackendName, Config};

/// What a door is told that signs for S3 where there is none.
const NO_BUCKET: &str =
    "can only sign for a bucket, and storage.backend alone says where files go: set s3.bucket, or leave this";

/// The switches of the doors that can do nothing but sign for a bucket.
const BUCKET_DOORS: [&str; 4] = [
    "protocols.mule.enabled",
    "protocols.evaporate.enabled",
    "protocols.fine_uploader.enabled",
    "protocols.uppy.enabled",
];

impl Config {
    /// Whether every file passes through us, into the folder or the share that the settings name: there is no bucket, neither
    /// one of the settings nor the embedded one.
    pub fn takes_all_through_us(&self) -> bool {
        self.s3.bucket.is_empty() && self.storage.backend != BackendName::S3
    }

    /// Whether the embedded S3 takes the place of a real store.
    pub fn uses_embedded_store(&self) -> bool {
        self.s3.bucket.is_empty() && self.storage.backend == BackendName::S3
    }

    /// Closes the doors that can do nothing but sign for a bucket, if there is none; gives the switches of those that were open.
    pub fn close_bucket_doors(&mut self) -> Vec<&'static str> {
        if !self.takes_all_through_us() {
            return Vec::new();
        }
        let switches = self.bucket_switches();
        let open = BUCKET_DOORS.into_iter().zip(switches);
        open.filter_map(|(name, is_open)| std::mem::take(is_open).then_some(name))
            .collect()
    }

    /// What of these doors is on, in the order of [`BUCKET_DOORS`].
    fn bucket_switches(&mut self) -> [&mut bool; 4] {
        let protocols = &mut self.protocols;
        [
            &mut protocols.mule.enabled,
            &mut protocols.evaporate.enabled,
            &mut protocols.fine_uploader.enabled,
            &mut protocols.uppy.enabled,
        ]
    }

    /// What signs for a bucket is off by default, and is not switched on where there is none.
    pub(super) fn check_without_bucket(&self, complaints: &mut Complaints) {
        if !self.takes_all_through_us() {
            return;
        }
        let protocols = &self.protocols;
        for (name, is_on) in [
            ("protocols.mule.signature_v2", protocols.mule.signature_v2),
            (
                "protocols.mule.signing_key.access_key_id",
                !protocols.mule.signing_key.access_key_id.is_empty(),
            ),
            (
                "protocols.evaporate.signature_v2",
                protocols.evaporate.signature_v2,
            ),
            (
                "protocols.fine_uploader.signature_v2",
                protocols.fine_uploader.signature_v2,
            ),
            ("protocols.uppy.sts.role_arn", protocols.uppy.sts.is_on()),
        ] {
            complaints.unless(!is_on, name, NO_BUCKET);
        }
    }
}

/// The doors that somebody has switched on though they can only sign for a bucket, and there is none. Those that are on by
/// default are closed at the start.
pub(super) fn doors_without_bucket(config: &Config, figment: &Figment) -> Vec<String> {
    if !config.takes_all_through_us() {
        return Vec::new();
    }
    let defaults = Serialized::defaults(Config::default()).metadata().name;
    let switched_on = |name: &str| {
        let is_set = figment
            .find_metadata(name)
            .is_some_and(|metadata| metadata.name != defaults);
        is_set && figment.extract_inner(name).unwrap_or(false)
    };
    let complain = |name| format!("{name}: {NO_BUCKET}");
    let doors = BUCKET_DOORS.into_iter();
    doors.filter(|name| switched_on(name)).map(complain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadError, Sources, load};

    #[test]
    fn a_door_that_signs_for_a_bucket_is_not_switched_on_beside_a_folder_alone() {
        let read = |environment: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            load(&Sources {
                environment: environment.iter().map(owned).collect(),
                ..Sources::default()
            })
        };
        let folder = ("STORAGE_BACKEND", "local");
        for door in ["mule", "evaporate", "fine_uploader", "uppy"] {
            let name = format!("protocols.{door}.enabled: ");
            let switch = format!("MULETEER_PROTOCOLS__{}__ENABLED", door.to_ascii_uppercase());

            let LoadError(complaints) = read(&[folder, (&switch, "true")]).unwrap_err();

            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert!(complaints[0].starts_with(&name), "{complaints:?}");
            assert!(read(&[folder, (&switch, "false")]).is_ok());
            assert!(read(&[folder, (&switch, "true"), ("S3_BUCKET", "media")]).is_ok());
        }
        // On by default is no mistake of anybody's.
        assert!(read(&[folder]).unwrap().protocols.uppy.enabled);
    }

    type Switch = fn(&mut Config);

    fn with(backend: BackendName, bucket: &str) -> Config {
        let mut config = Config::default();
        config.storage.backend = backend;
        config.s3.bucket = bucket.into();
        config
    }

    #[test]
    fn a_folder_or_a_share_without_a_bucket_takes_all_and_nothing_else_does() {
        for (backend, bucket, all, embedded) in [
            (BackendName::S3, "", false, true),
            (BackendName::S3, "media", false, false),
            (BackendName::Local, "media", false, false),
            (BackendName::Local, "", true, false),
            (BackendName::Smb, "", true, false),
        ] {
            let mut config = with(backend, bucket);

            assert_eq!(config.takes_all_through_us(), all, "{backend:?} {bucket}");
            assert_eq!(config.uses_embedded_store(), embedded, "{backend:?} {bucket}");
            let closed = config.close_bucket_doors();
            assert_eq!(
                closed,
                if all { &BUCKET_DOORS[..] } else { &[] },
                "{backend:?} {bucket}"
            );
            assert_eq!(config.protocols.uppy.enabled, !all);
            assert!(config.protocols.native.enabled && config.protocols.tus.enabled);
            assert_eq!(config.close_bucket_doors(), Vec::<&str>::new(), "once is enough");
        }
    }

    #[test]
    fn what_would_sign_for_a_bucket_is_refused_without_one() {
        let switches: [(&str, Switch); 5] = [
            ("protocols.mule.signature_v2", |config| {
                config.protocols.mule.signature_v2 = true;
            }),
            ("protocols.mule.signing_key.access_key_id", |config| {
                config.protocols.mule.signing_key.access_key_id = "NARROW".into();
                config.protocols.mule.signing_key.secret_access_key =
                    crate::config::Secret::new("narrow secret");
            }),
            ("protocols.evaporate.signature_v2", |config| {
                config.protocols.evaporate.signature_v2 = true;
            }),
            ("protocols.fine_uploader.signature_v2", |config| {
                config.protocols.fine_uploader.signature_v2 = true;
            }),
            ("protocols.uppy.sts.role_arn", |config| {
                config.protocols.uppy.sts.role_arn = "arn:aws:iam::123456789012:role/uploader".into();
            }),
        ];
        for (name, switch_on) in switches {
            for (bucket, is_refused) in [("", true), ("media", false)] {
                let mut config = with(BackendName::Local, bucket);
                switch_on(&mut config);

                let complaints = config.validate();

                let about_it = complaints.iter().filter(|text| text.starts_with(name)).count();
                assert_eq!(
                    about_it,
                    usize::from(is_refused),
                    "{name} {bucket}: {complaints:?}"
                );
                assert_eq!(complaints.len(), about_it, "{complaints:?}");
            }
        }
    }
}
