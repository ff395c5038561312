//! What endpoints may use, built once per process by `startup`.
//!
//! An endpoint does not see this whole struct: it asks for the handle that it
//! needs as an argument, and gets nothing else.

use crate::{
    exchange::{Exchange, Extract},
    lifecycle::Spawner,
    pipeline::Quotas,
    problem::Problem,
    readiness::Readiness,
    routing::Router,
    settings::Settings,
    telemetry::Metrics,
};
use actix_web::dev::Payload;
use bytes::Bytes;
use jiff::Timestamp;
use mainstay_cache::{Cache, ReadOnlyCache};
use mainstay_domain::UserId;
use mainstay_identity::{KeySet, Revocations, TokenVerifier};
use mainstay_orchestrator::Orchestrator;
use mainstay_persistence::{
    Accounts, Agents, Audit, Conversations, Decisions, Idempotency, Knowledge, Messages, Personas,
    Sessions, Usage,
};
use mainstay_realtime::{Admission, Hub};
use mainstay_resilience::SharedClock;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicUsize},
};
use tokio::sync::Semaphore;

/// Everything that requests are answered with.
pub(crate) struct Services {
    pub settings: Arc<Settings>,
    pub clock: SharedClock,
    pub spawner: Spawner,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub router: Router,
    pub quotas: Arc<Quotas>,
    pub in_flight: AtomicUsize,
    pub verifier: TokenVerifier,
    pub keys: Arc<KeySet>,
    pub revocations: Arc<Revocations>,
    /// The OpenAPI document as it is sent.
    pub openapi: OpenApi,
    pub idempotency: Idempotency,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub personas: Personas,
    pub conversations: Conversations,
    pub messages: Messages,
    pub knowledge: Knowledge,
    pub agents: Agents,
    pub decisions: Decisions,
    pub audit: Audit,
    pub usage: Usage,
    pub cache: Cache,
    pub orchestrator: Orchestrator,
    pub hub: Hub,
    /// Places for requests that wait for events. There are fewer than for
    /// requests as such, so that waiting never takes the place of work.
    pub polls: Semaphore,
    pub admission: Admission<IpAddr, UserId>,
}

/// The OpenAPI document, as bytes that are shared and not copied.
#[derive(Debug, Clone)]
pub(crate) struct OpenApi(pub Bytes);

/// The wall clock, for endpoints that stamp what they make.
#[derive(Debug, Clone)]
pub(crate) struct Now(pub Timestamp);

impl Services {
    /// The wall time.
    pub(crate) fn now(&self) -> Timestamp {
        let since = self.clock.unix_time();
        i128::try_from(since.as_nanos())
            .ok()
            .and_then(|nanos| Timestamp::from_nanosecond(nanos).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Extract for Now {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        Ok(Self(exchange.services.now()))
    }
}

macro_rules! handles {
    ($($handle:ty = $field:ident;)+) => {$(
        impl Extract for $handle {
            async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
                Ok(exchange.services.$field.clone())
            }
        }
    )+};
}

handles! {
    Arc<Settings> = settings;
    Arc<Metrics> = metrics;
    Arc<Readiness> = readiness;
    Arc<KeySet> = keys;
    OpenApi = openapi;
    Orchestrator = orchestrator;
    Arc<Quotas> = quotas;
    Accounts = accounts;
    Sessions = sessions;
    Personas = personas;
    Conversations = conversations;
    Messages = messages;
    Knowledge = knowledge;
    Agents = agents;
    Decisions = decisions;
    Audit = audit;
    Usage = usage;
    Cache = cache;
    Spawner = spawner;
}

/// Whoever only looks at the cache cannot change it.
impl Extract for ReadOnlyCache {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        Ok(exchange.services.cache.read_only())
    }
}
