//! Where a bucket is reached: scheme, host, addressing style, region, and the URLs that follow.
//!
//! It is separate because `Host` and path are signed: they must be what the browser will send, to the byte.

use http::Uri;

use super::SigningError;
use super::encoding;

/// How the bucket's name stands in a URL:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressingStyle {
    /// `https://host/bucket/key`; what most stores other than AWS expect.
    Path,
    /// `https://bucket.host/key`; what AWS wants.
    VirtualHost,
}

/// One bucket at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketLocation {
    scheme: &'static str,
    /// As in the `Host` header: lower case, without a default port.
    host: String,
    /// What comes before the key, without the slash at its end: base path, and the bucket in path style.
    root: String,
    bucket: String,
    style: AddressingStyle,
    region: String,
}

impl BucketLocation {
    /// A bucket at `endpoint`, which is `http(s)://host[:port][/base]`. The base path is what a gateway in
    /// front of the store keeps in the path; it is taken as it is, already percent-encoded.
    ///
    /// # Errors
    /// [`SigningError::Endpoint`], [`SigningError::Bucket`] or [`SigningError::Region`] where a URL built from
    /// them would not be signed as the browser sends it.
    pub fn new(
        endpoint: &str,
        bucket: &str,
        style: AddressingStyle,
        region: &str,
    ) -> Result<Self, SigningError> {
        let Endpoint {
            scheme,
            authority,
            base,
        } = Endpoint::parse(endpoint).map_err(|problem| SigningError::Endpoint {
            endpoint: endpoint.to_owned(),
            problem,
        })?;
        check_bucket(bucket, style, &authority).map_err(|problem| SigningError::Bucket {
            bucket: bucket.to_owned(),
            problem,
        })?;
        check_region(region)?;
        let (host, root) = match style {
            AddressingStyle::Path => (authority, format!("{base}/{bucket}")),
            AddressingStyle::VirtualHost => (format!("{bucket}.{authority}"), base),
        };
        Ok(Self {
            scheme,
            host,
            root,
            bucket: bucket.to_owned(),
            style,
            region: region.to_owned(),
        })
    }

    /// A bucket at AWS itself. A name with a dot goes into the path: the certificate of
    /// `*.s3.region.amazonaws.com` does not cover it in the host.
    ///
    /// # Errors
    /// As [`BucketLocation::new`].
    pub fn aws(bucket: &str, region: &str) -> Result<Self, SigningError> {
        check_region(region)?;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let style = if bucket.contains('.') {
            AddressingStyle::Path
        } else {
            AddressingStyle::VirtualHost
        };
        Self::new(
            &format!("https://s3.{region}.amazonaws.com{suffix}"),
            bucket,
            style,
            region,
        )
    }

    /// `scheme://host[:port]`, the origin that a browser will talk to (for a Content-Security-Policy).
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// The `Host` header that will be sent: host, and the port unless it is the scheme's own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region of the credential scope.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where the bucket's name stands.
    pub fn style(&self) -> AddressingStyle {
        self.style
    }

    /// The endpoint without the bucket: its host as in [`host`](Self::host), and its base path without a slash at the end.
    pub(super) fn endpoint(&self) -> (&str, &str) {
        let (host, root) = (self.host.as_str(), self.root.as_str());
        match self.style {
            AddressingStyle::Path => (host, &root[..root.len() - self.bucket.len() - 1]),
            AddressingStyle::VirtualHost => (&host[self.bucket.len() + 1..], root),
        }
    }

    /// The path of an object, percent-encoded, with base path and bucket as the style wants it; an empty `key`
    /// gives the bucket's own path.
    ///
    /// Nothing is normalised: S3 keeps `a//b` and `../x` apart from `a/b` and `x`. A browser does remove `.` and
    /// `..` segments before it sends, though, so a key that is to be reached from one must not have any.
    pub fn path(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.root.len() + key.len() + 1);
        path.push_str(&self.root);
        if !key.is_empty() || path.is_empty() {
            path.push('/');
        }
        encoding::push_path(&mut path, key);
        path
    }

    /// The whole address of an object, without a query.
    pub fn url(&self, key: &str) -> String {
        let mut url = self.origin();
        url.push_str(&self.path(key));
        url
    }
}

