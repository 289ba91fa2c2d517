//! The guard at the moment of the call: a host name is looked up by us, and only what may be called comes out.
//!
//! Separate, because this is what a client's address cannot get round: the connection is made to the very addresses
//! that were judged here, whatever the name led to when the upload began or will lead to a moment later.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::AllowedHosts;

/// Looks names up and leaves out all addresses that may not be called.
pub(super) struct GuardedResolver {
    allowed: Arc<AllowedHosts>,
}

impl GuardedResolver {
    /// A resolver that keeps to these rules.
    pub(super) fn new(allowed: Arc<AllowedHosts>) -> Self {
        Self { allowed }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            if allowed.lists(name) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let admitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allowed.admits(address.ip()))
                .collect();
            if admitted.is_empty() {
                return Err(Refused.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The name leads to nothing that may be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused;

impl Refused {
    /// Whether this is what lies behind `error`.
    pub(super) fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<Self>)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address may not be called")
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn looked_up(name: &str, allowed: &[&str]) -> Result<Vec<SocketAddr>, bool> {
        let entries: Vec<String> = allowed.iter().map(|&entry| entry.to_owned()).collect();
        let guard = GuardedResolver::new(Arc::new(AllowedHosts::new(&entries).unwrap()));
        let found = guard.resolve(name.parse().unwrap()).await;
        found
            .map(Iterator::collect)
            .map_err(|error| Refused::is_behind(error.as_ref()))
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_leads_nowhere_unless_listed() {
        assert_eq!(looked_up("localhost", &[]).await, Err(true));
        assert_eq!(looked_up("localhost", &["192.168.0.0/16"]).await, Err(true));
        assert!(!looked_up("localhost", &["localhost"]).await.unwrap().is_empty());
        let by_address = looked_up("localhost", &["127.0.0.1"]).await.unwrap();
        assert!(
            by_address.iter().all(|address| address.ip().is_ipv4()),
            "{by_address:?}"
        );
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_not_called_refused() {
        assert_eq!(looked_up("nothing.invalid", &[]).await, Err(false));
    }
}
