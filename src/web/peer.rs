//! Who is on the other end: the peer itself, or, where the peer is a proxy that we trust, whom the proxy names.
//!
//! Separate, because nobody else may believe `Forwarded` or `X-Forwarded-*`: anybody can send them.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;

use crate::config::ServerConfig;

/// The proxies whose word is taken, and our address as browsers see it.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    addresses: Arc<[IpAddr]>,
    public_is_https: bool,
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
        }
    }

    fn trusts(&self, request: &HttpRequest) -> bool {
        request
            .peer_addr()
            .is_some_and(|peer| self.addresses.contains(&peer.ip()))
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
