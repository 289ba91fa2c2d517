//! How many connections there may be: in all, and from one address.
//!
//! Separate, because all workers count together, and because who is turned away has no connection to speak of.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::rt::net::TcpStream;

use crate::config::ServerConfig;
use crate::domain::network;
use crate::web::problem::Kind;

/// Everybody who is connected.
pub(super) struct Crowd {
    max: u32,
    max_per_address: u32,
    /// Behind these are many.
    proxies: Vec<IpAddr>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// One connection's place; dropping it makes room.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    address: Option<IpAddr>,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For anybody.
    InAll(u32),
    /// For another one from this address.
    FromAddress(u32),
}

impl Crowd {
    /// From checked settings; 0 sets no limit.
    pub(super) fn new(settings: &ServerConfig) -> Arc<Self> {
        let proxies = settings.trusted_proxies.iter();
        Arc::new(Self {
            max: settings.connections.max,
            max_per_address: settings.connections.max_per_address,
            proxies: proxies
                .filter_map(|text| text.parse::<IpAddr>().ok())
                .map(|address| address.to_canonical())
                .collect(),
            counts: Mutex::default(),
        })
    }

    /// Takes a place, if there is one.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Result<Seat, Full> {
        let address = peer
            .map(|peer| peer.ip().to_canonical())
            .filter(|address| self.max_per_address > 0 && !self.proxies.contains(address))
            .map(network);
        let mut counts = self.counts();
        if self.max > 0 && counts.total >= self.max {
            return Err(Full::InAll(self.max));
        }
        if let Some(address) = address {
            let count = counts.by_address.entry(address).or_default();
            if *count >= self.max_per_address {
                return Err(Full::FromAddress(self.max_per_address));
            }
            *count += 1;
        }
        counts.total += 1;
        drop(counts);
        Ok(Seat {
            crowd: Arc::clone(self),
            address,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

impl Full {
    /// What it is called.
    pub(super) const KIND: &str = "too-many-connections";

    /// Tells whoever comes, which takes no waiting: nothing has been written to this socket yet.
    pub(super) async fn tell(self, socket: &TcpStream, is_secure: bool) {
        tracing::debug!(?self, "a connection was turned away");
        // A handshake is what it costs most to give.
        if is_secure {
            return;
        }
        let answer = match self {
            Self::InAll(max) => Kind::named(Self::KIND).raw(
                503,
                &format!("there are {max} connections already, the most that server.connections.max allows"),
            ),
            Self::FromAddress(max) => Kind::named(Self::KIND).raw(
                429,
                &format!(
                    "there are {max} connections from this address already, the most that \
                     server.connections.max_per_address allows"
                ),
            ),
        };
        if socket.writable().await.is_ok() {
            let _ = socket.try_write(&answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 4711)
    }

    fn crowd(max: u32, max_per_address: u32) -> Arc<Crowd> {
        let mut settings = ServerConfig::default();
        settings.connections.max = max;
        settings.connections.max_per_address = max_per_address;
        settings.trusted_proxies = vec!["10.0.0.1".into()];
        Crowd::new(&settings)
    }

    #[test]
    fn who_leaves_makes_room_and_nothing_is_kept_of_them() {
        let crowd = crowd(3, 2);
        let first = crowd.admit(Some(from("1.1.1.1"))).expect("room");
        let _second = crowd.admit(Some(from("::ffff:1.1.1.1"))).expect("room");
        assert_eq!(
            crowd.admit(Some(from("1.1.1.1"))).err(),
            Some(Full::FromAddress(2))
        );
        let other = crowd.admit(Some(from("2.2.2.2"))).expect("room");
        assert_eq!(crowd.admit(Some(from("3.3.3.3"))).err(), Some(Full::InAll(3)));

        drop((first, other));

        let _again = crowd.admit(Some(from("1.1.1.1"))).expect("room");
        assert_eq!(crowd.counts().by_address.len(), 1);
    }

    #[test]
    fn a_network_of_version_6_is_one_client_and_a_proxy_is_many() {
        let crowd = crowd(0, 1);
        let _one = crowd.admit(Some(from("2001:db8:0:1::1"))).expect("room");
        assert!(crowd.admit(Some(from("2001:db8:0:1:ffff::2"))).is_err());
        let _other = crowd.admit(Some(from("2001:db8:0:2::1"))).expect("room");
        let proxied: Vec<_> = (0..9).map(|_| crowd.admit(Some(from("10.0.0.1")))).collect();
        assert!(proxied.iter().all(Result::is_ok));
    }
}
