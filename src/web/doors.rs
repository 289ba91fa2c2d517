//! Which door a request came to, by its address: for metrics and traces, where a path itself must never stand.
//!
//! Separate from the routes, since a request that fits none of them is still somebody's at some door.

use std::sync::Arc;

use actix_web::dev::RequestHead;

/// What does not come to any protocol, by the first piece of its path.
const OTHERS: [(&str, &str); 5] = [
    ("", "page"),
    ("static", "files"),
    ("health", "health"),
    ("docs", "docs"),
    ("problems", "docs"),
];

/// Everything else.
const OTHER: &str = "other";

/// One address of a protocol.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Its address.
    pub path: String,
    /// The protocol.
    pub name: &'static str,
    /// Which requests there are its own, where another protocol has the same address.
    pub takes: Option<fn(&RequestHead) -> bool>,
}

/// All doors; clones share them.
#[derive(Debug, Clone)]
pub struct Doors(Arc<[Mount]>);

impl Doors {
    /// These, the first that fits first.
    pub fn new(mounts: Vec<Mount>) -> Self {
        Self(mounts.into())
    }

    /// The names of all of them.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.0.iter().map(|mount| mount.name).collect();
        names.extend(OTHERS.map(|(_, name)| name));
        names.push(OTHER);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The door of a request: one of [`names`](Self::names).
    pub fn of(&self, head: &RequestHead) -> &'static str {
        let path = head.uri.path();
        let fits = |mount: &&Mount| {
            let below = path.strip_prefix(mount.path.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                && mount.takes.is_none_or(|takes| takes(head))
        };
        // Of addresses that lie within one another the longer one is meant.
        let mut best: Option<&Mount> = None;
        for mount in self.0.iter().filter(fits) {
            if best.is_none_or(|best| mount.path.len() > best.path.len()) {
                best = Some(mount);
            }
        }
        if let Some(mount) = best {
            return mount.name;
        }
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let known = OTHERS.iter().find(|(piece, _)| *piece == first);
        known.map_or(OTHER, |(_, name)| name)
    }
}
