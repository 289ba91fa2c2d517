//! Which object a host and a path name together.
//!
//! Separate, because clients write the same address in several ways, of which none has to be what they then send:
//! Evaporate leaves the port out of the host, Fine Uploader writes the bucket's path behind the host instead of before the
//! key. What both ways have in common is the whole address, so that is compared with every address of our bucket.

use super::{Refusal, encoding};
use crate::signing::{AddressingStyle, BucketLocation};

/// One address that browsers reach the bucket at.
struct Door {
    /// As in the `Host` header.
    host: String,
    /// What comes before the slash of the key.
    root: String,
}

/// An object as the browser will really ask for it.
pub(super) struct Place {
    /// The `Host` header.
    pub(super) host: String,
    /// The path as S3 encodes it.
    pub(super) path: String,
    /// The key, decoded.
    pub(super) key: String,
}

/// The object of ours that `host` and `path` name.
pub(super) fn find(host: &str, path: &str, location: &BucketLocation) -> Result<Place, Refusal> {
    // A host is the same in capitals; a path behind it is not.
    let (name, behind) = host.split_at(host.find('/').unwrap_or(host.len()));
    let address = [&name.to_ascii_lowercase(), behind, path].concat();
    for Door { host, root } in doors(location) {
        let key = [host.as_str(), without_port(&host)]
            .into_iter()
            .find_map(|host| address.strip_prefix(host)?.strip_prefix(&root)?.strip_prefix('/'));
        if let Some(encoded) = key {
            let key = key_of(encoded)?;
            let mut path = root + "/";
            encoding::push_path(&mut path, &key);
            return Ok(Place { host, path, key });
        }
    }
    Err(Refusal("address: host and path must be those of our bucket"))
}

/// Every address of the bucket: the one that it has, and at AWS both styles with every name of the region's endpoint.
/// Elsewhere what looks like the other style is somebody else's: another host, or another bucket.
fn doors(location: &BucketLocation) -> Vec<Door> {
    let bucket = location.bucket();
    let (endpoint, base) = location.endpoint();
    let (endpoint, base) = (endpoint.to_owned(), base.to_owned());
    let mut doors = Vec::new();
    let endpoints = names_of(endpoint, location.region());
    let is_aws = endpoints.len() > 1;
    for endpoint in endpoints {
        if is_aws || location.style() == AddressingStyle::VirtualHost {
            doors.push(Door {
                host: format!("{bucket}.{endpoint}"),
                root: base.clone(),
            });
        }
        if is_aws || location.style() == AddressingStyle::Path {
            doors.push(Door {
                root: format!("{base}/{bucket}"),
                host: endpoint,
            });
        }
    }
    if is_aws {
        doors.push(Door {
            host: format!("{bucket}.s3-accelerate{AWS}"),
            root: String::new(),
        });
    }
    doors
}

const AWS: &str = ".amazonaws.com";

