//! `muleteer health`: whether a server answers, for whoever restarts what does not and has no other program to ask with,
//! such as a container that holds nothing but this one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::Config;

/// Longer than any answer of a server that is well takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The address to ask [default: `/health/live` of the server that these settings start on this machine]
    #[arg(long)]
    url: Option<String>,
}

/// Asks once, and says what came back.
///
/// # Errors
/// Anything but a success in time.
pub async fn run(args: HealthArgs, config: &Config) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let (url, client) = match args.url {
        Some(url) => (url, client),
        // Our own certificate names another host than the one that we ask here, and nothing secret is sent or read.
        None => (own_address(config)?, client.danger_accept_invalid_certs(true)),
    };
    let client = client.build()?;
    let answer = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        bail!("{url} answers {status}: {body}");
    }
    println!("{body}");
    Ok(())
}

fn own_address(config: &Config) -> anyhow::Result<String> {
    let server = &config.server;
    if server.port == 0 {
        bail!("server.port is 0, so nobody knows where it listens: say it with --url");
    }
    let ip = match server.address.parse().context("server.address")? {
        ip if IpAddr::is_unspecified(&ip) && ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        ip if IpAddr::is_unspecified(&ip) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if server.tls.is_on() { "https" } else { "http" };
    Ok(format!(
        "{scheme}://{}/health/live",
        SocketAddr::new(ip, server.port)
    ))
}
