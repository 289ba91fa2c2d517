//! Which values of the doors' settings are impossible.
//!
//! Separate from the other rules, because each protocol brings its own.

use super::validate::Complaints;
use super::{Anonymous, Config, Secret};
use crate::domain::MediaType;

pub(super) const PATH: &str =
    "must begin with /, must not end with one, and must not be one of our own pages";

/// First pieces of addresses that are never a protocol's.
const TAKEN: [&str; 4] = ["static", "docs", "health", "problems"];

impl Config {
    /// The doors: where each is, and what it takes.
    pub(super) fn check_doors(&self, complaints: &mut Complaints) {
        complaints.unless(
            is_path(&self.protocols.native.path),
            "protocols.native.path",
            PATH,
        );
        let tus = &self.protocols.tus;
        let api = &self.protocols.native.path;
        let is_inside = api
            .strip_prefix(&tus.path)
            .is_some_and(|rest| rest.starts_with('/'));
        complaints.unless(
            !(tus.enabled && is_inside),
            "protocols.native.path",
            "must not lie inside protocols.tus.path, where every address is an upload's",
        );
        self.check_addresses(complaints);
        self.check_relays(complaints);
        self.check_galileo(complaints);
        self.check_mule(complaints);
        let template = &self.uploads.key_template;
        self.protocols.evaporate.signing().check(template, complaints);
        self.protocols.fine_uploader.signing().check(template, complaints);
        self.check_uppy(complaints);
        self.check_sts(complaints);
    }

    /// No two doors are at one address, where one of them would never be reached. Those of tus and of the chunk server can
    /// share theirs, and WebSockets are told from all else.
    fn check_addresses(&self, complaints: &mut Complaints) {
        let (native, tus) = (&self.protocols.native, &self.protocols.tus);
        let (chunks, offset, mule) = (
            &self.protocols.chunks,
            &self.protocols.offset,
            &self.protocols.mule,
        );
        let (uppy, evaporate) = (&self.protocols.uppy, &self.protocols.evaporate);
        let fine = &self.protocols.fine_uploader;
        let mut doors = vec![
            ("protocols.native.path", native.path.as_str(), true),
            ("protocols.tus.path", tus.path.as_str(), tus.enabled),
            ("protocols.chunks.path", chunks.path.as_str(), chunks.enabled),
            ("protocols.offset.path", offset.path.as_str(), offset.enabled),
            ("protocols.uppy.path", uppy.path.as_str(), uppy.enabled),
            (
                "protocols.evaporate.path",
                evaporate.path.as_str(),
                evaporate.enabled,
            ),
            ("protocols.fine_uploader.path", fine.path.as_str(), fine.enabled),
            ("metrics.path", self.metrics.path.as_str(), self.metrics.enabled),
        ];
        let is_open = uppy.enabled;
        doors.push(("protocols.uppy.token_path", uppy.token_path.as_str(), is_open));
        doors.extend(
            mule.paths
                .iter()
                .map(|path| ("protocols.mule.paths", path.as_str(), mule.enabled)),
        );
        doors.retain(|(_, _, is_open)| *is_open);
        for (at, (name, path, _)) in doors.iter().enumerate() {
            for (other, its_path, _) in &doors[..at] {
                let share = [*other, *name] == ["protocols.tus.path", "protocols.chunks.path"];
                let text = format!("must not be the same as {other}, or one of the two is never reached");
                complaints.unless(share || path != its_path, name, &text);
            }
        }
    }

