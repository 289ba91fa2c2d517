//! Who is on the other end: the peer itself, or, where the peer is a proxy that we trust, whom the proxy names.
//!
//! Separate, because nobody else may believe `Forwarded` or `X-Forwarded-*`: anybody can send them.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use url::Url;

use crate::config::{CorsConfig, ServerConfig};

/// The proxies whose word is taken, and our address as browsers see it.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    addresses: Arc<[IpAddr]>,
    public_is_https: bool,
    /// Our own origin, where the settings say it.
    public_origin: Option<String>,
}

impl TrustedProxies {
    /// From checked settings.
    pub fn new(server: &ServerConfig) -> Self {
        Self {
            addresses: server
                .trusted_proxies
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            public_is_https: server.public_url.starts_with("https://"),
            public_origin: origin_of(&server.public_url),
        }
    }

    fn trusts(&self, request: &HttpRequest) -> bool {
        request
            .peer_addr()
            .is_some_and(|peer| self.addresses.contains(&peer.ip()))
    }
}

/// Other sites whose pages may call us.
#[derive(Debug, Clone)]
pub struct ListedOrigins(Arc<[String]>);

impl ListedOrigins {
    /// From checked settings.
    pub fn new(cors: &CorsConfig) -> Self {
        let known = |text: &String| {
            if text == "*" {
                Some(text.clone())
            } else {
                origin_of(text)
            }
        };
        Self(cors.allowed_origins.iter().filter_map(known).collect())
    }

    /// Whether an origin, in the [usual form](origin_of), is listed.
    pub fn holds(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| listed == "*" || listed == origin)
    }
}

/// The client's address, for the log.
pub fn client_address(request: &HttpRequest) -> Option<String> {
    let trusted = request
        .app_data::<TrustedProxies>()
        .is_some_and(|proxies| proxies.trusts(request));
    if trusted {
        return request.connection_info().realip_remote_addr().map(str::to_owned);
    }
    request.peer_addr().map(|peer| peer.ip().to_string())
}

/// Whether the browser reached us over HTTPS, so that cookies may be kept to it.
pub fn is_https(request: &HttpRequest) -> bool {
    request.app_data::<TrustedProxies>().is_some_and(|proxies| {
        proxies.public_is_https || (proxies.trusts(request) && request.connection_info().scheme() == "https")
    })
}

/// Our own origin as the browser that asks sees it, in the [usual form](origin_of): what the settings say, else what a
/// trusted proxy says, else the host that was asked.
pub fn own_origin(request: &HttpRequest) -> Option<String> {
    let proxies = request.app_data::<TrustedProxies>();
    if let Some(origin) = proxies.and_then(|proxies| proxies.public_origin.clone()) {
        return Some(origin);
    }
    let scheme = if is_https(request) { "https" } else { "http" };
    if proxies.is_some_and(|proxies| proxies.trusts(request)) {
        return origin_of(&format!("{scheme}://{}", request.connection_info().host()));
    }
    let host = request.headers().get(HOST)?.to_str().ok()?;
    origin_of(&format!("{scheme}://{host}"))
}

/// The origin of an address: scheme, host in lower case, and the port where it is not the scheme's own
/// (<https://www.rfc-editor.org/rfc/rfc6454#section-6.2>). `None` for what has none.
pub fn origin_of(address: &str) -> Option<String> {
    let origin = Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}
