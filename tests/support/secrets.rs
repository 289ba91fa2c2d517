//! No log line and no answer may hold a secret: every log line of a test is searched for those of its servers.
//!
//! Separate from the server that is searched, because what a secret looks like when it leaks is an idea of its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use muleteer::config::{Config, Secret};
use muleteer::db::Database;

/// Shorter ones stand in ordinary text.
const LEAST_BYTES: usize = 12;

/// What is told at all levels: what we say ourselves, and what the libraries say of themselves.
const FILTER: &str = "muleteer=trace,reqwest=debug,aws_config=debug,info";

static WATCHED: Mutex<BTreeMap<Vec<u8>, &'static str>> = Mutex::new(BTreeMap::new());
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The secrets of these settings by their name.
fn secrets_of(config: &Config) -> Vec<(&'static str, String)> {
    let url = config.database.url.expose();
    let password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map_or("", |(_, password)| password);
    let password = Secret::new(password);
    let protocols = &config.protocols;
    let named = [
        ("auth.api_key", &config.auth.api_key),
        ("auth.secret", &config.auth.secret),
        ("auth.jwt.secret", &config.auth.jwt.secret),
        ("s3.secret_access_key", &config.s3.secret_access_key),
        ("s3.session_token", &config.s3.session_token),
        ("dev_s3.secret_access_key", &config.dev_s3.secret_access_key),
        ("storage.smb.password", &config.storage.smb.password),
        ("hooks.secret", &config.hooks.secret),
        ("hooks.pre_create.secret", &config.hooks.pre_create.secret),
        ("hooks.pre_complete.secret", &config.hooks.pre_complete.secret),
        ("metrics.token", &config.metrics.token),
        ("telemetry.headers", &config.telemetry.headers),
        ("database.url", &password),
        (
            "protocols.mule.signing_key",
            &protocols.mule.signing_key.secret_access_key,
        ),
        ("receipts.private_key", &config.receipts.private_key),
        ("protocols.mule", &protocols.mule.secret_access_key),
        ("protocols.uppy.sts", &protocols.uppy.sts.external_id),
        ("protocols.evaporate", &protocols.evaporate.secret_access_key),
        (
            "protocols.fine_uploader",
            &protocols.fine_uploader.secret_access_key,
        ),
    ];
    named
        .map(|(name, secret)| (name, secret.expose().to_owned()))
        .into()
}

/// What a secret looks like when it leaks: as it is, in hexadecimal and in base64. A short one is not looked for.
fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    if secret.len() < LEAST_BYTES {
        return Vec::new();
    }
    let bare = secret.strip_prefix("whsec_").unwrap_or(secret);
    let forms = [
        bare.to_owned(),
        hex::encode(bare),
        STANDARD_NO_PAD.encode(bare),
        URL_SAFE_NO_PAD.encode(bare),
    ];
    forms.map(String::into_bytes).into()
}

/// The secrets of these settings by their name, in every form.
pub fn forms(config: &Config) -> Vec<(&'static str, Vec<u8>)> {
    let named = secrets_of(config).into_iter();
    named
        .flat_map(|(name, secret)| forms_of(&secret).into_iter().map(move |form| (name, form)))
        .collect()
}

/// Searches for those as well that a server has made for itself, until [`forget`] is told what this gives.
pub async fn watch_made(config: &Config, has_store: bool, db: &Database) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for (name, is_made) in [
        ("token-signing", config.auth.secret.is_empty()),
        ("receipt-signing", config.receipts.private_key.is_empty()),
        (
            "embedded-store",
            has_store && config.dev_s3.secret_access_key.is_empty(),
        ),
    ] {
        if !is_made {
            continue;
        }
        // The server has it by now, so that this is not the one that counts.
        let secret = db.shared_secret(name, String::new()).await;
        let forms = forms_of(&secret.expect("the database"));
        assert!(!forms.is_empty(), "no server has made {name}");
        open(&WATCHED).extend(forms.iter().map(|form| (form.clone(), name)));
        made.extend(forms);
    }
    made
}

/// Stops searching for what no server has any more: there are many servers in a binary of tests.
pub fn forget(made: &[Vec<u8>]) {
    let mut watched = open(&WATCHED);
    for form in made {
        watched.remove(form);
    }
}

/// Searches every log line of this process for the secrets of these settings from now on.
pub fn watch(config: &Config) {
    static LOGS: Once = Once::new();
    open(&WATCHED).extend(forms(config).into_iter().map(|(name, form)| (form, name)));
    LOGS.call_once(|| {
        let log = tracing_subscriber::fmt()
            .with_env_filter(FILTER)
            .with_ansi(false)
            .with_writer(|| Lines);
        // A test that has logs of its own keeps them.
        let _ = log.try_init();
    });
}

/// Fails where a log line held a secret.
pub fn assert_none_was_logged() {
    let found = std::mem::take(&mut *open(&FOUND));
    assert!(found.is_empty(), "secrets in the log:\n{}", found.join("\n"));
}

/// Where log lines go; the library writes one at a time.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let watched = open(&WATCHED);
        for (form, name) in watched.iter() {
            if memchr::memmem::find(line, form).is_some() {
                open(&FOUND).push(format!("{name}: {}", String::from_utf8_lossy(line)));
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
