//! Who is on the other end, and where they reached us: the peer itself and the address that it asked, or, where the peer
//! is a proxy that we trust, what the proxy tells of both.
//!
//! Separate, because nobody else may believe `Forwarded` or `X-Forwarded-*`: anybody can send them.

mod forwarded;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HOST, HeaderName};
use url::Url;

use self::forwarded::{address_in, first_forwarded, hop, split_unquoted};
use crate::config::{ServerConfig, origin_and_path};

/// The proxies whose word is taken, and our address as browsers see it.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    addresses: Arc<[IpAddr]>,
    /// Scheme and host of our public address, and the path below which we are served; both empty where none is set.
    public_origin: Arc<str>,
    public_prefix: Arc<str>,
}

impl TrustedProxies {
    /// From checked settings.
    pub fn new(server: &ServerConfig) -> Self {
        let (origin, prefix) = origin_and_path(server.public_url.trim_end_matches('/'));
        Self {
            addresses: server
                .trusted_proxies
                .iter()
                .filter_map(|text| text.parse::<IpAddr>().ok())
                .map(|address| address.to_canonical())
                .collect(),
            public_origin: origin.into(),
            public_prefix: prefix.into(),
        }
    }

    fn trusts(&self, request: &HttpRequest) -> bool {
        request
            .peer_addr()
            .is_some_and(|peer| self.addresses.contains(&peer.ip().to_canonical()))
    }
}

/// [`client_ip`] as text, for whoever is told of it: the log, and the application.
pub fn client_address(request: &HttpRequest) -> Option<String> {
    client_ip(request).map(|address| address.to_string())
}

/// The client's address, by the word of the last proxy that we trust: the last that the proxies tell of which is none of
/// them. What stands before that anybody can have sent. `None` where it cannot be read.
pub fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let proxies = request.app_data::<TrustedProxies>();
    let Some(proxies) = proxies.filter(|proxies| proxies.addresses.contains(&peer)) else {
        return Some(peer);
    };
    let told: Vec<Option<IpAddr>> = if let Some(forwarded) = field(request, &FORWARDED) {
        split_unquoted(forwarded, ',').into_iter().map(hop).collect()
    } else {
        let headers = request.headers().get_all("x-forwarded-for");
        let texts = headers.filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).map(address_in).collect()
    };
    let outside =
        |hop: &Option<IpAddr>| hop.is_none_or(|hop| !proxies.addresses.contains(&hop.to_canonical()));
    // A proxy that tells of nobody was asked by its own machine.
    told.into_iter()
        .rev()
        .find(outside)
        .unwrap_or(Some(peer))
        .map(|address| address.to_canonical())
}

/// Whether the browser reached us over HTTPS, so that cookies may be kept to it.
pub fn is_https(request: &HttpRequest) -> bool {
    request.app_data::<TrustedProxies>().is_some_and(|proxies| {
        proxies.public_origin.starts_with("https://")
            || if proxies.trusts(request) {
                // What the proxy tells, else how it came itself.
                request.connection_info().scheme() == "https"
            } else {
                request.app_config().secure()
            }
    })
}

/// The path below which a proxy serves us, such as `/api`: that of the public address in the settings, else what a
/// trusted proxy tells in `X-Forwarded-Prefix`; empty where there is none.
pub fn outer_prefix(request: &HttpRequest) -> String {
    let Some(proxies) = request.app_data::<TrustedProxies>() else {
        return String::new();
    };
    if !proxies.public_origin.is_empty() {
        return proxies.public_prefix.to_string();
    }
    if !proxies.trusts(request) {
        return String::new();
    }
    let told = forwarded_field(request, "x-forwarded-prefix").unwrap_or_default();
    let prefix = told.trim_end_matches('/');
    if is_prefix(prefix) {
        prefix.to_owned()
    } else {
        String::new()
    }
}

/// Whether text can stand before the paths of all our addresses. Two slashes at its beginning would name a host.
fn is_prefix(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b))
}

