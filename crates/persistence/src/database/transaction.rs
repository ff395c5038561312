//! The two ways to the database: one statement, or one transaction.

use super::{Inner, lease::Conn};
use crate::{
    call::Scope,
    error::{DbError, Failure},
};
use deadpool_postgres::{PoolError, TimeoutType, Timeouts};
use mainstay_resilience::{Attempt, Deadline, RetryDecision};
use std::{future::Future, sync::atomic::Ordering, time::Duration};

/// How much a transaction sees of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Every statement sees what was committed before it.
    ReadCommitted,
    /// As if transactions ran one after the other; conflicts are retried.
    Serializable,
}

impl Isolation {
    const fn begin(self) -> &'static str {
        match self {
            Self::ReadCommitted => "BEGIN",
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// A deadline that Postgres has no excuse to miss.
const ENOUGH: Duration = Duration::from_millis(500);

impl Inner {
    /// Runs `work` without a transaction of its own: for single statements,
    /// which Postgres makes atomic by itself.
    pub(crate) async fn run<T, F, Fut>(
        &self,
        scope: impl Into<Scope>,
        work: F,
    ) -> Result<T, DbError>
    where
        F: Fn(Conn) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let scope = scope.into();
        if self.config.pgbouncer {
            // A pooler in transaction mode may change the server between statements.
            return self
                .transaction(Isolation::ReadCommitted, scope, work)
                .await;
        }
        self.ready()?;
        // Boxed, since the states of large operations would otherwise be moved
        // through every layer's stack.
        let attempt = |_: Attempt| {
            Box::pin(async {
                let conn = self.acquire(scope).await?;
                let outcome = work(conn.clone()).await;
                conn.close();
                outcome
            })
        };
        self.guarded(
            scope.deadline,
            self.retry.run_within(scope.deadline, contended, attempt),
        )
        .await
    }

    /// Runs `work` in a transaction and commits when it succeeds. When Postgres
    /// undoes it for a conflict or a deadlock, `work` runs again; so it must
    /// not act on anything but the database.
    pub(crate) async fn transaction<T, F, Fut>(
        &self,
        isolation: Isolation,
        scope: impl Into<Scope>,
        work: F,
    ) -> Result<T, DbError>
    where
        F: Fn(Conn) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let scope = scope.into();
        self.ready()?;
        let attempt = |_: Attempt| {
            Box::pin(async {
                let conn = self.acquire(scope).await?;
                let outcome = once(&conn, isolation, &work).await;
                conn.close();
                if outcome.is_ok() && conn.left_an_event() {
                    self.ring_outbox();
                }
                outcome
            })
        };
        self.guarded(
            scope.deadline,
            self.retry.run_within(scope.deadline, contended, attempt),
        )
        .await
    }

    pub(crate) fn ready(&self) -> Result<(), DbError> {
        if self.serving.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(DbError::Starting {
            phase: self.progress.read().0.as_str(),
        })
    }

    /// Lets `work` through the breaker, and ends it by the deadline or the
    /// limit of one operation. Running into the caller's own short deadline says
    /// nothing about Postgres, unless there had been time enough.
    async fn guarded<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, DbError> {
        let limit = deadline
            .remaining(&*self.clock)
            .min(self.config.statement_timeout());
        if limit.is_zero() {
            return Err(DbError::DeadlineExceeded);
        }
        let permit = self
            .breaker
            .try_acquire()
            .map_err(|refusal| DbError::Unavailable {
                retry_after: refusal.retry_after().unwrap_or(DbError::RETRY_AFTER),
            })?;
        let outcome = tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(DbError::DeadlineExceeded.into()))
            .map_err(DbError::from);
        match &outcome {
            Err(DbError::Unavailable { .. }) => permit.failure(),
            Err(DbError::DeadlineExceeded) if limit >= ENOUGH => permit.failure(),
            Err(DbError::DeadlineExceeded | DbError::Overloaded { .. }) => drop(permit),
            _ => permit.success(),
        }
        outcome
    }

    /// Borrows a connection, waiting no longer than allowed and in a queue no
    /// longer than allowed.
    pub(crate) async fn acquire(&self, scope: impl Into<Scope>) -> Result<Conn, DbError> {
        let scope = scope.into();
        let waiting = Waiting::enter(self)?;
        let wait = scope
            .deadline
            .remaining(&*self.clock)
            .min(self.config.acquire_timeout());
        let timeouts = Timeouts {
            wait: Some(wait),
            create: Some(self.config.connect_timeout()),
            recycle: Some(self.config.connect_timeout()),
        };
        let object = self
            .pool
            .timeout_get(&timeouts)
            .await
            .map_err(|error| self.refused(error))?;
        drop(waiting);
        Ok(Conn::new(
            object,
            self.connector.clone(),
            self.handle.clone(),
            self.config.pgbouncer,
            scope,
        ))
    }

    fn refused(&self, error: PoolError) -> DbError {
        let reason = match &error {
            PoolError::Timeout(TimeoutType::Wait) => {
                tracing::warn!(name: "database.overloaded", "all connections are busy; raise database.max_connections or look for slow queries");
                return DbError::overloaded();
            }
            PoolError::Timeout(_) => "Postgres does not answer to connecting".to_owned(),
            PoolError::Backend(cause) => super::start::explain(cause),
            other => other.to_string(),
        };
        tracing::warn!(name: "database.no_connection", "no database connection: {reason}");
        self.progress.explain(Some(reason));
        DbError::unavailable()
    }
}

/// Only what others caused is worth another try.
fn contended(failure: &Failure) -> RetryDecision {
    match failure {
        Failure::Contended => RetryDecision::Retry,
        Failure::Db(_) => RetryDecision::Stop,
    }
}

async fn once<T, F, Fut>(conn: &Conn, isolation: Isolation, work: &F) -> Result<T, Failure>
where
    F: Fn(Conn) -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    conn.begin(isolation.begin()).await?;
    match work(conn.clone()).await {
        Ok(value) => {
            conn.commit().await?;
            Ok(value)
        }
        Err(failure) => {
            // When even the rollback fails, the lease throws the connection away.
            let _ = conn.rollback().await;
            Err(failure)
        }
    }
}

/// A place in the queue for a connection, given back when it is dropped.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Result<Self, DbError> {
        let before = inner.waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(inner);
        if before >= inner.config.max_waiting {
            return Err(DbError::overloaded());
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
