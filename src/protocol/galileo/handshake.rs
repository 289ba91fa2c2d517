//! The handshake: <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>, and who may open a connection at all.
//!
//! Separate, because everything that can be refused is refused here, with a status, before there is a connection: a
//! browser's page learns nothing of the reason either way, but nothing is held open for a stranger.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::domain::{Principal, network};
use crate::error::Error;
use crate::identity::{Identity, TicketBounds};
use crate::web::auth::{self, Page};
use crate::web::failures::{Suspect, counted};
use crate::web::peer::{client_address, client_ip};

/// The subprotocol of clients that know of protocol 2.
pub const SUBPROTOCOL: &str = "galileo.v2";

/// What is appended to a key: <https://www.rfc-editor.org/rfc/rfc6455#section-1.3>.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why there will be no connection.
pub enum Refused {
    /// The request is no handshake of the one version that there is.
    NoHandshake(StatusCode, &'static str),
    /// Whoever asks may not.
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A connection that may be opened.
pub struct Admitted {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// Whether [`SUBPROTOCOL`] is agreed on.
    pub has_subprotocol: bool,
    /// Who it is; `None` for a client that will say so with its first message.
    pub caller: Option<Principal>,
    /// What a ticket allows, where it came with one.
    pub bounds: TicketBounds,
    /// The page that opened it, where one did.
    pub origin: Option<String>,
    /// The place of one who has not said who they are.
    pub stranger: Option<Stranger>,
    /// Where it comes from, where that is known.
    address: Option<IpAddr>,
    /// Counts what is wrong of the credentials that come later; `None` where nothing is counted.
    suspect: Option<Suspect>,
}

impl Admitted {
    /// Judges a request.
    ///
    /// # Errors
    /// [`Refused`]: 426 and 400 for what is no handshake, 403 for a page of a foreign site, 401 for a wrong credential or
    /// none, 503 for too many strangers.
    pub async fn judge(request: &HttpRequest, strangers_per_address: u32) -> Result<Self, Refused> {
        let accept = accept(request)?;
        let page = Page::of(request, FOREIGN)?;
        let offered = Offered::of(request.headers());
        let (caller, bounds) = known(request, &page, offered.token.as_deref()).await?;
        let mut admitted = Self {
            accept,
            has_subprotocol: offered.has_subprotocol,
            caller,
            bounds,
            origin: page.origin,
            stranger: None,
            address: client_ip(request),
            suspect: Suspect::of(request),
        };
        admitted.check_site(&admitted.bounds)?;
        if admitted.caller.is_none() {
            admitted.caller = identity(request)?.anybody();
        }
        if admitted.caller.is_none() {
            if !admitted.has_subprotocol {
                return Err(NOBODY.into());
            }
            let address = client_address(request).unwrap_or_default();
            let stranger = Stranger::admit(address, strangers_per_address);
            admitted.stranger = Some(stranger.ok_or(Error::Busy("too many connections of strangers"))?);
        }
        let address = admitted.address;
        admitted.caller = admitted.caller.map(|caller| caller.at(address));
        Ok(admitted)
    }

    /// Who is known by a credential that comes with a message: it is looked at as one in the handshake is.
    ///
    /// # Errors
    /// [`Error::TooFast`] after too many wrong ones; as [`by_any_token`].
    pub async fn by_token(
        &self,
        identity: &Identity,
        token: &str,
    ) -> Result<(Principal, TicketBounds), Error> {
        let look = by_any_token(identity, token);
        let (caller, bounds) = match &self.suspect {
            Some(suspect) => suspect.counted(look).await?,
            None => look.await?,
        };
        Ok((caller.at(self.address), bounds))
    }

    /// Holds the page that opened the connection against a ticket.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a ticket that is for pages of another site.
    pub fn check_site(&self, bounds: &TicketBounds) -> Result<(), Error> {
        if bounds.origin.is_some() && bounds.origin != self.origin {
            return Err(Error::Forbidden("this ticket is for pages of another site"));
        }
        Ok(())
    }
}

const NOBODY: Error = Error::Unauthenticated(
    "say who you are: a ticket in the address, an API key in X-API-Key, or a token as a subprotocol",
);

/// A credential of a client that cannot set headers: a ticket, an upload's token, a token of the application's, or an API
/// key.
///
/// # Errors
/// [`Error::Unauthenticated`] for one that is none of them.
async fn by_any_token(identity: &Identity, token: &str) -> Result<(Principal, TicketBounds), Error> {
    match identity.use_ticket(token).await {
        Err(Error::Unauthenticated(_)) => {}
        outcome => return outcome,
    }
    Ok((identity.by_bearer(token).await?, TicketBounds::default()))
}

async fn known(
    request: &HttpRequest,
    page: &Page,
    token: Option<&str>,
) -> Result<(Option<Principal>, TicketBounds), Error> {
    let identity = identity(request)?;
    if let Some(ticket) = ticket(request) {
        let (principal, bounds) = counted(request, identity.use_ticket(&ticket)).await?;
        return Ok((Some(principal), bounds));
    }
    if let Some(token) = token {
        let (principal, bounds) = counted(request, by_any_token(identity, token)).await?;
        return Ok((Some(principal), bounds));
    }
    let caller = auth::caller_at_handshake(request, page.is_own).await?;
    Ok((caller, TicketBounds::default()))
}

fn identity(request: &HttpRequest) -> Result<&Data<Identity>, Error> {
    let identity = request.app_data::<Data<Identity>>();
    identity.ok_or_else(|| Error::internal("no identity in this app"))
}

/// The ticket in the query.
fn ticket(request: &HttpRequest) -> Option<String> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "ticket")
        .map(|(_, ticket)| ticket.into_owned())
}