/// Scheme and host by which the client reached us: those of the settings, else those that a trusted proxy tells in
/// [`Forwarded`](https://www.rfc-editor.org/rfc/rfc7239#section-4) or `X-Forwarded-*`, else those that were asked.
/// `None` where nothing usable was told.
pub fn outer_origin(request: &HttpRequest) -> Option<String> {
    let proxies = request.app_data::<TrustedProxies>();
    if let Some(proxies) = proxies.filter(|proxies| !proxies.public_origin.is_empty()) {
        return Some(proxies.public_origin.to_string());
    }
    let (mut scheme, mut host) = (None, None);
    if proxies.is_some_and(|proxies| proxies.trusts(request)) {
        let forwarded = field(request, &FORWARDED);
        (scheme, host) = forwarded.map_or((None, None), first_forwarded);
        scheme = scheme.or_else(|| forwarded_field(request, "x-forwarded-proto"));
        host = host.or_else(|| forwarded_field(request, "x-forwarded-host"));
    }
    let scheme = scheme.map(|scheme| scheme.to_ascii_lowercase());
    let scheme = scheme
        .filter(|scheme| scheme == "http" || scheme == "https")
        .unwrap_or_else(|| own_scheme(request).to_owned());
    let host = host.filter(|host| is_host(host));
    let host = host.or_else(|| {
        field(request, &HOST)
            .filter(|host| is_host(host))
            .map(str::to_owned)
    })?;
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    Some(format!("{scheme}://{host}"))
}

/// What we speak ourselves.
fn own_scheme(request: &HttpRequest) -> &'static str {
    if request.app_config().secure() {
        "https"
    } else {
        "http"
    }
}

/// The same as an origin in the [usual form](origin_of).
pub fn own_origin(request: &HttpRequest) -> Option<String> {
    outer_origin(request).and_then(|address| origin_of(&address))
}

