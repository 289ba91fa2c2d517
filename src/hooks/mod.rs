//! What goes out to others: webhooks, whose [`Deliveries`] bring each event to its receivers at least once, and the questions
//! that an application or a scanner is asked while an upload waits ([`PreCreate`], [`scanner`]).

mod address;
mod call;
mod circuit;
mod deliveries;
mod delivery;
mod icap;
mod pre_complete;
mod pre_create;
mod schedule;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::HooksConfig;
use crate::error::Error;
use crate::uploads::Scanner;
use icap::IcapScanner;
use pre_complete::HttpScanner;

pub use deliveries::{Deliveries, Parts, start};
pub use pre_create::PreCreate;

/// Who looks at files before their uploads are complete, by these settings; `None` where nobody does.
///
/// # Errors
/// [`Error::Internal`] where the settings cannot be used, or the TLS roots of this machine cannot be read.
pub fn scanner(settings: &HooksConfig, clock: Clock) -> Result<Option<Arc<dyn Scanner>>, Error> {
    let hook = &settings.pre_complete;
    if hook.url.is_empty() {
        return Ok(None);
    }
    if hook.url.starts_with("icap:") {
        let patience = Duration::from_secs(hook.timeout_s);
        return Ok(Some(Arc::new(IcapScanner::new(&hook.url, patience)?)));
    }
    let secret = if hook.secret.is_empty() {
        &settings.secret
    } else {
        &hook.secret
    };
    Ok(Some(Arc::new(HttpScanner::new(hook, secret, clock)?)))
}
