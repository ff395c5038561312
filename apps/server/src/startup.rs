//! The composition root: the parts, in the order in which they are built.
//!
//! Everything is built once per process here, never inside the closure that
//! actix runs per worker; a hub or limiter built there would exist once per
//! worker. Each part gets the narrowest handle that does its work.

use crate::{
    connections::{Connection, Connections},
    lifecycle::{Ending, Lifecycle},
    openapi, operations,
    pipeline::{self, Quotas},
    readiness::Readiness,
    routing::Router,
    services::{OpenApi, Services},
    settings::Settings,
    telemetry::Metrics,
};
use actix_cors::Cors;
use actix_web::{
    App, HttpRequest, HttpServer,
    dev::ServerHandle,
    middleware::Condition,
    web::{self, Data},
};
use bytes::Bytes;
use mainstay_identity::{KeyRotation, KeySet, Revocations, TokenConfig, TokenVerifier};
use mainstay_resilience::SharedClock;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why the server did not start. Each is one sentence with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A part refused its settings, although their own rules let them pass.
    #[error("{part} cannot be set up: {reason}")]
    Part {
        /// The part.
        part: &'static str,
        /// What it says.
        reason: String,
    },
}

fn part(name: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StartError {
    move |reason| StartError::Part {
        part: name,
        reason: reason.to_string(),
    }
}

/// A server.
#[derive(Debug)]
pub struct Server;

/// A server at work.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    lifecycle: Lifecycle,
    handle: ServerHandle,
    connections: Connections,
    readiness: Arc<Readiness>,
    drain: Duration,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Builds every part, listens, and begins to answer. It answers `/health`
    /// at once and everything else as soon as its parts are ready.
    ///
    /// Call it on the multi-thread runtime that tasks shall run on.
    ///
    /// # Errors
    /// [`StartError`] when the address is taken or a part cannot be set up.
    pub async fn start(
        settings: Settings,
        lifecycle: Lifecycle,
        clock: SharedClock,
    ) -> Result<Running, StartError> {
        let settings = Arc::new(settings);
        let listener = listen(SocketAddr::new(settings.server.host, settings.server.port))?;
        let address = listener
            .local_addr()
            .map_err(|error| part("listener")(&error))?;

        let metrics = Arc::new(Metrics::new().map_err(|error| part("metrics")(&error))?);
        let readiness = Arc::new(Readiness::default());
        let connections = Connections::new(clock.clone());
        let quotas =
            Quotas::new(&settings.limits, &clock).map_err(|error| part("limits")(&error))?;

        let keys = Arc::new(KeySet::new(KeyRotation::default(), Vec::new()));
        let tokens = TokenConfig {
            issuer: settings.auth.issuer.clone(),
            audience: settings.auth.audience.clone(),
            access_token_seconds: settings.auth.access_token_seconds,
        };
        let verifier =
            TokenVerifier::new(tokens, Arc::clone(&keys), TokenVerifier::DEFAULT_REMEMBERED);
        let revocations = Arc::new(Revocations::new(
            Duration::from_secs(settings.auth.access_token_seconds + 60),
            100_000,
        ));

        let router = Router::new(operations::table());
        let openapi = OpenApi(Bytes::from(
            openapi::document(router.operations()).to_string(),
        ));
        let services = Arc::new(Services {
            settings: Arc::clone(&settings),
            clock,
            spawner: lifecycle.spawner(),
            metrics,
            readiness: Arc::clone(&readiness),
            router,
            quotas,
            in_flight: AtomicUsize::new(0),
            verifier,
            keys,
            revocations,
            openapi,
        });
        let (handle, served) = serve(listener, &settings, services, &connections)?;
        Ok(Running {
            address,
            lifecycle,
            handle,
            connections,
            readiness,
            drain: settings.server.drain(),
            served,
        })
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its lifecycle.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Answers until the lifecycle begins to drain, then stops within the
    /// drain's time: readiness turns to 503, nothing new is accepted, what is
    /// under way finishes, and what does not is cut.
    pub async fn until_stopped(self) -> Ending {
        self.lifecycle.soft().cancelled().await;
        self.readiness.begin_stop();
        let patience = self.drain;
        let stopping = async {
            let closing = self.connections.close_idle();
            let (ending, ()) = tokio::join!(self.lifecycle.finish(patience), async {
                // Stop accepting, let requests finish, close what idles.
                let graceful = self.handle.stop(true);
                let hard = self.lifecycle.hard().cancelled();
                tokio::select! {
                    () = async { tokio::join!(graceful, closing); } => {}
                    () = hard => {}
                    () = tokio::time::sleep(patience) => {}
                }
            });
            ending
        };
        let ending = stopping.await;
        let open = self.connections.count();
        self.handle.stop(false).await;
        let _ = self.served.await;
        match ending {
            Ending::Drained if open > 0 => Ending::Cut { unfinished: open },
            other => other,
        }
    }

    /// Begins to drain and waits for the end.
    pub async fn stop(self) -> Ending {
        self.lifecycle.begin_drain();
        self.until_stopped().await
    }
}

/// Listens on `address`, or says in one sentence why not.
fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
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

type Served = (ServerHandle, tokio::task::JoinHandle<std::io::Result<()>>);

fn serve(
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
            .app_data(Data::from(Arc::clone(&services)))
            .wrap(Condition::new(has_cors, cors(&origins)))
            .default_service(web::to(move |http: HttpRequest, payload: web::Payload| {
                let services = Arc::clone(&services);
                async move {
                    let _busy = Connection::of(&http).map(|connection| connection.busy());
                    let response = pipeline::serve(services, http, payload.into_inner()).await;
                    response
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