struct Endpoint {
    scheme: &'static str,
    authority: String,
    base: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("https") => ("https", 443),
            Some("http") => ("http", 80),
            _ => return Err("must start with http:// or https://"),
        };
        // A fragment is dropped by the parser, so it has to be looked for in the text.
        if uri.query().is_some() || text.contains('#') {
            return Err("must not have a query or a fragment");
        }
        let authority = uri
            .authority()
            .filter(|found| !found.host().is_empty())
            .ok_or("names no host")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password");
        }
        let mut host = authority.host().to_ascii_lowercase();
        // `Authority::port` gives nothing both for no port and for an impossible one.
        if let Some(port) = authority.as_str()[host.len()..].strip_prefix(':') {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            match port.parse::<u16>() {
                Ok(port) if digits && port == default_port => {}
                Ok(port) if digits && port != 0 => host = format!("{host}:{port}"),
                _ => return Err("has a port outside 1 to 65535"),
            }
        }
        Ok(Self {
            scheme,
            authority: host,
            base: parse_base(uri.path())?.to_owned(),
        })
    }
}

/// The base path without the slashes at its end.
fn parse_base(path: &str) -> Result<&str, &'static str> {
    let base = path.trim_end_matches('/');
    if base.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("must not have `.` or `..` in its path");
    }
    // Anything else a browser might encode on its own, and so send another path than was signed.
    if !base
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte))
    {
        return Err("must have a percent-encoded path");
    }
    Ok(base)
}

/// Not the whole rule book of bucket names, which differs from store to store: only what would break a URL.
fn check_bucket(bucket: &str, style: AddressingStyle, authority: &str) -> Result<(), &'static str> {
    let fits = |allowed: fn(u8) -> bool| bucket.bytes().all(|byte| allowed(byte) || b"-.".contains(&byte));
    if bucket.is_empty() || bucket.len() > 255 || matches!(bucket, "." | "..") {
        return Err("must have 1 to 255 characters");
    }
    if !fits(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("must be letters, digits, `-`, `_` or `.`");
    }
    if style == AddressingStyle::Path {
        return Ok(());
    }
    if !fits(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        || bucket.split('.').any(str::is_empty)
    {
        return Err("cannot be part of a host name; use path style");
    }
    let is_address = authority.starts_with('[')
        || authority
            .split(':')
            .next()
            .is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok());
    if is_address {
        Err("cannot stand before an IP address; use path style")
    } else {
        Ok(())
    }
}

