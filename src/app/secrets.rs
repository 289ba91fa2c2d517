//! Secrets that all instances share: those of the settings, or others that are made once and kept in the database.
//!
//! Separate from the putting together, because whoever needs one must not care which of both it is.

use anyhow::Context as _;
use secrecy::SecretString;
use uuid::Uuid;

use super::explain;
use super::settings::hours;
use crate::config::{Config, Secret};
use crate::db::Database;
use crate::identity::IdentitySettings;
use crate::signing::{PublicKey, ReceiptKey};

/// The name under which the key that signs tokens and cookies is kept in the database.
const TOKEN_SECRET: &str = "token-signing";

/// The name under which the key that signs receipts is kept in the database.
const RECEIPT_SECRET: &str = "receipt-signing";

/// The secret that the settings give, or the one that all instances share under `name`.
pub(super) async fn secret(given: &Secret, name: &str, db: &Database) -> anyhow::Result<String> {
    if !given.is_empty() {
        return Ok(given.expose().to_owned());
    }
    db.shared_secret(name, random_secret()).await.map_err(explain)
}

/// The key that signs tokens and cookies.
pub(super) async fn token_secret(config: &Config, db: &Database) -> anyhow::Result<String> {
    secret(&config.auth.secret, TOKEN_SECRET, db).await
}

pub(super) async fn identity_settings(config: &Config, db: &Database) -> anyhow::Result<IdentitySettings> {
    let secret = token_secret(config, db).await?;
    Ok(IdentitySettings {
        secret: SecretString::from(secret),
        api_key: config.auth.api_key.expose().to_owned(),
        anonymous: config.admits_anonymous(),
        token_lifetime: hours(config.uploads.ttl_hours),
        jwt: config.auth.jwt.clone(),
        forward: config.auth.forward.clone(),
    })
}

/// The key that receipts are signed with: that of the settings, or one that is made once and kept in the database.
pub(super) async fn receipt_key(config: &Config, db: &Database) -> anyhow::Result<ReceiptKey> {
    let secret = secret(&config.receipts.private_key, RECEIPT_SECRET, db).await?;
    let key =
        ReceiptKey::new(&secret).context("receipts.private_key must be 32 bytes in base64 or hexadecimal")?;
    let previous = config.receipts.previous_keys.iter().map(|text| {
        PublicKey::parse(text)
            .with_context(|| format!("receipts.previous_keys: {text:?} is no Ed25519 key in base64"))
    });
    Ok(key.with_previous(previous.collect::<anyhow::Result<_>>()?))
}

/// 244 random bits in hexadecimal.
fn random_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
