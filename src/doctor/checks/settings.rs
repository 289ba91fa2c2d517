//! Settings that are possible and all the same bite.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::is_loopback_url;
use crate::config::{Anonymous, Config};
use crate::doctor::{Finding, Id, Report};
use crate::signing::Credentials;

/// File systems whose files are on another machine, as Linux names them.
const NETWORK_FILE_SYSTEMS: [&str; 9] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "fuse.sshfs",
];

/// Looks at the settings alone.
pub fn check(config: &Config, report: &mut Report) {
    check_database(config, report);
    check_addresses(config, report);
    let shortest_s = shortest_rest_s(config);
    let url_s = config.s3.url_lifetime_s;
    if url_s > shortest_s && !config.takes_all_through_us() {
        report.add(Finding::new(
            Id::UrlOutlivesUpload,
            format!(
                "s3.url_lifetime_s is {url_s}, and an upload is given up after {shortest_s} seconds: a URL could send to \
                 an upload that is no more"
            ),
            format!("set s3.url_lifetime_s = {}, or raise ttl_hours", shortest_s.min(3600)),
        ));
    }
}

/// Looks at temporary credentials.
pub fn check_credentials(
    config: &Config,
    credentials: &Credentials,
    now: DateTime<Utc>,
    report: &mut Report,
) {
    let Some(end) = credentials.expires_at else { return };
    let left = (end - now).num_seconds().max(0).unsigned_abs();
    if left < config.s3.url_lifetime_s {
        report.add(Finding::new(
            Id::UrlOutlivesCredentials,
            format!(
                "the credentials end in {left} s, s3.url_lifetime_s is {}: URLs are cut to what is left",
                config.s3.url_lifetime_s
            ),
            // What is left goes on shrinking: all of it would be too long again a second later.
            format!(
                "set s3.url_lifetime_s = {}, or have credentials given that last some times as long as a URL (a role's \
                 session)",
                (left / 2).max(30)
            ),
        ));
    }
}

/// Seconds after which the least patient of the doors that hand out URLs gives an upload up.
fn shortest_rest_s(config: &Config) -> u64 {
    config.uploads.ttl_hours.saturating_mul(3600)
}

fn check_database(config: &Config, report: &mut Report) {
    let url = config.database_url();
    let Some(file) = url.strip_prefix("sqlite://") else {
        return;
    };
    // A folder that does not exist yet will be made in the nearest one that does.
    let existing = Path::new(file).ancestors().skip(1).find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        folder.canonicalize().ok()
    });
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = existing.and_then(|folder| {
        network_file_system(&mounts, &folder).map(|kind| (folder.display().to_string(), kind.to_owned()))
    });
    if let Some((folder, kind)) = found {
        report.add(Finding::new(
            Id::SqliteOnNetwork,
            format!("{folder} is on {kind}; two processes can both believe that they hold the lock"),
            // Where the file has an address of its own, moving the folder would leave it where it is.
            if config.database.url.expose().is_empty() {
                "set data_dir to a folder on a local disk, or database.url to a file there (\"sqlite:///var/lib/muleteer/\
                 muleteer.sqlite\"), or database.url = \"postgres://…\""
            } else {
                "set database.url to a file on a local disk (\"sqlite:///var/lib/muleteer/muleteer.sqlite\"), or to \
                 \"postgres://…\""
            },
        ));
    }
}

/// The kind of network file system that a folder is on, by a table of mounts (`proc_mounts(5)`).
fn network_file_system<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = unescaped(fields.next()?);
        let kind = fields.next()?;
        folder.starts_with(&point).then_some((point.len(), kind))
    });
    // The deepest counts, and of two at one place the later.
    let (_, kind) = mounted.max_by_key(|(length, _)| *length)?;
    NETWORK_FILE_SYSTEMS.contains(&kind).then_some(kind)
}

/// A name of the table as it is: what would end a field or a line is written in octal there.
fn unescaped(field: &str) -> String {
    // The backslash itself comes last, so that what it brings back is not read again.
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\043", "#"),
        ("\\134", "\\"),
    ];
    escapes
        .into_iter()
        .fold(field.to_owned(), |name, (escape, meant)| {
            name.replace(escape, meant)
        })
}

fn check_addresses(config: &Config, report: &mut Report) {
    let server = &config.server;
    let url = server.public_url.as_str();
    let binds_loopback = crate::domain::is_loopback(&server.address);
    let reached_from_elsewhere = !binds_loopback || (!url.is_empty() && !is_loopback_url(url));
    if !url.is_empty() && is_loopback_url(url) && !binds_loopback {
        report.add(Finding::new(
            Id::PublicUrlLoopback,
            format!(
                "server.public_url is {url}, and the server listens on {}",
                server.address
            ),
            "set server.public_url to the address that browsers use, or server.address = \"127.0.0.1\"",
        ));
    }
    if !url.is_empty() && !is_loopback_url(url) && server.trusted_proxies.is_empty() {
        report.add(Finding::new(
            Id::TrustedProxiesMissing,
            format!("server.public_url is {url}, and server.trusted_proxies is empty"),
            if binds_loopback {
                "set server.trusted_proxies = [\"127.0.0.1\"]".to_owned()
            } else {
                "set server.trusted_proxies to the addresses from which the proxy connects".to_owned()
            },
        ));
    }
    if config.auth.anonymous == Anonymous::On && reached_from_elsewhere {
        report.add(Finding::new(
            Id::AnonymousOpen,
            format!(
                "auth.anonymous is \"on\", and the server is reached from elsewhere ({})",
                if url.is_empty() { &server.address } else { url }
            ),
            "set auth.anonymous = \"off\"; `muleteer keys create --owner NAME` makes a key. If everybody is welcome, pass \
             --except anonymous-open",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_says_what_a_folder_is_on() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\nfiler:/srv /mnt/the\\040share nfs4 rw 0 0\n\
                      /dev/sdb1 /mnt/the\\040share/local xfs rw 0 0\n";
        let on = |folder: &str| network_file_system(mounts, Path::new(folder));

        assert_eq!(on("/mnt/the share/data"), Some("nfs4"));
        assert_eq!(on("/mnt/the share/local/data"), None);
        assert_eq!(on("/var/lib"), None);
    }

    #[test]
    fn a_mount_whose_name_is_escaped_is_known_by_its_real_one() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\nfiler:/srv /mnt/a\\134040\\043\\011b nfs4 rw 0 0\n";

        assert_eq!(
            network_file_system(mounts, Path::new("/mnt/a\\040#\tb/data")),
            Some("nfs4")
        );
    }
}
