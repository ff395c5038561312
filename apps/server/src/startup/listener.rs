//! The listening socket and the HTTP server on it.

use super::{StartError, part};
use crate::{
    connections::{Connection, Connections},
    pipeline,
    services::Services,
    settings::Settings,
};
use actix_cors::Cors;
use actix_web::{App, HttpRequest, HttpServer, dev::ServerHandle, middleware::Condition, web};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Listens on `address`, or says in one sentence why not.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the kernel to forget old connections.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error| StartError::Bind {
        address,
        reason: match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {} is taken; stop the other process or set server.port",
                address.port()
            ),
            std::io::ErrorKind::PermissionDenied => {
                "this port needs privileges; choose one above 1023".to_owned()
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; set server.host".to_owned()
            }
            _ => error.to_string(),
        },
    })
}

/// The server's handle and its end.
pub(super) type Served = (ServerHandle, tokio::task::JoinHandle<std::io::Result<()>>);

pub(super) fn serve(
    listener: TcpListener,
    settings: &Settings,
    services: Arc<Services>,
    connections: &Connections,
) -> Result<Served, StartError> {
    let origins = settings.server.cors_origins.clone();
    let has_cors = !origins.is_empty();
    let remembered = connections.clone();
    let spawner = services.spawner.clone();
    let mut server = HttpServer::new(move || {
        let services = Arc::clone(&services);
        App::new()
            .wrap(Condition::new(has_cors, cors(&origins)))
            .default_service(web::to(move |http: HttpRequest, payload: web::Payload| {
                let services = Arc::clone(&services);
                async move {
                    let _busy = Connection::of(&http).map(|connection| connection.busy());
                    pipeline::serve(services, http, payload.into_inner()).await
                }
            }))
    })
    .disable_signals()
    .tcp_nodelay(true)
    // A client that leaves is seen at once, and its work is dropped.
    .h1_allow_half_closed(false)
    // Values below half a second leave sockets open.
    .client_disconnect_timeout(Duration::from_secs(1))
    .client_request_timeout(Duration::from_secs(settings.server.client_request_seconds))
    .keep_alive(Duration::from_secs(settings.server.keep_alive_seconds))
    .shutdown_timeout(settings.server.drain_seconds)
    .on_connect(move |io, extensions| remembered.on_connect(io, extensions));
    if let Some(workers) = settings.server.workers {
        server = server.workers(workers);
    }
    let server = server
        .listen(listener)
        .map_err(|error| part("HTTP server")(&error))?
        .run();
    let handle = server.handle();
    Ok((handle, spawner.run_apart(server)))
}

/// Which pages may call the API.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "accept",
            "if-match",
            "idempotency-key",
            "last-event-id",
            "x-correlation-id",
            "traceparent",
            "tracestate",
        ])
        .expose_headers([
            "etag",
            "retry-after",
            "location",
            "x-correlation-id",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ])
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
