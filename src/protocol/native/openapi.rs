//! The OpenAPI document, made from the handlers' own attributes.

use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, PathItem, SecurityRequirement, Server};

/// What the attributes cannot say is added in [`document`].
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muleteer",
        description = "Begins, signs, records, completes and looks up uploads whose bytes go straight from the \
                       browser to S3. Times are RFC 3339 in UTC, sizes are bytes, errors are problem documents \
                       (RFC 9457) whose types are described at their own addresses."
    ),
    paths(
        super::session,
        super::create,
        super::listing::list,
        super::show,
        super::signatures::sign,
        super::record_one,
        super::receive,
        super::record_many,
        super::complete,
        super::verdict::give_verdict,
        super::abort,
        super::receipt,
        super::receipt_key,
        super::webhooks::list_webhooks,
        super::webhooks::replay_webhook
    ),
    tags(
        (name = "uploads", description = "One file on its way to one object"),
        (name = "session", description = "Who is asking"),
        (name = "receipts", description = "Proving later what was stored"),
        (name = "webhooks", description = "Telling others what happens to uploads")
    )
)]
struct Api;

/// The document for an API mounted at `mount`.
pub fn document(mount: &str) -> Document {
    let mut document = Api::openapi();
    document.servers = Some(vec![Server::new(mount)]);
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build(),
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("api_key", key);
    components.add_security_scheme("upload_token", token);
    document.security = Some(vec![
        SecurityRequirement::new("api_key", Vec::<String>::new()),
        SecurityRequirement::new("upload_token", Vec::<String>::new()),
        // A visitor's cookie, where visitors are admitted.
        SecurityRequirement::default(),
    ]);
    document
}

/// The methods that each documented address takes, as `Allow` lists them.
pub fn methods() -> Vec<(String, String)> {
    let listed = |item: &PathItem| {
        let taken = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("DELETE", &item.delete),
        ];
        let names: Vec<&str> = taken
            .iter()
            .filter_map(|(name, taken)| taken.is_some().then_some(*name))
            .collect();
        names.join(", ")
    };
    let paths = Api::openapi().paths.paths;
    paths
        .iter()
        .map(|(path, item)| (path.clone(), listed(item)))
        .collect()
}
