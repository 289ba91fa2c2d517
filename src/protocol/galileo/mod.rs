//! GalileoSend: a file over a WebSocket, one connection for one file. JSON texts say what happens, binary messages carry
//! the bytes.
//!
//! Clients of the original JavaScript need nothing but the address; clients of protocol 2 are told what is stored and can
//! go on after a lost connection. `docs/galileo-send.md` says what clients may rely on.

mod conversation;
pub(crate) mod frames;
mod handshake;
mod line;
mod page;
mod requests;
mod sending;
mod signals;
mod tickets;

use std::convert::Infallible;
use std::time::Duration;

use actix_web::guard::fn_guard;
use actix_web::http::header::{
    HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, Payload, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use futures_util::stream;

use self::conversation::Conversation;
use self::handshake::{Admitted, Refused, SUBPROTOCOL};
use self::line::Line;
use super::Protocol;
use crate::config::{GalileoConfig, ProtocolsConfig};
use crate::identity::Identity;
use crate::uploads::Uploads;
use crate::web::methods::{otherwise, readable};
use crate::web::problem::{Failure, Kind, ProblemDocument};
use crate::web::tally::Tally;

/// Files over a WebSocket.
pub const PROTOCOL: Protocol = Protocol {
    name: "galileo",
    title: "GalileoSend",
    mounts,
    routes,
};

/// Above this many chunks of the ordinary size a file is sent in larger ones.
const MANY: u64 = 32;

/// One address of this protocol.
#[derive(Clone)]
struct Door {
    mount: String,
    settings: GalileoConfig,
}

impl Door {
    /// Bytes of a chunk of a file of this size: a round trip is paid for with each.
    fn chunk_size(&self, size: u64) -> u64 {
        (size / MANY).clamp(self.settings.chunk_size, self.settings.largest_chunk_size)
    }

    /// Most bytes of one file.
    fn max_size(&self, uploads: &Uploads) -> u64 {
        match self.settings.max_size {
            0 => uploads.relay_max_size(),
            size => size.min(uploads.relay_max_size()),
        }
    }
}

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    let galileo = &settings.galileo;
    if !galileo.enabled {
        return Vec::new();
    }
    let mut mounts = vec![galileo.path.clone()];
    mounts.extend(
        galileo
            .also_at
            .iter()
            .filter(|other| **other != galileo.path)
            .cloned(),
    );
    mounts
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let door = Data::new(Door {
        mount: mount.to_owned(),
        settings: settings.galileo.clone(),
    });
    let slashed = format!("{mount}/");
    let socket = resource([mount, slashed.as_str()]).app_data(door.clone());
    if mount != settings.galileo.path {
        // Another protocol's address: what asks for no WebSocket is its own.
        let asks = fn_guard(|context| {
            let head = context.head();
            head.method == Method::GET && asks_for_a_socket(&head.headers)
        });
        services.service(socket.guard(asks).route(web::to(connect)));
        return;
    }
    let (ticket, demo) = (format!("{mount}/ticket"), format!("{mount}/demo"));
    services
        .service(socket.route(web::get().to(connect)))
        .service(
            resource(ticket.as_str())
                .app_data(door.clone())
                .route(web::post().to(tickets::make)),
        )
        .service(otherwise(&ticket, "POST".into()))
        .service(readable(&demo, page::demo).app_data(door));
}

fn asks_for_a_socket(headers: &HeaderMap) -> bool {
    let asked = headers.get("upgrade").and_then(|value| value.to_str().ok());
    asked.is_some_and(|asked| asked.trim().eq_ignore_ascii_case("websocket"))
}

/// `GET` with `Upgrade: websocket`: opens a connection.
async fn connect(
    request: HttpRequest,
    payload: Payload,
    door: Data<Door>,
    uploads: Data<Uploads>,
    identity: Data<Identity>,
) -> HttpResponse {
    let settings = &door.settings;
    let admitted = match Admitted::judge(&request, settings.strangers_per_address).await {
        Ok(admitted) => admitted,
        Err(refused) => return refusal(refused),
    };
    let ping_every = Duration::from_secs(settings.ping_s);
    let (line, frames) = Line::new(payload, settings.chunk_size, ping_every, uploads.stopping());
    let mut answer = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    answer
        .upgrade("websocket")
        .insert_header((SEC_WEBSOCKET_ACCEPT, admitted.accept.as_str()));
    if admitted.has_subprotocol {
        answer.insert_header((SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL));
    }
    let conversation = Conversation {
        door: door.as_ref().clone(),
        uploads: uploads.as_ref().clone(),
        identity,
        tally: Tally::of(&request),
    };
    // A task of its own: it has to tidy up after a client that resets the connection.
    actix_web::rt::spawn(conversation.hold(line, admitted));
    answer.streaming(stream::unfold(frames, async |mut frames| {
        let frame = frames.recv().await?;
        Some((Ok::<_, Infallible>(frame), frames))
    }))
}

/// The answer to a handshake that is refused.
fn refusal(refused: Refused) -> HttpResponse {
    match refused {
        Refused::Error(error) => Failure::<ProblemDocument>::from(error).error_response(),
        Refused::NoHandshake(status, text) => {
            let mut answer = HttpResponse::build(status);
            if status == StatusCode::UPGRADE_REQUIRED {
                Kind::named("unsupported-version").note();
                // <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2>
                answer
                    .insert_header((SEC_WEBSOCKET_VERSION, "13"))
                    .upgrade("websocket");
            } else {
                Kind::named("invalid-request").note();
            }
            answer
                .content_type("text/plain; charset=utf-8")
                .body(format!("{text}\n"))
        }
    }
}
