//! Runs the embedded S3 server alone, so that any S3 client can be tried against it.
//!
//! `cargo run --release --example embedded_s3 -- DIRECTORY PORT [MIN_PART_SIZE]`
//!
//! The key pair is `testaccesskey` / `testsecretkey123456`, the region `us-east-1`, the bucket `matrix-bucket`; the
//! environment's `S3_KEY`, `S3_SECRET`, `S3_TOKEN`, `S3_REGION` and `S3_BUCKET` go before these. It prints one line
//! when it is ready, and stops on Ctrl-C.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Context as _;
use muleteer::dev_s3::{self, DevS3Config, MIN_PART_SIZE};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,s3s=off".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let mut arguments = env::args().skip(1);
    let root = arguments.next().context("name a directory")?;
    let port = arguments
        .next()
        .context("name a port; 0 picks a free one")?
        .parse()?;
    let min_part_size = arguments.next().map_or(Ok(MIN_PART_SIZE), |size| size.parse())?;
    let from_environment = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());

    let server = dev_s3::start(DevS3Config {
        root: root.into(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port,
        access_key_id: from_environment("S3_KEY", "testaccesskey"),
        secret_access_key: from_environment("S3_SECRET", "testsecretkey123456").into(),
        session_token: env::var("S3_TOKEN").ok(),
        parts_only: None,
        region: from_environment("S3_REGION", "us-east-1"),
        bucket: from_environment("S3_BUCKET", "matrix-bucket"),
        min_part_size,
        allow_remote: false,
        max_upload_age: Duration::from_hours(7 * 24),
    })
    .await?;
    println!("ready {}", server.endpoint());

    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
