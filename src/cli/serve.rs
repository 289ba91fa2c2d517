//! `muleteer serve`: what most people start.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Args;

use crate::app::{self, Running, explain};
use crate::clock::Clock;
use crate::config::{BackendName, Config, Overrides};
use crate::domain::Owner;
use crate::identity::{Scopes, create_key};

/// Whom the key of the first start belongs to.
const FIRST_OWNER: &str = "admin";

/// Flags that stand above every other layer of settings.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// IP address to bind
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// TCP port; 0 picks a free one
    #[arg(long)]
    port: Option<u16>,
    /// TCP port of the embedded S3; 0 picks a free one
    #[arg(long, value_name = "PORT")]
    s3_port: Option<u16>,
}

impl ServeArgs {
    /// The flags as settings.
    pub fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::new();
        if let Some(address) = &self.address {
            overrides.push(("server.address", address.clone()));
        }
        if let Some(port) = self.port {
            overrides.push(("server.port", port.to_string()));
        }
        if let Some(port) = self.s3_port {
            overrides.push(("dev_s3.port", port.to_string()));
        }
        overrides
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// Whatever stands in the way of starting.
pub fn run(config: Config) -> anyhow::Result<()> {
    // actix's workers have runtimes of their own; this one carries the embedded S3 and the sweeper.
    actix_web::rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("this machine can start threads")
    })
    .block_on(async move {
        let config_for_words = config.clone();
        let running = Box::pin(app::start(config, Clock::system())).await?;
        announce(&running, &config_for_words).await?;
        running.serve().await
    })
}

/// Tells on standard output where everything is. Scripts read the first line and may then be gone, which is no
/// reason to end.
async fn announce(running: &Running, config: &Config) -> anyhow::Result<()> {
    let text = words(running, config).await?;
    let mut output = std::io::stdout().lock();
    if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        tracing::warn!(%error, "nobody reads where we listen; `muleteer keys create` makes a key");
    }
    Ok(())
}

async fn words(running: &Running, config: &Config) -> anyhow::Result<String> {
    let scheme = if running.is_secure { "https" } else { "http" };
    let own = format!("{scheme}://{}", running.address);
    let mut text = format!("muleteer listening on {own}\n");
    let base = match config.server.public_url.as_str() {
        "" => own,
        url => url.to_owned(),
    };
    if config.protocols.native.enabled {
        let _ = writeln!(text, "  upload page    {base}/\n  API            {base}/docs/");
    }
    let _ = writeln!(text, "  admin pages    {base}/admin   (log in with an admin key)");
    if let Some(store) = &running.store {
        let _ = writeln!(
            text,
            "  embedded S3    {store}   (for local use: no bucket is configured)"
        );
    }
    if config.takes_all_through_us() {
        let place = match config.storage.backend {
            BackendName::Smb => format!("//{}/{}", config.storage.smb.host, config.storage.smb.share),
            BackendName::Local | BackendName::S3 => config.storage.local.path.clone(),
        };
        let _ = writeln!(
            text,
            "  files go to    {place}   (all of them: no bucket is configured)"
        );
    }
    let keys = running.db.list_keys().await.map_err(explain)?;
    if keys.is_empty() && config.auth.api_key.is_empty() {
        let owner = Owner::named(FIRST_OWNER).map_err(|error| anyhow::anyhow!(error.detail))?;
        let now = Clock::system().now();
        let key = create_key(&running.db, &owner, Scopes::ALL, now)
            .await
            .map_err(explain)?;
        let _ = writeln!(
            text,
            "  admin key      {key}   (told this once; scopes upload and admin)"
        );
    }
    Ok(text)
}
