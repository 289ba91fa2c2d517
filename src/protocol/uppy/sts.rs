//! Temporary credentials, for pages that sign by themselves: `getTemporarySecurityCredentials` of versions 4 and 5, and
//! `getCredentials` of version 6.
//!
//! Separate from the other endpoints, which sign one request each: what is given away here works without us until it ends.

use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::SecondsFormat;
use secrecy::ExposeSecret;
use serde_json::json;

use super::Answer;
use super::access::caller;
use super::replies::ok;
use crate::domain::{Naming, Principal};
use crate::error::Error;
use crate::identity::Identity;
use crate::uploads::Uploads;

const FOR_SOMEBODY: Error = Error::Unauthenticated(
    "temporary credentials are for somebody: send an API key, a token in the address, or a visitor's cookie",
);

/// `GET /sts`: credentials for the caller's own part of the bucket, in Companion's shape, and what version 6 needs besides.
pub async fn lend(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = caller(&request, &identity).await?;
    if is_anybody(&caller, &identity) {
        return Err(FOR_SOMEBODY.into());
    }
    let lent = uploads.lend(&caller).await?;
    let credentials = &lent.credentials;
    let token = credentials.session_token.as_ref();
    let ends = credentials.expires_at;
    Ok(ok(&json!({
        "credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key.expose_secret(),
            "SessionToken": token.map(ExposeSecret::expose_secret),
            "Expiration": ends.map(|end| end.to_rfc3339_opts(SecondsFormat::Secs, true)),
        },
        "bucket": lent.bucket,
        "region": lent.region,
        "prefix": lent.prefix,
        "s3Endpoint": lent.bucket_url,
    })))
}

/// How an upload of this caller's is named: where they may have credentials, these must reach it.
pub fn naming(caller: &Principal, identity: &Identity, uploads: &Uploads) -> Naming {
    let prefix = uploads.lent_prefix(caller);
    prefix
        .filter(|_| !is_anybody(caller, identity))
        .map_or(Naming::Template, Naming::Below)
}

/// Whether it is whoever comes without a credential: all of them are one owner, who must not have what one of them has.
fn is_anybody(caller: &Principal, identity: &Identity) -> bool {
    identity
        .anybody()
        .is_some_and(|anybody| anybody.owner == caller.owner)
}
