//! The server below the routes: connections, and what becomes of a request before and after the application has it.
//!
//! What `actix_web::HttpServer` does, put together from the same pieces, because two things cannot be had from it: answers
//! before the final one ([`Interim`](crate::web::interim::Interim)), and a `100 Continue` that is sent when a body is
//! wanted and not before. `docs/decisions/0009-interim-answers.md` says why it is done so.

mod crowd;
mod ends;
mod expect;
mod heads;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpMessage as _, HttpService, Request};
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{
    AppConfig, Response, Server, Service, ServiceFactory, ServiceResponse, fn_factory, fn_service,
};
use actix_web::http::Version;
use actix_web::rt::net::TcpStream;

use self::crowd::{Crowd, Full};
use self::ends::{Answer, Ends};
use self::expect::Expected;
use self::heads::HeadLimits;
use self::socket::Socket;
pub(super) use self::socket::Tls;
use self::wire::Wire;
use crate::config::ServerConfig;
use crate::metrics::Metrics;
use crate::web::interim::{Outgoing, Turn};

/// How long a connection that we end is read on, so that a client that is still sending finds the answer and no reset.
const LINGER: Duration = Duration::from_secs(1);

/// Starts workers on `listener`; each has its own application, built by `app`. Who is turned away before the application has
/// a request is counted in `metrics`.
///
/// # Errors
/// What the listener says.
pub(super) fn start<F, I, S, B>(
    listener: TcpListener,
    settings: &ServerConfig,
    tls: Option<Tls>,
    metrics: Metrics,
    app: F,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError: Debug,
        > + 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    let mut server = Server::build()
        .shutdown_timeout(settings.shutdown_timeout_s)
        // actix would cut running requests short on SIGINT.
        .disable_signals();
    if settings.workers > 0 {
        server = server.workers(settings.workers.into());
    }
    let stop = server.graceful_shutdown_signal();
    let rules = Rules {
        tls,
        metrics,
        crowd: Crowd::new(settings),
        heads: HeadLimits::new(&settings.connections),
        keep_alive: Duration::from_secs(settings.connections.keep_alive_s),
    };
    let worker = move || {
        let (app, stop, rules) = (app.clone(), stop.clone(), rules.clone());
        fn_factory(move || {
            // The only way to tell an application where it is; actix's own servers for tests use it as well.
            let place = AppConfig::__priv_test_new(rules.tls.is_some(), address.to_string(), address);
            let app = app().into_factory().new_service(place);
            let (stop, rules) = (stop.clone(), rules.clone());
            async move {
                let app = app.await.map_err(|error| {
                    tracing::error!(?error, "the application cannot be built");
                })?;
                connections(Rc::new(app), address, stop, rules)
                    .new_service(())
                    .await
            }
        })
    };
    Ok(server.listen("http", listener, worker)?.run())
}

/// What holds for every connection.
#[derive(Clone)]
struct Rules {
    tls: Option<Tls>,
    metrics: Metrics,
    crowd: Arc<Crowd>,
    heads: HeadLimits,
    keep_alive: Duration,
}

/// Serves whole connections, HTTP/1 alone, with one application.
fn connections<A, B>(
    app: Rc<A>,
    address: SocketAddr,
    stop: GracefulShutdownSignal,
    rules: Rules,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
    Service: Service<TcpStream, Response = (), Error = DispatchError>,
>
where
    A: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    let expecting = Rc::clone(&app);
    let stopping = stop.clone();
    let http = HttpService::build()
        .keep_alive(rules.keep_alive)
        // Time for a head is kept below, for every request and not for the first alone.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER)
        .local_addr(address)
        .graceful_shutdown_signal(move || {
            let stop = stop.clone();
            async move { stop.notified().await }
        })
        .on_connect_ext(|wire: &Wire, connection| {
            connection.insert(wire.outgoing());
            connection.insert(wire.ends());
        })
        // actix asks this service first about a request that expects a 100, and sends one as soon as it agrees. So it
        // never does: it has the application answer the request, and what actix takes for a refusal is the answer.
        .expect(fn_service(move |request| {
            let app = Rc::clone(&expecting);
            async move { Err::<Request, _>(answer_expecting(&*app, request).await) }
        }))
        .h1(fn_service(move |request| {
            let app = Rc::clone(&app);
            async move { answer(&*app, request).await }
        }));
    fn_service(move |socket: TcpStream| {
        let (rules, stopping) = (rules.clone(), stopping.clone());
        async move {
            let peer = socket.peer_addr().ok();
            let seat = match rules.crowd.admit(peer) {
                Ok(seat) => seat,
                Err(full) => {
                    rules.metrics.error(Full::KIND);
                    full.tell(&socket, rules.tls.is_some()).await;
                    return Err(DispatchError::DisconnectTimeout);
                }
            };
            // Answers are written as a whole, and a small one must not wait until an interim one before it is acknowledged.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "answers may be late");
            }
            let socket = match rules.tls {
                None => Socket::Plain(socket),
                // Nobody who is still shaking hands keeps us from stopping.
                Some(tls) => tokio::select! {
                    greeted = tls.greet(socket) => greeted?,
                    () = stopping.notified() => return Err(DispatchError::DisconnectTimeout),
                },
            };
            Ok((Wire::new(socket, rules.heads, seat, rules.metrics), peer))
        }
    })
    .and_then(http)
}

/// Answers one request.
async fn answer<B: MessageBody + 'static>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    mut request: Request,
) -> Result<Response<Answer>, actix_web::Error> {
    let answering = request.conn_data::<Rc<Ends>>().map(Ends::begin_answer);
    let turn = begin_turn(&request);
    watch_body(&mut request);
    let outcome = app.call(request).await;
    // From here on it would land in the answer.
    drop(turn);
    let answer: Response<B> = outcome?.into();
    Ok(answer.map_body(|_, body| Answer::new(body, answering)))
}

/// Answers one request whose client waits for a 100 before it sends the body.
async fn answer_expecting<B: MessageBody + 'static>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    mut request: Request,
) -> Response<BoxBody> {
    let answering = request.conn_data::<Rc<Ends>>().map(Ends::begin_answer);
    let turn = begin_turn(&request);
    watch_body(&mut request);
    let interim = turn.as_ref().map(Turn::interim);
    let body = Expected::within(&mut request, interim);
    let outcome = app.call(request).await;
    drop(turn);
    let answer = match outcome {
        Ok(answer) => Response::from(answer).map_into_boxed_body(),
        Err(error) => error.into(),
    };
    body.hold_unread(answer)
        .map_body(|_, body| BoxBody::new(Answer::new(body, answering)))
}

/// Lets the request's handler send interim answers, where its client knows them.
fn begin_turn(request: &Request) -> Option<Turn> {
    let turn = request.conn_data::<Arc<Outgoing>>()?.begin_turn();
    if request.version() == Version::HTTP_11 {
        request.extensions_mut().insert(turn.interim());
    }
    Some(turn)
}

/// Lets the connection's end wait until the request's body has been read up to it.
fn watch_body(request: &mut Request) {
    if let Some(ends) = request.conn_data::<Rc<Ends>>().cloned() {
        ends.watch(request);
    }
}
