//! Which values of the doors' settings are impossible.
//!
//! Separate from the other rules, because each protocol brings its own.

use super::Config;
use super::validate::Complaints;
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
        self.check_relays(complaints);
        self.check_galileo(complaints);
        self.check_mule(complaints);
        self.protocols.evaporate.signing().check(complaints);
        self.protocols.fine_uploader.signing().check(complaints);
        self.check_uppy(complaints);
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
            (1..=31_536_000).contains(&offset.expires),
            "protocols.offset.expires",
            "must be 1 to 31536000 (seconds; a year)",
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
}
