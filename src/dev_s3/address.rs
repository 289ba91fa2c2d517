//! Which bucket a request means, and how keys are written in addresses.
//!
//! Separate because the signature check, the CORS layer and the listings must agree on it, and each is elsewhere.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The domains below which a bucket may stand in the host name. AWS's own is for clients that can reach no other host,
/// where a name server leads them here.
const DOMAINS: [&str; 2] = [".s3.localhost", ".s3.amazonaws.com"];

/// Finds the bucket in the host name; every other host is asked path-style.
#[derive(Debug)]
pub struct LocalHosts;

impl S3Host for LocalHosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match bucket_of_host(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _port)| name);
    let bucket = DOMAINS.iter().find_map(|domain| name.strip_suffix(domain));
    bucket.filter(|bucket| !bucket.is_empty())
}

/// The bucket that a request names in its host or as the first step of its path.
pub fn bucket_of<'a>(host: &'a str, path: &'a str) -> &'a str {
    bucket_of_host(host).unwrap_or_else(|| path.trim_start_matches('/').split('/').next().unwrap_or_default())
}

/// The address of an object, in the style in which the client asked.
pub fn location(host: &str, bucket: &str, key: &str) -> String {
    let key = percent_encode(key);
    match bucket_of_host(host) {
        Some(_) => format!("http://{host}/{key}"),
        None => format!("http://{host}/{bucket}/{key}"),
    }
}

/// Encodes everything but unreserved characters and slashes.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

/// Decodes a query value; what is no valid escape stays as it is.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escape.and_then(|digits| hex::decode(digits).ok());
        decoded.push(byte.as_ref().map_or(bytes[at], |byte| byte[0]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A parameter of a query string, decoded; names are compared exactly.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| percent_decode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_in_the_host_or_begins_the_path() {
        assert_eq!(bucket_of("photos.s3.localhost:9000", "/a/b"), "photos");
        assert_eq!(bucket_of("photos.s3.amazonaws.com", "/a/b"), "photos");
        assert_eq!(bucket_of("127.0.0.1:9000", "/photos/a/b"), "photos");
        assert_eq!(bucket_of("localhost:9000", "/photos"), "photos");
        assert_eq!(bucket_of("s3.localhost:9000", "/"), "");
    }

    #[test]
    fn a_location_escapes_the_key_and_keeps_the_style_of_the_request() {
        let path_style = location("localhost:9000", "photos", "a b/ü+.jpg");
        assert_eq!(path_style, "http://localhost:9000/photos/a%20b/%C3%BC%2B.jpg");
        let host_style = location("photos.s3.localhost:9000", "photos", "a");
        assert_eq!(host_style, "http://photos.s3.localhost:9000/a");
    }

    #[test]
    fn query_values_are_decoded_and_odd_escapes_survive() {
        let query = "a=1&X-Amz-Credential=AK%2F2026%2Fs3&odd=100%&last=%4";
        assert_eq!(
            query_value(query, "X-Amz-Credential").as_deref(),
            Some("AK/2026/s3")
        );
        assert_eq!(query_value(query, "odd").as_deref(), Some("100%"));
        assert_eq!(query_value(query, "last").as_deref(), Some("%4"));
        assert_eq!(query_value(query, "absent"), None);
    }
}