/// What `Sec-WebSocket-Accept` must be.
fn accept(request: &HttpRequest) -> Result<String, Refused> {
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let names = |name: &str, word: &str| {
        header(name).is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    };
    if !names("upgrade", "websocket") || !names("connection", "upgrade") {
        let text = "this address is for WebSockets";
        return Err(Refused::NoHandshake(StatusCode::UPGRADE_REQUIRED, text));
    }
    if header("sec-websocket-version").map(str::trim) != Some("13") {
        let text = "the version of WebSocket that is spoken here is 13";
        return Err(Refused::NoHandshake(StatusCode::UPGRADE_REQUIRED, text));
    }
    let key = header("sec-websocket-key").map(str::trim);
    let is_key = |key: &&str| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    let key = key.filter(is_key).ok_or(Refused::NoHandshake(
        StatusCode::BAD_REQUEST,
        "Sec-WebSocket-Key must be the base64 of 16 bytes",
    ))?;
    Ok(STANDARD.encode(Sha1::digest(format!("{key}{MAGIC}"))))
}

/// What a client offers to speak, and the token that it hides there.
#[derive(Default)]
struct Offered {
    has_subprotocol: bool,
    token: Option<String>,
}

impl Offered {
    fn of(headers: &HeaderMap) -> Self {
        let mut offered = Self::default();
        let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        for word in lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
        {
            let word = word.trim();
            if word == SUBPROTOCOL {
                offered.has_subprotocol = true;
            } else if let Some(token) = word.strip_prefix("auth.") {
                offered.token = Some(token.to_owned());
            }
        }
        offered
    }
}

/// For a page of a site that is not listed. WebSockets are not subject to CORS: any page can open one, with its visitor's
/// cookies, so the server has to look (<https://www.rfc-editor.org/rfc/rfc6455#section-10.2>).
const FOREIGN: &str = "pages of this site may not send files here; cors.allowed_origins lists those that may";

/// Connections of strangers by address, in this process.
static STRANGERS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

/// One connection whose client has not said who it is; its place is free again once this is dropped.
pub struct Stranger(String);

impl Stranger {
    fn admit(address: String, most: u32) -> Option<Self> {
        // Who has one address of version 6 has a network of them to choose from.
        let address = address
            .parse::<std::net::IpAddr>()
            .map_or(address, |address| network(address).to_string());
        let mut strangers = STRANGERS.lock().unwrap_or_else(PoisonError::into_inner);
        let strangers = strangers.get_or_insert_default();
        if strangers.get(&address).copied().unwrap_or(0) >= most {
            return None;
        }
        *strangers.entry(address.clone()).or_insert(0) += 1;
        Some(Self(address))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = STRANGERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(strangers) = strangers.as_mut()
            && let Some(count) = strangers.get_mut(&self.0)
        {
            *count -= 1;
            if *count == 0 {
                strangers.remove(&self.0);
            }
        }
    }
}
