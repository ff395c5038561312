//! The composition root: the parts, in the order in which they are built.
//!
//! Everything is built once per process here, never inside the closure that
//! actix runs per worker; a hub or limiter built there would exist once per
//! worker. Each part gets the narrowest handle that does its work.

mod answers;
mod listener;
mod seed;
mod store;

pub use seed::{Seeded, migrate, migration_plan, seed};

use crate::{
    connections::Connections,
    jobs,
    lifecycle::{Ending, Lifecycle},
    openapi, operations,
    pipeline::Quotas,
    readiness::Readiness,
    routing::Router,
    services::{OpenApi, Services},
    settings::Settings,
    telemetry::Metrics,
};
use actix_web::dev::ServerHandle;
use bytes::Bytes;
use mainstay_cache::Cache;
use mainstay_identity::{
    KeyRotation, KeySet, Revocations, TokenConfig, TokenIssuer, TokenVerifier,
};
use mainstay_orchestrator::{Handles, Orchestrator};
use mainstay_persistence::Database;
use mainstay_realtime::{Admission, AdmissionConfig, Hub, HubConfig, Runs, RunsConfig};
use mainstay_resilience::SharedClock;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long the disk tier may take to write what it still holds.
const FLUSH: Duration = Duration::from_secs(5);

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
    database: Database,
    cache: Cache,
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
        let instance = mainstay_domain::RunId::at(jobs::now(&*clock)).uuid();
        let listener =
            listener::listen(SocketAddr::new(settings.server.host, settings.server.port))?;
        let address = listener
            .local_addr()
            .map_err(|error| part("listener")(&error))?;

        let metrics = Arc::new(Metrics::new().map_err(|error| part("metrics")(&error))?);
        let readiness = Arc::new(Readiness::default());
        let connections = Connections::new(clock.clone());
        let spawner = lifecycle.spawner();

        let vault = store::vault(&settings)?;
        let database = store::database(&settings, &clock, &vault)?;
        store::watch(&database, &readiness, &metrics);
        let hub = Hub::new(HubConfig::default(), clock.clone());
        let admission = Admission::new(
            AdmissionConfig {
                max_connections: settings.realtime.max_connections,
                per_principal: settings.realtime.per_principal,
                ..AdmissionConfig::default()
            },
            clock.clone(),
        );
        let quotas =
            Quotas::new(&settings.limits, &clock).map_err(|error| part("limits")(&error))?;

        let keys = Arc::new(KeySet::new(KeyRotation::default(), Vec::new()));
        let tokens = TokenConfig {
            issuer: settings.auth.issuer.clone(),
            audience: settings.auth.audience.clone(),
            access_token_seconds: settings.auth.access_token_seconds,
        };
        let verifier = TokenVerifier::new(
            tokens.clone(),
            Arc::clone(&keys),
            TokenVerifier::DEFAULT_REMEMBERED,
        );
        let token_life = Duration::from_secs(settings.auth.access_token_seconds + 60);
        let revocations = Arc::new(Revocations::new(token_life, 100_000));

        let redis = answers::redis(&settings, &clock, &readiness)?;
        let cache = answers::cache(&settings, &clock, &vault, redis, &readiness, &metrics).await?;
        let models = answers::models(&settings, &clock, &readiness)?;
        let orchestrator = Orchestrator::new(
            answers::config(&settings),
            Handles {
                clock: clock.clone(),
                accounts: database.accounts(),
                sessions: database.sessions(),
                workspaces: database.workspaces(),
                personas: database.personas(),
                conversations: database.conversations(),
                messages: database.messages(),
                executions: database.executions(),
                knowledge: database.knowledge(),
                agents: database.agents(),
                usage: database.usage(),
                decisions: database.decisions(),
                cache_log: database.cache_log(),
                erasure: database.erasure(),
                cache: cache.clone(),
                models,
                used: answers::token_counter(&metrics),
                runs: Runs::new(RunsConfig::default(), clock.clone()),
                hasher: answers::hasher(&settings, &vault)?,
                issuer: TokenIssuer::new(tokens, Arc::clone(&keys)),
                instance_id: instance,
                runtime: lifecycle.runtime().clone(),
                tasks: lifecycle.tasks().clone(),
                shutdown: lifecycle.late().clone(),
            },
        )
        .map_err(|error| part("answers")(&error))?;

        let started = jobs::Started::new(&database, &spawner, &readiness);
        jobs::signing::spawn(&spawner, &started, database.signing_keys(), &keys, &clock);
        jobs::revocations::spawn(
            &spawner,
            &started,
            database.sessions(),
            &revocations,
            &clock,
            token_life,
        );
        jobs::hits::spawn(&spawner, &orchestrator);
        let maintained = cache.clone();
        spawner.spawn_until_drain(async move { maintained.maintain().await });
        jobs::events::spawn(&spawner, &started, database.outbox(), &hub);
        jobs::instance::spawn(&spawner, &started, database.instances(), instance, &clock);

        let router = Router::new(operations::table());
        let openapi = OpenApi(Bytes::from(
            openapi::document(router.operations()).to_string(),
        ));
        let services = Arc::new(Services {
            settings: Arc::clone(&settings),
            clock,
            spawner,
            metrics,
            readiness: Arc::clone(&readiness),
            router,
            quotas: Arc::new(quotas),
            in_flight: AtomicUsize::new(0),
            verifier,
            keys,
            revocations,
            openapi,
            idempotency: database.idempotency(),
            accounts: database.accounts(),
            sessions: database.sessions(),
            personas: database.personas(),
            conversations: database.conversations(),
            messages: database.messages(),
            knowledge: database.knowledge(),
            agents: database.agents(),
            decisions: database.decisions(),
            audit: database.audit(),
            usage: database.usage(),
            cache: cache.clone(),
            orchestrator,
            hub,
            polls: Semaphore::new((settings.limits.max_in_flight / 4).max(1)),
            admission,
        });
        let (handle, served) = listener::serve(listener, &settings, services, &connections)?;
        Ok(Running {
            address,
            lifecycle,
            handle,
            connections,
            readiness,
            database,
            cache,
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
        self.cache.shutdown(FLUSH).await;
        self.database.close();
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