/// The origin of an address: scheme, host in lower case, and the port where it is not the scheme's own
/// (<https://www.rfc-editor.org/rfc/rfc6454#section-6.2>). `None` for what has none.
pub fn origin_of(address: &str) -> Option<String> {
    let origin = Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn field<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The first of what proxies have told, the outermost one's word.
fn forwarded_field(request: &HttpRequest, name: &'static str) -> Option<String> {
    let told = field(request, &HeaderName::from_static(name))?;
    let first = told.split(',').next()?.trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// Whether text can be a host with or without a port: nothing that could end it in an address.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;

    fn origin_of(server: &ServerConfig, fields: &[(&'static str, &'static str)]) -> (Option<String>, String) {
        let mut request = TestRequest::default()
            .app_data(TrustedProxies::new(server))
            .peer_addr(SocketAddr::from(([10, 0, 0, 1], 4711)));
        for field in fields {
            request = request.insert_header(*field);
        }
        let request = request.to_http_request();
        (outer_origin(&request), outer_prefix(&request))
    }

    fn behind_a_proxy() -> ServerConfig {
        ServerConfig {
            trusted_proxies: vec!["10.0.0.1".into()],
            ..ServerConfig::default()
        }
    }

    #[test]
    fn a_trusted_proxy_tells_how_clients_reach_us() {
        for (fields, expected) in [
            (vec![("host", "inner:8080")], "http://inner:8080"),
            (vec![("host", "inner:80")], "http://inner"),
            (
                vec![(
                    "forwarded",
                    "for=1.2.3.4;proto=https;host=a.example, for=5.6.7.8;host=b",
                )],
                "https://a.example",
            ),
            (
                vec![(
                    "forwarded",
                    "For=\"[::1], x\"; Proto=HTTPS; Host=\"a.example:443\"",
                )],
                "https://a.example",
            ),
            (
                vec![
                    ("x-forwarded-proto", "https, http"),
                    ("x-forwarded-host", "a.example:8443"),
                ],
                "https://a.example:8443",
            ),
            (
                vec![("host", "a.example"), ("x-forwarded-proto", "https")],
                "https://a.example",
            ),
            (
                vec![
                    ("host", "a.example"),
                    ("forwarded", "proto=javascript;host=\"x/y\""),
                ],
                "http://a.example",
            ),
        ] {
            assert_eq!(
                origin_of(&behind_a_proxy(), &fields).0.as_deref(),
                Some(expected),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn nobody_else_is_believed_and_the_settings_beat_all() {
        let told = [
            ("host", "asked.example"),
            ("forwarded", "proto=https;host=evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/evil"),
        ];
        let own = ServerConfig::default();

        assert_eq!(
            origin_of(&own, &told),
            (Some("http://asked.example".into()), String::new())
        );
        let mut set = behind_a_proxy();
        set.public_url = "https://set.example".into();
        assert_eq!(
            origin_of(&set, &told),
            (Some("https://set.example".into()), String::new())
        );
        set.public_url = "https://set.example:8443/up/here/".into();
        assert_eq!(
            origin_of(&set, &told),
            (Some("https://set.example:8443".into()), "/up/here".into())
        );
        assert_eq!(origin_of(&own, &[]).0, None);
    }

    #[test]
    fn a_prefix_is_a_path_and_nothing_else() {
        for (told, expected) in [
            ("/api", "/api"),
            ("/api/v2/, /x", "/api/v2"),
            ("/", ""),
            ("//evil.example", ""),
            ("api", ""),
            ("/a b", ""),
            ("https://evil.example", ""),
        ] {
            assert_eq!(
                origin_of(&behind_a_proxy(), &[("x-forwarded-prefix", told)]).1,
                expected,
                "{told}"
            );
        }
    }

    #[test]
    fn a_clients_address_is_what_the_last_trusted_proxy_saw() {
        let mut trusting = behind_a_proxy();
        trusting.trusted_proxies.push("10.0.0.2".into());
        let address = |fields: &[(&str, &str)]| {
            let mut request = TestRequest::default().app_data(TrustedProxies::new(&trusting));
            request = request.peer_addr("10.0.0.1:1".parse().unwrap());
            for field in fields {
                request = request.append_header(*field);
            }
            client_ip(&request.to_http_request()).map(|address| address.to_string())
        };

        for (fields, expected) in [
            (vec![("x-forwarded-for", "6.6.6.6, 1.2.3.4")], Some("1.2.3.4")),
            (
                vec![("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")],
                Some("1.2.3.4"),
            ),
            (
                vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4:99")],
                Some("1.2.3.4"),
            ),
            (
                vec![("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:4711\";proto=https")],
                Some("2001:db8::1"),
            ),
            (vec![("forwarded", "for=_hidden")], None),
            (vec![("x-forwarded-for", "::ffff:1.2.3.4")], Some("1.2.3.4")),
            (vec![], Some("10.0.0.1")),
        ] {
            assert_eq!(address(&fields).as_deref(), expected, "{fields:?}");
        }
        // One that listens on addresses of both versions sees those of version 4 in the other's form.
        let mapped = TestRequest::default()
            .app_data(TrustedProxies::new(&trusting))
            .peer_addr("[::ffff:10.0.0.1]:1".parse().unwrap())
            .append_header(("x-forwarded-for", "1.2.3.4, ::ffff:10.0.0.2"));
        let address = client_ip(&mapped.to_http_request());
        assert_eq!(address, Some("1.2.3.4".parse().unwrap()));
        let stranger = TestRequest::default()
            .app_data(TrustedProxies::new(&trusting))
            .peer_addr("9.9.9.9:1".parse().unwrap())
            .append_header(("x-forwarded-for", "1.2.3.4"));
        let address = client_ip(&stranger.to_http_request());
        assert_eq!(address, Some("9.9.9.9".parse().unwrap()));
    }
}