    /// The doors whose bytes pass through us.
    fn check_relays(&self, complaints: &mut Complaints) {
        complaints.unless(
            is_path(&self.protocols.chunks.path),
            "protocols.chunks.path",
            PATH,
        );
        complaints.unless(
            (1..=5120).contains(&self.protocols.chunks.chunk_size_mb),
            "protocols.chunks.chunk_size_mb",
            "must be 1 to 5120",
        );
        complaints.unless(
            (1..=8760).contains(&self.protocols.chunks.ttl_hours),
            "protocols.chunks.ttl_hours",
            "must be 1 to 8760 (a year)",
        );
        complaints.unless(is_path(&self.protocols.tus.path), "protocols.tus.path", PATH);
        complaints.unless(
            (1..=8760).contains(&self.protocols.tus.ttl_hours),
            "protocols.tus.ttl_hours",
            "must be 1 to 8760 (a year)",
        );
        let offset = &self.protocols.offset;
        complaints.unless(is_path(&offset.path), "protocols.offset.path", PATH);
        complaints.unless(
            (1..=50 << 20).contains(&offset.file_max),
            "protocols.offset.file_max",
            "must be 1 to 52428800 (MiB)",
        );
        complaints.unless(
            offset.chunk_max == -1
                || u64::try_from(offset.chunk_max).is_ok_and(|size| (1..=offset.file_max).contains(&size)),
            "protocols.offset.chunk_max",
            "must be 1 to file_max (MiB), or -1 for chunks as large as a file",
        );
        complaints.unless(
            (60..=31_536_000).contains(&offset.expires),
            "protocols.offset.expires",
            "must be 60 to 31536000 (seconds; a year)",
        );
    }

    fn check_galileo(&self, complaints: &mut Complaints) {
        let galileo = &self.protocols.galileo;
        complaints.unless(is_path(&galileo.path), "protocols.galileo.path", PATH);
        for other in &galileo.also_at {
            complaints.unless(is_path(other), "protocols.galileo.also_at", PATH);
        }
        complaints.unless(
            (1024..=8 << 20).contains(&galileo.chunk_size),
            "protocols.galileo.chunk_size",
            "must be 1024 to 8388608 (8 MiB)",
        );
        complaints.unless(
            (galileo.chunk_size..=8 << 20).contains(&galileo.largest_chunk_size),
            "protocols.galileo.largest_chunk_size",
            "must be chunk_size to 8388608 (8 MiB)",
        );
        complaints.unless(
            (1..=8760).contains(&galileo.ttl_hours),
            "protocols.galileo.ttl_hours",
            "must be 1 to 8760 (a year)",
        );
        for (name, seconds) in [
            ("protocols.galileo.metadata_s", galileo.metadata_s),
            ("protocols.galileo.idle_s", galileo.idle_s),
            ("protocols.galileo.ping_s", galileo.ping_s),
        ] {
            // Whoever appends and is silent for a minute is taken for gone.
            complaints.unless((1..=60).contains(&seconds), name, "must be 1 to 60 seconds");
        }
    }

    fn check_uppy(&self, complaints: &mut Complaints) {
        let uppy = &self.protocols.uppy;
        complaints.unless(is_path(&uppy.path), "protocols.uppy.path", PATH);
        complaints.unless(is_path(&uppy.token_path), "protocols.uppy.token_path", PATH);
        complaints.unless(
            (60..=604_800).contains(&uppy.token_ttl_s),
            "protocols.uppy.token_ttl_s",
            "must be 60 to 604800 (7 days)",
        );
    }

    fn check_mule(&self, complaints: &mut Complaints) {
        for mount in &self.protocols.mule.paths {
            complaints.unless(is_path(mount), "protocols.mule.paths", PATH);
        }
        let mule = &self.protocols.mule;
        complaints.unless(
            mule.chunk_size >= 1,
            "protocols.mule.chunk_size",
            "must be at least 1",
        );
        complaints.unless(
            mule.access_key_id.is_empty() == mule.secret_access_key.is_empty(),
            "protocols.mule.access_key_id",
            "must be given together with protocols.mule.secret_access_key",
        );
        // A charset parameter is rewritten by browsers on the completing POST alone, which breaks SigV2.
        complaints.unless(
            MediaType::new(&mule.mime_type).is_ok() && !mule.mime_type.contains(';'),
            "protocols.mule.mime_type",
            "must be a media type without parameters",
        );
        self.check_signing_key(complaints);
    }