fn check_region(region: &str) -> Result<(), SigningError> {
    let fits = region
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits && !region.is_empty() {
        Ok(())
    } else {
        Err(SigningError::Region(region.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::AddressingStyle::{Path, VirtualHost};
    use super::*;

    fn at(endpoint: &str, style: AddressingStyle) -> BucketLocation {
        BucketLocation::new(endpoint, "media", style, "eu-west-1").unwrap()
    }

    #[test]
    fn each_style_puts_the_bucket_where_it_belongs() {
        assert_eq!(
            at("https://s3.example", Path).url("a/b"),
            "https://s3.example/media/a/b"
        );
        assert_eq!(
            at("https://s3.example", VirtualHost).url("a/b"),
            "https://media.s3.example/a/b"
        );
        assert_eq!(
            at("https://s3.example", VirtualHost).origin(),
            "https://media.s3.example"
        );
    }

    #[test]
    fn a_default_port_is_left_out_and_another_one_stays() {
        assert_eq!(at("https://S3.Example:443/", Path).host(), "s3.example");
        assert_eq!(at("http://s3.example:80", Path).host(), "s3.example");
        assert_eq!(at("http://s3.example:443", Path).host(), "s3.example:443");
        assert_eq!(
            at("http://127.0.0.1:9000", Path).origin(),
            "http://127.0.0.1:9000"
        );
        assert_eq!(at("http://[::1]:9000", Path).origin(), "http://[::1]:9000");
    }

    #[test]
    fn a_base_path_comes_before_the_bucket_and_the_key() {
        assert_eq!(
            at("https://gw.example/s3/", Path).url("k"),
            "https://gw.example/s3/media/k"
        );
        assert_eq!(
            at("https://gw.example/s3", VirtualHost).url("k"),
            "https://media.gw.example/s3/k"
        );
    }

    #[test]
    fn keys_are_encoded_once_and_never_normalised() {
        let location = at("https://s3.example", VirtualHost);
        assert_eq!(location.path("a//b"), "/a//b");
        assert_eq!(location.path("../x"), "/../x");
        assert_eq!(location.path("/a"), "//a");
        assert_eq!(location.path("a b+c?#%41é"), "/a%20b%2Bc%3F%23%2541%C3%A9");
    }

    #[test]
    fn the_bucket_itself_has_a_path_in_both_styles() {
        assert_eq!(at("https://s3.example", Path).path(""), "/media");
        assert_eq!(at("https://s3.example", VirtualHost).path(""), "/");
    }

    #[test]
    fn aws_buckets_are_found_by_region_and_dotted_names_stay_out_of_the_host() {
        let aws = |bucket, region| BucketLocation::aws(bucket, region).unwrap().url("k");
        assert_eq!(
            aws("media", "eu-west-1"),
            "https://media.s3.eu-west-1.amazonaws.com/k"
        );
        assert_eq!(
            aws("my.media", "us-east-1"),
            "https://s3.us-east-1.amazonaws.com/my.media/k"
        );
        assert_eq!(
            aws("media", "cn-north-1"),
            "https://media.s3.cn-north-1.amazonaws.com.cn/k"
        );
    }

    #[test]
    fn addresses_that_a_browser_would_send_differently_are_refused() {
        for endpoint in [
            "",
            "s3.example",
            "/s3",
            "ftp://s3.example",
            "https://",
            "https://user:pw@s3.example",
            "https://s3.example?x=1",
            "https://s3.example/#top",
            "https://s3.example:0",
            "https://s3.example:",
            "https://s3.example:99999",
            "https://s3.example/a/../b",
            "https://s3.example/a|b",
            "https://é.example",
        ] {
            let refused = BucketLocation::new(endpoint, "media", Path, "eu-west-1");
            assert!(
                matches!(refused, Err(SigningError::Endpoint { .. })),
                "{endpoint}: {refused:?}"
            );
        }
    }

    #[test]
    fn names_that_would_change_the_url_are_refused() {
        for (bucket, endpoint, style) in [
            ("", "https://s3.example", Path),
            ("..", "https://s3.example", Path),
            ("a/b", "https://s3.example", Path),
            ("a?b", "https://s3.example", VirtualHost),
            ("Media", "https://s3.example", VirtualHost),
            ("media.", "https://s3.example", VirtualHost),
            ("media", "http://127.0.0.1:9000", VirtualHost),
            ("media", "http://[::1]:9000", VirtualHost),
        ] {
            let refused = BucketLocation::new(endpoint, bucket, style, "eu-west-1");
            assert!(
                matches!(refused, Err(SigningError::Bucket { .. })),
                "{bucket}: {refused:?}"
            );
        }
        for region in ["", "eu/west", "eu west"] {
            let refused = BucketLocation::new("https://s3.example", "media", Path, region);
            assert!(matches!(refused, Err(SigningError::Region(_))), "{region}");
        }
        assert!(BucketLocation::new("https://s3.example", "Old_Media", Path, "auto").is_ok());
    }
}
