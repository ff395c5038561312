//! What the use cases work with, handed in by the composition root.

use crate::{config::Config, directory::Directory, event::AnswerEvent, recorder::Recorder};
use jiff::Timestamp;
use mainstay_ai::Client;
use mainstay_cache::Cache;
use mainstay_domain::{RunId, Tokens, UserId};
use mainstay_identity::{PasswordHasher, TokenIssuer};
use mainstay_persistence::{
    Accounts, Agents, CacheLog, Conversations, Decisions, Erasure, Executions, Knowledge, Messages,
    Personas, Sessions, Usage, Workspaces,
};
use mainstay_realtime::Runs;
use mainstay_resilience::{Backoff, Deadline, SharedClock};
use std::{fmt, sync::Arc, time::Duration};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// What a failing model must leave of a request's time for the non-AI chain.
const PLAN_B: Duration = Duration::from_secs(3);

/// A run is found by its owner and its id, so that nobody watches another's.
pub type RunKey = (UserId, RunId);

type Hear = dyn Fn(&str, Tokens) + Send + Sync;

/// Hears of every use of a model: the model's own name, and the tokens that its
/// provider counted, or that were counted here when the provider did not say.
/// It is called on the way of an answer, so it must not wait.
#[derive(Clone)]
pub struct TokenObserver(Arc<Hear>);

impl TokenObserver {
    /// An observer that calls `hear`.
    pub fn new(hear: impl Fn(&str, Tokens) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(crate) fn hear(&self, model: &str, tokens: Tokens) {
        (self.0)(model, tokens);
    }
}

impl fmt::Debug for TokenObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenObserver")
    }
}

/// The narrowed handles that the use cases may use, and nothing wider: none of
/// them can write an audit row by itself, run SQL or reach another workspace.
#[expect(
    missing_debug_implementations,
    reason = "holds keys and handles; printing them helps nobody"
)]
pub struct Handles {
    /// Time.
    pub clock: SharedClock,
    /// People.
    pub accounts: Accounts,
    /// Logins.
    pub sessions: Sessions,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// Personas.
    pub personas: Personas,
    /// Conversations.
    pub conversations: Conversations,
    /// Messages.
    pub messages: Messages,
    /// One-shot questions.
    pub executions: Executions,
    /// The knowledge base.
    pub knowledge: Knowledge,
    /// Agents.
    pub agents: Agents,
    /// Erasure of people.
    pub erasure: Erasure,
    /// The decision log.
    pub decisions: Decisions,
    /// What answers cost.
    pub usage: Usage,
    /// Answers, and the rows that every question depends on.
    pub cache: Cache,
    /// What operators did to the cache.
    pub cache_log: CacheLog,
    /// The models.
    pub models: Client,
    /// Hears what models used, by failed and cancelled attempts too.
    pub used: TokenObserver,
    /// Answers that are being written.
    pub runs: Runs<RunKey, AnswerEvent>,
    /// Password hashing.
    pub hasher: PasswordHasher,
    /// Access tokens.
    pub issuer: TokenIssuer,
    /// This process, as rows that it works on name it.
    pub instance_id: Uuid,
    /// Where runs are spawned: the main runtime.
    pub runtime: Handle,
    /// Waits for runs at shutdown.
    pub tasks: TaskTracker,
    /// Cancelled when unfinished runs have to end.
    pub shutdown: CancellationToken,
}

pub(crate) struct Services {
    pub(crate) handles: Handles,
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    pub(crate) recorder: Recorder,
    /// How long to wait between tries to write down an end.
    pub(crate) backoff: Backoff,
}

impl std::ops::Deref for Services {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.handles
    }
}

impl Services {
    /// The wall time.
    pub(crate) fn now(&self) -> Timestamp {
        wall_time(&self.clock)
    }

    /// By when a model must have answered, so that plan B still has time.
    pub(crate) fn model_deadline(&self, deadline: Deadline) -> Deadline {
        if deadline.is_never() {
            return deadline;
        }
        let remaining = deadline.remaining(&*self.clock);
        let plan_b = PLAN_B.min(remaining / 4);
        Deadline::after(&*self.clock, remaining.saturating_sub(plan_b))
    }

    /// Milliseconds since `started` on the monotonic clock.
    pub(crate) fn elapsed_ms(&self, started: Duration) -> u64 {
        let elapsed = self.clock.now().saturating_sub(started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock's wall time, in the microseconds that Postgres keeps.
pub(crate) fn wall_time(clock: &SharedClock) -> Timestamp {
    let micros = i64::try_from(clock.unix_time().as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