    /// Whoever may upload gets this credential's key of the day, so it must be nobody else's.
    fn check_signing_key(&self, complaints: &mut Complaints) {
        const ID: &str = "protocols.mule.signing_key.access_key_id";
        let own = &self.protocols.mule.signing_key;
        complaints.unless(
            own.access_key_id.is_empty() == own.secret_access_key.is_empty(),
            ID,
            "must be given together with protocols.mule.signing_key.secret_access_key",
        );
        if own.access_key_id.is_empty() {
            return;
        }
        let (store, name) = if self.uses_embedded_store() {
            (
                (&self.dev_s3.access_key_id, &self.dev_s3.secret_access_key),
                "dev_s3",
            )
        } else {
            ((&self.s3.access_key_id, &self.s3.secret_access_key), "s3")
        };
        // The key of the day follows from the secret alone, whatever the id.
        let is_same = |(id, secret): (&String, &Secret)| {
            *id == own.access_key_id || (!secret.is_empty() && *secret == own.secret_access_key)
        };
        complaints.unless(
            !is_same(store),
            ID,
            &format!("must be a credential of its own, and not that of {name}: its key is handed out"),
        );
        complaints.unless(
            self.auth.anonymous != Anonymous::On,
            ID,
            "is handed out to whoever may upload, so auth.anonymous must not be \"on\"",
        );
    }
}

/// Whether a door may have this address.
pub(super) fn is_path(text: &str) -> bool {
    let first = text.split('/').nth(1).unwrap_or("");
    text.len() > 1
        && text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
        && !TAKEN.contains(&first)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_address_is_not_looked_for_where_another_door_is() {
        let mut config = Config::default();
        config.protocols.uppy.token_path = config.protocols.uppy.path.clone();

        let complaints = config.validate();

        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0].starts_with("protocols.uppy.token_path: "),
            "{complaints:?}"
        );
    }

    #[test]
    fn the_api_may_not_lie_where_uploads_do() {
        let mut config = Config::default();
        config.protocols.native.path = "/files/api".into();

        let complaints = config.validate();

        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0].starts_with("protocols.native.path: "),
            "{complaints:?}"
        );
        config.protocols.native.path = "/filesystem".into();
        assert_eq!(config.validate(), Vec::<String>::new());
        config.protocols.native.path = "/files/api".into();
        config.protocols.tus.enabled = false;
        assert_eq!(config.validate(), Vec::<String>::new());
    }

    /// Settings with a bucket and a signing key of their own, adjusted.
    fn with_signing_key(adjust: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        config.s3.bucket = "media".into();
        config.s3.access_key_id = "MAIN".into();
        config.s3.secret_access_key = Secret::new("main secret");
        config.protocols.mule.signing_key.access_key_id = "NARROW".into();
        config.protocols.mule.signing_key.secret_access_key = Secret::new("narrow secret");
        adjust(&mut config);
        config.validate()
    }

    #[test]
    fn a_signing_key_that_is_handed_out_is_neither_the_stores_nor_for_everybody() {
        assert_eq!(with_signing_key(|_| {}), Vec::<String>::new());
        let refused: [fn(&mut Config); 6] = [
            |config| config.protocols.mule.signing_key.access_key_id = "MAIN".into(),
            |config| config.protocols.mule.signing_key.secret_access_key = Secret::new("main secret"),
            |config| config.protocols.mule.signing_key.secret_access_key = Secret::default(),
            |config| config.protocols.mule.signing_key.access_key_id = String::new(),
            |config| config.auth.anonymous = Anonymous::On,
            |config| {
                config.s3.bucket = String::new();
                config.protocols.mule.signing_key.access_key_id = config.dev_s3.access_key_id.clone();
            },
        ];
        for (number, adjust) in refused.into_iter().enumerate() {
            let complaints = with_signing_key(adjust);

            assert_eq!(complaints.len(), 1, "{number}: {complaints:?}");
            assert!(
                complaints[0].starts_with("protocols.mule.signing_key.access_key_id: "),
                "{number}: {complaints:?}"
            );
            assert!(!complaints[0].contains("secret\""), "{number}: {complaints:?}");
        }
    }
}
