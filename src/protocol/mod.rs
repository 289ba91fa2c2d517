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

use actix_web::web::ServiceConfig;

use crate::config::ProtocolsConfig;

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
