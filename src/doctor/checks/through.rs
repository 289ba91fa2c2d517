//! The way from outside to us: whether the proxy in front passes on what uploads need.
//!
//! Nothing is stored for it, but for one tus upload of a byte that never comes, which is terminated again. Buffering shows
//! in that we refuse a part of an upload that is not there as soon as we have read its head: a proxy that keeps the body back
//! until it is whole lets nobody see that.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::config::Config;
use crate::doctor::ask::{self, Answer, Trouble};
use crate::doctor::{Finding, Id, Report};

/// An id that no upload has.
const NOBODYS: &str = "00000000000000000000000000000000";

/// How long we may take to refuse what we have not, before the body must have been kept back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a part that a proxy may refuse: one larger than any that our own clients send.
const LARGE: u64 = 1 << 30;

/// The server as it is reached from outside.
pub struct ThroughProxy {
    http: reqwest::Client,
    /// For what only HTTP/1.1 has.
    http1: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl ThroughProxy {
    /// The server at that address, with a key of it.
    ///
    /// # Errors
    /// Where this machine cannot make connections.
    pub fn new(base: &str, key: Option<String>) -> anyhow::Result<Self> {
        let url = url::Url::parse(base)?;
        let host = url.host_str().unwrap_or_default();
        Ok(Self {
            http: ask::client(host)?,
            http1: ask::client_http1(host)?,
            base: base.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Tries what uploads need.
    pub async fn check(&self, config: &Config, report: &mut Report) {
        if self.session(config, report).await {
            self.bodies(config, report).await;
            self.tus(config, report).await;
            self.web_socket(config, report).await;
        }
        report.findings.sort_by_key(|finding| finding.id);
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        }
    }

    async fn session(&self, config: &Config, report: &mut Report) -> bool {
        let path = format!("{}/v1/session", config.protocols.native.path);
        let answer = ask::read(self.request(Method::GET, &path).timeout(PATIENCE * 2)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                report.add(Finding::new(
                    Id::ServerUnreachable,
                    format!("{}: {}", self.base, trouble.detail),
                    "mend the address, the name server, the certificate or the proxy; `muleteer serve` must be running",
                ));
                return false;
            }
        };
        let session: Option<Value> = serde_json::from_str(&answer.body).ok();
        let Some(session) = session.filter(|session| session.get("server_time").is_some()) else {
            report.add(Finding::new(
                Id::ServerNotMuleteer,
                format!("GET {}{path}: status {}, and no answer of ours", self.base, answer.status),
                "have the proxy pass all paths on unchanged (nginx: `location / { proxy_pass http://127.0.0.1:8080; }`)",
            ));
            return false;
        };
        if self.key.is_some() && session["kind"] == "none" {
            report.add(Finding::new(
                Id::ServerKeyRefused,
                "the server does not know the key, or the proxy drops X-API-Key",
                "give a key of this server: `muleteer keys create --owner doctor` beside it",
            ));
            return false;
        }
        true
    }

    /// A body that does not end: a small one to see whether it is kept back, a large one to see whether it is refused.
    async fn bodies(&self, config: &Config, report: &mut Report) {
        let path = format!(
            "{}/v1/uploads/{NOBODYS}/parts/1/content",
            config.protocols.native.path
        );
        let slow = self.endless(&path, 1 << 16).await;
        if slow.is_none() {
            report.add(Finding::new(
                Id::ProxyBuffers,
                format!(
                    "a request whose body stops half way was not passed on within {} s",
                    PATIENCE.as_secs()
                ),
                "nginx: `proxy_request_buffering off; proxy_http_version 1.1;`. Apache: no mod_security body buffering. \
                 HAProxy: no `option http-buffer-request`",
            ));
        }
        if let Some(Ok(answer)) = self.endless(&path, LARGE).await
            && answer.status == 413
            && !answer.body.contains("\"limit\"")
        {
            report.add(Finding::new(
                Id::ProxyBodyLimit,
                format!("a body of {LARGE} bytes is refused with 413 before it reaches us"),
                "nginx: `client_max_body_size 0;`. Caddy: no `request_body max_size`. Or have clients send smaller parts",
            ));
        }
    }

    /// The answer to a PUT whose body begins and then waits; `None` where none came.
    async fn endless(&self, path: &str, length: u64) -> Option<Result<Answer, Trouble>> {
        let begin = stream::once(async { Ok::<_, std::io::Error>(Bytes::from(vec![0; 1024])) });
        let body = reqwest::Body::wrap_stream(begin.chain(stream::pending()));
        let request = self
            .request(Method::PUT, path)
            .header(http::header::CONTENT_LENGTH, length)
            .body(body);
        tokio::time::timeout(PATIENCE, ask::read(request)).await.ok()
    }

    /// Makes an upload of no use, finds it by the address that it was given, and terminates it; where that address leads
    /// nowhere, by its name.
    async fn tus(&self, config: &Config, report: &mut Report) {
        let door = &config.protocols.tus;
        if !door.enabled {
            return;
        }
        let fields = |method, path: &str| {
            self.request(method, path)
                .header("tus-resumable", "1.0.0")
                .timeout(PATIENCE)
        };
        let options = ask::read(fields(Method::OPTIONS, &door.path)).await;
        if !options.is_ok_and(|answer| answer.header("tus-version").is_some()) {
            report.add(Finding::new(
                Id::ProxyHeaders,
                "OPTIONS is answered without Tus-Version: the proxy answers by itself, or drops header fields",
                "have the proxy pass OPTIONS on, and add no CORS headers of its own",
            ));
            return;
        }
        let name = format!("muleteer-doctor-{}", Uuid::new_v4().simple());
        let create = fields(Method::POST, &door.path)
            .header("upload-length", 1)
            .header("upload-metadata", format!("filename {}", STANDARD.encode(&name)))
            .header(http::header::CONTENT_LENGTH, 0);
        let Ok(created) = ask::read(create).await else {
            return;
        };
        if created.status != 201 {
            // Without a key there is nothing more to see.
            if !matches!(created.status, 401 | 403) {
                report.add(Finding::new(
                    Id::ProxyHeaders,
                    format!("a tus upload cannot be made: status {}", created.status),
                    "have the proxy pass the fields Tus-Resumable, Upload-Length and Upload-Metadata",
                ));
            }
            return;
        }
        let told = created.header("location").unwrap_or_default();
        if !self.follow(&door.path, told, report).await {
            self.discard(config, &name).await;
        }
    }

    /// Gives up the uploads of this name, as far as they are of our key's owner. One of a visitor, without a key, ends by
    /// itself.
    async fn discard(&self, config: &Config, name: &str) {
        let uploads = format!("{}/v1/uploads", config.protocols.native.path);
        let list = self.request(Method::GET, &format!("{uploads}?filename={name}"));
        let Ok(answer) = ask::read(list.timeout(PATIENCE)).await else {
            return;
        };
        let page: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        for upload in page["uploads"].as_array().into_iter().flatten() {
            let id = upload["id"].as_str().unwrap_or_default();
            // A server that does not know the question might list others.
            if upload["filename"] == name && !id.is_empty() {
                let give_up = self.request(Method::DELETE, &format!("{uploads}/{id}"));
                let _ = ask::read(give_up.timeout(PATIENCE)).await;
            }
        }
    }

    /// Whether the address that a new upload was given leads to it; then the upload is terminated.
    async fn follow(&self, door: &str, told: &str, report: &mut Report) -> bool {
        let here = url::Url::parse(&format!("{}{door}", self.base)).ok();
        let place = here.and_then(|here| here.join(told).ok());
        let Some(place) = place.filter(|_| !told.is_empty()) else {
            report.add(Finding::new(
                Id::ProxyHeaders,
                "the answer to a tus creation has no Location",
                "have the proxy pass the field Location",
            ));
            return false;
        };
        let at = |method| {
            let request = self
                .http
                .request(method, place.clone())
                .header("tus-resumable", "1.0.0");
            match &self.key {
                Some(key) => request.header("x-api-key", key),
                None => request,
            }
        };
        let leads_back = place.as_str().starts_with(&format!("{}/", self.base));
        // Elsewhere nobody may be told the key.
        let found = if leads_back {
            ask::read(at(Method::HEAD).timeout(PATIENCE)).await.ok()
        } else {
            None
        };
        if found.is_none_or(|answer| answer.header("upload-offset") != Some("0")) {
            report.add(Finding::new(
                Id::ProxyLocation,
                format!("the new upload was said to be at {place}, and is not found there through {}", self.base),
                format!(
                    "set server.public_url = \"{}\" if that is what browsers use, or serve us at the root of a host name; the \
                     proxy must leave Location as it is",
                    self.base
                ),
            ));
            return false;
        }
        let ended = ask::read(at(Method::DELETE).timeout(PATIENCE)).await;
        ended.is_ok_and(|answer| answer.is_fine())
    }

    async fn web_socket(&self, config: &Config, report: &mut Report) {
        let door = &config.protocols.galileo;
        if !door.enabled {
            return;
        }
        let shake = self
            .http1
            .get(format!("{}{}", self.base, door.path))
            .header(http::header::CONNECTION, "Upgrade")
            .header(http::header::UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "bXVsZXRlZXIgZG9jdG9yIQ==")
            .timeout(PATIENCE);
        // Only the status matters; what follows it is a conversation that we do not begin.
        let status = shake.send().await.map(|response| response.status().as_u16());
        // A stranger is refused after the upgrade was seen.
        if !matches!(status, Ok(101 | 401 | 403 | 429 | 503)) {
            report.add(Finding::new(
                Id::ProxyWebSocket,
                match status {
                    Ok(status) => format!("a WebSocket to {} is answered with status {status}", door.path),
                    Err(error) => format!("a WebSocket to {}: {}", door.path, error.without_url()),
                },
                "nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
                 \"upgrade\";`",
            ));
        }
    }
}
