//! The doors: one wire protocol each, a thin translation over the verbs of [`crate::uploads`].
//!
//! Every handler parses, calls one verb and renders. No protocol knows another, nor the database or the store.

pub mod chunks;
pub mod evaporate;
pub mod fine_uploader;
pub mod galileo;
pub mod mule;
pub mod native;
pub mod offset;
pub mod resumable;
pub mod uppy;

use actix_web::http::header::UPGRADE;
use actix_web::web::ServiceConfig;

use crate::config::ProtocolsConfig;
use crate::web::doors::{Doors, Mount};

/// One wire protocol.
pub struct Protocol {
    /// Its name in the database, in the settings and in the log.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The addresses that it is mounted at; none while it is switched off.
    pub mounts: fn(&ProtocolsConfig) -> Vec<String>,
    /// Adds its routes under one of its addresses.
    pub routes: fn(&mut ServiceConfig, &ProtocolsConfig, mount: &str),
}

/// All protocols; the only list of them.
pub const PROTOCOLS: &[&Protocol] = &[
    &native::PROTOCOL,
    &mule::PROTOCOL,
    // Before those whose address it shares for requests that ask for a WebSocket.
    &galileo::PROTOCOL,
    // Before the chunk server, whose address it shares for requests that say they are tus.
    &resumable::PROTOCOL,
    &chunks::PROTOCOL,
    &offset::PROTOCOL,
    &evaporate::PROTOCOL,
    &fine_uploader::PROTOCOL,
    &uppy::PROTOCOL,
];

/// The names of the protocols that are spoken.
pub fn open(settings: &ProtocolsConfig) -> Vec<&'static str> {
    let spoken = PROTOCOLS
        .iter()
        .filter(|protocol| !(protocol.mounts)(settings).is_empty());
    spoken.map(|protocol| protocol.name).collect()
}

/// The doors that are open, and what else is told apart, for metrics and traces.
pub fn doors(settings: &ProtocolsConfig, metrics: &str) -> Doors {
    let mut mounts = vec![Mount {
        path: metrics.to_owned(),
        name: "metrics",
        takes: None,
    }];
    if settings.uppy.enabled {
        mounts.push(Mount {
            path: settings.uppy.token_path.clone(),
            name: uppy::PROTOCOL.name,
            takes: None,
        });
    }
    for protocol in PROTOCOLS {
        for path in (protocol.mounts)(settings) {
            mounts.push(Mount {
                path,
                name: protocol.name,
                takes: None,
            });
        }
    }
    // Of several that share an address, all but the last take only what is theirs by its fields.
    for place in 0..mounts.len() {
        let is_shared = mounts[place + 1..]
            .iter()
            .any(|later| later.path == mounts[place].path);
        if is_shared {
            mounts[place].takes = Some(|head| head.headers.contains_key(UPGRADE));
            if mounts[place].name == resumable::PROTOCOL.name {
                mounts[place].takes = Some(|head| head.headers.contains_key("tus-resumable"));
            }
        }
    }
    Doors::new(mounts)
}

/// The one address of a door, if it is open.
fn mount_of(is_open: bool, path: &str) -> Vec<String> {
    is_open.then(|| path.to_owned()).into_iter().collect()
}

/// Mounts every protocol that is switched on.
pub fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig) {
    for protocol in PROTOCOLS {
        for mount in (protocol.mounts)(settings) {
            (protocol.routes)(services, settings, &mount);
        }
    }
}