/// The names that AWS gives the endpoint of one region; elsewhere there is but one.
fn names_of(endpoint: String, region: &str) -> Vec<String> {
    let own = [
        format!("s3.{region}{AWS}"),
        format!("s3-{region}{AWS}"),
        format!("s3.dualstack.{region}{AWS}"),
    ];
    let global = format!("s3{AWS}");
    if endpoint != global && !own.contains(&endpoint) {
        return vec![endpoint];
    }
    let mut names = own.to_vec();
    // The oldest name leads to the first region alone.
    if region == "us-east-1" || endpoint == global {
        names.push(global);
    }
    names
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The key behind its percent-encoded form.
pub(super) fn key_of(encoded: &str) -> Result<String, Refusal> {
    let key = decode(encoded)?;
    check_key(&key)?;
    Ok(key)
}

/// Without a key a request would be one to the bucket, and browsers take dot segments away before they send.
pub(super) fn check_key(key: &str) -> Result<(), Refusal> {
    let is_ours_to_sign = (1..=1024).contains(&key.len())
        && !key.chars().any(|c| c.is_control() || c == '\\')
        && !key.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    if is_ours_to_sign {
        Ok(())
    } else {
        Err(Refusal(
            "key: must have 1 to 1024 bytes, no control character or backslash, no empty, \".\" or \"..\" segment",
        ))
    }
}

/// The text behind percent-encoding, once. Nothing may stand unencoded but what `encodeURIComponent` leaves, and `/`.
pub(super) fn decode(text: &str) -> Result<String, Refusal> {
    const MALFORMED: Refusal = Refusal("path: must be percent-encoded UTF-8, without a query");
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'%' => {
                let (digits, behind) = behind.split_at_checked(2).ok_or(MALFORMED)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).map_err(|_| MALFORMED)?;
                decoded.push(byte[0]);
                rest = behind;
            }
            _ if first.is_ascii_alphanumeric() || b"-._~!'()*/".contains(&first) => decoded.push(first),
            _ => return Err(MALFORMED),
        }
    }
    String::from_utf8(decoded).map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::AddressingStyle::{Path, VirtualHost};
    use super::*;

    fn at(endpoint: &str, style: AddressingStyle) -> BucketLocation {
        BucketLocation::new(endpoint, "media", style, "eu-west-1").unwrap()
    }

    fn found(host: &str, path: &str, location: &BucketLocation) -> Option<(String, String, String)> {
        find(host, path, location)
            .ok()
            .map(|place| (place.host, place.path, place.key))
    }

    #[test]
    fn every_way_to_write_an_address_of_ours_leads_to_what_the_browser_really_sends() {
        let port = at("http://127.0.0.1:9000", Path);
        let real = Some(("127.0.0.1:9000".into(), "/media/a/b".into(), "a/b".into()));
        assert_eq!(found("127.0.0.1:9000", "/media/a/b", &port), real);
        assert_eq!(
            found("127.0.0.1", "/media/a/b", &port),
            real,
            "Evaporate without the port"
        );
        assert_eq!(
            found("127.0.0.1:9000/media", "/a/b", &port),
            real,
            "Fine Uploader"
        );

        let named = at("https://S3.example", VirtualHost);
        let real = Some(("media.s3.example".into(), "/a".into(), "a".into()));
        assert_eq!(found("media.s3.example", "/a", &named), real);
        assert_eq!(found("Media.S3.example", "/a", &named), real);
    }

    #[test]
    fn elsewhere_than_at_aws_only_the_style_that_the_bucket_has_is_its_address() {
        let in_path = at("https://s3.example", Path);
        assert!(found("s3.example", "/media/a", &in_path).is_some());
        assert_eq!(found("media.s3.example", "/a", &in_path), None);
        let in_host = at("https://s3.example", VirtualHost);
        assert!(found("media.s3.example", "/a", &in_host).is_some());
        assert_eq!(found("s3.example", "/media/a", &in_host), None);
    }

    #[test]
    fn aws_has_several_names_for_one_region() {
        let aws = BucketLocation::aws("media", "eu-west-1").unwrap();
        for host in ["s3.eu-west-1", "s3-eu-west-1", "s3.dualstack.eu-west-1"] {
            assert!(
                found(&format!("{host}.amazonaws.com"), "/media/a", &aws).is_some(),
                "{host}"
            );
            assert!(
                found(&format!("media.{host}.amazonaws.com"), "/a", &aws).is_some(),
                "{host}"
            );
        }
        assert!(found("media.s3-accelerate.amazonaws.com", "/a", &aws).is_some());
        for host in [
            "s3.amazonaws.com",
            "s3.eu-west-2.amazonaws.com",
            "s3-accelerate.amazonaws.com",
        ] {
            assert!(found(host, "/media/a", &aws).is_none(), "{host}");
        }
        let oldest = BucketLocation::aws("media", "us-east-1").unwrap();
        assert!(found("s3.amazonaws.com", "/media/a", &oldest).is_some());
        assert!(found("s3.us-east-1.amazonaws.com", "/media/a", &oldest).is_some());
    }

    #[test]
    fn other_hosts_and_other_buckets_are_refused() {
        let port = at("http://127.0.0.1:9000", Path);
        for (host, path) in [
            ("127.0.0.1:9000", "/other/a"),
            ("127.0.0.1:9000", "/media"),
            ("127.0.0.1:9000", "/mediax/a"),
            ("127.0.0.1:9001", "/media/a"),
            ("127.0.0.1.evil.example", "/media/a"),
            ("evil.example/127.0.0.1:9000", "/media/a"),
            ("127.0.0.1:9000/", "/media/a"),
            ("127.0.0.1:9000/MEDIA", "/a"),
            ("", "/media/a"),
        ] {
            assert_eq!(found(host, path, &port), None, "{host} {path}");
        }
    }

    #[test]
    fn keys_that_a_browser_would_change_or_that_name_the_bucket_are_refused() {
        for key in [
            "", "a//b", "a/", "/a", "a/../b", "%2e%2e/b", "a/%2E", "a%00", "a%0Ab", "a%5Cb", "a%7Fb",
            "a%C2%85",
        ] {
            assert!(key_of(key).is_err(), "{key}");
        }
        assert!(key_of("u/..a/%C3%A9%20%2B").is_ok());
    }

    #[test]
    fn keys_are_decoded_once_and_what_is_not_encoded_is_refused() {
        assert_eq!(
            decode("a%20b%2Bc%253F/%E6%97%A5!'()*").unwrap(),
            "a b+c%3F/日!'()*"
        );
        for text in [
            "a?b", "a b", "a+b", "a%", "a%2", "a%zz", "%ff", "é", "a\nb", "a#", "a&b",
        ] {
            assert!(decode(text).is_err(), "{text:?}");
        }
    }
}
