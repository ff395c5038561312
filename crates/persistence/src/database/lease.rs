//! A borrowed connection that cannot be given back dirty.

use super::{connect::Connector, param::Param};
use crate::{
    call::Scope,
    error::{DbError, Failure},
};
use deadpool_postgres::Object;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_postgres::{
    Error, Row,
    types::{ToSql, Type},
};

/// The longest that a cancel request may take before the connection is just dropped.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// A connection of the pool for the time of one operation.
///
/// A future that is dropped in the middle of a statement leaves the statement
/// running on the server, and the next borrower would wait for it or find its
/// transaction open. So the lease counts what is in flight; when it is dropped
/// with something unfinished, it asks the server to stop and throws the
/// connection away. Only a connection at rest goes back to the pool.
pub(crate) struct Lease {
    object: Option<Object>,
    connector: Connector,
    handle: Handle,
    /// True when statements must not be prepared by name.
    unnamed: bool,
    scope: Scope,
    /// Whether the server knows the scope already.
    scoped: AtomicBool,
    in_flight: AtomicU32,
    in_transaction: AtomicBool,
    /// A statement failed inside the transaction, so that a commit would
    /// silently undo it.
    failed: AtomicBool,
    closed: AtomicBool,
    /// The server is shutting down or has become a standby: nobody else should
    /// get this connection.
    unfit: AtomicBool,
    /// The transaction left something in the outbox.
    event: AtomicBool,
}

/// What an operation holds of its lease. Clones are the same connection; once
/// the operation is over, they refuse to work.
#[derive(Clone)]
pub(crate) struct Conn(Arc<Lease>);

impl Conn {
    pub(crate) fn new(
        object: Object,
        connector: Connector,
        handle: Handle,
        unnamed: bool,
        scope: Scope,
    ) -> Self {
        Self(Arc::new(Lease {
            object: Some(object),
            connector,
            handle,
            unnamed,
            scope,
            scoped: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            in_transaction: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unfit: AtomicBool::new(false),
            event: AtomicBool::new(false),
        }))
    }

    /// Runs a statement and returns its rows. The text is static, which keeps
    /// the connection's statement cache bounded and injection impossible.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<Vec<Row>, Failure> {
        let client = self.0.client()?;
        if self.0.unnamed {
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
                .iter()
                .map(|param| (*param as &(dyn ToSql + Sync), param.sql_type()))
                .collect();
            return self.0.scoped(client.query_typed(sql, &typed)).await;
        }
        let bound: Vec<&(dyn ToSql + Sync)> = params
            .iter()
            .map(|param| *param as &(dyn ToSql + Sync))
            .collect();
        self.0
            .scoped(async {
                let statement = client.prepare_cached(sql).await?;
                client.query(&statement, &bound).await
            })
            .await
    }

    /// The only row, or `None`.
    pub(crate) async fn query_opt(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The only row; none is [`DbError::NotFound`].
    pub(crate) async fn query_one(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<Row, Failure> {
        Ok(self
            .query_opt(sql, params)
            .await?
            .ok_or(DbError::NotFound)?)
    }

    /// Runs a statement and returns how many rows it touched.
    pub(crate) async fn execute(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<u64, Failure> {
        let client = self.0.client()?;
        if self.0.unnamed {
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
                .iter()
                .map(|param| (*param as &(dyn ToSql + Sync), param.sql_type()))
                .collect();
            return self.0.scoped(client.execute_typed(sql, &typed)).await;
        }
        let bound: Vec<&(dyn ToSql + Sync)> = params
            .iter()
            .map(|param| *param as &(dyn ToSql + Sync))
            .collect();
        self.0
            .scoped(async {
                let statement = client.prepare_cached(sql).await?;
                client.execute(&statement, &bound).await
            })
            .await
    }

    /// Prepares a statement ahead of its first use.
    pub(crate) async fn prepare(&self, sql: &'static str) -> Result<(), Failure> {
        let client = self.0.client()?;
        self.0.tracked(client.prepare_cached(sql)).await.map(drop)
    }

    /// Runs statements without parameters and results.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        let client = self.0.client()?;
        self.0.tracked(client.batch_execute(sql)).await
    }

    /// Begins a transaction and tells the server its scope in the same message.
    pub(crate) async fn begin(&self, sql: &str) -> Result<(), Failure> {
        self.0.in_transaction.store(true, Ordering::Release);
        self.0.scoped.store(true, Ordering::Release);
        self.batch(&format!("{sql}; {}", self.0.set_scope("true")))
            .await
    }

    /// Commits, unless a statement had failed: Postgres would answer such a
    /// COMMIT with a silent rollback.
    pub(crate) async fn commit(&self) -> Result<(), Failure> {
        if self.0.failed.load(Ordering::Acquire) {
            self.rollback().await?;
            return Err(DbError::internal("a transaction was committed after a failure").into());
        }
        self.batch("COMMIT").await?;
        self.0.in_transaction.store(false, Ordering::Release);
        Ok(())
    }

    pub(crate) async fn rollback(&self) -> Result<(), Failure> {
        self.batch("ROLLBACK").await?;
        self.0.in_transaction.store(false, Ordering::Release);
        self.0.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// Notes that the transaction leaves something in the outbox.
    pub(crate) fn leaves_an_event(&self) {
        self.0.event.store(true, Ordering::Release);
    }

    pub(crate) fn left_an_event(&self) -> bool {
        self.0.event.load(Ordering::Acquire)
    }

    /// Keeps the connection from ever going back to the pool.
    pub(crate) fn keep_out_of_the_pool(&self) {
        self.0.unfit.store(true, Ordering::Release);
    }

    /// Ends the operation: clones that were kept refuse to work.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Runs `work` inside a savepoint of the open transaction: when it fails,
    /// what it did is undone and the transaction goes on.
    pub(crate) async fn savepoint<T, Fut>(&self, work: Fut) -> Result<T, Failure>
    where
        Fut: Future<Output = Result<T, Failure>>,
    {
        self.batch("SAVEPOINT step").await?;
        match work.await {
            Ok(value) => {
                self.batch("RELEASE SAVEPOINT step").await?;
                Ok(value)
            }
            Err(failure) => {
                self.batch("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step")
                    .await?;
                self.0.failed.store(false, Ordering::Release);
                Err(failure)
            }
        }
    }
}

impl Lease {
    fn client(&self) -> Result<&Object, Failure> {
        match &self.object {
            Some(object) if !self.closed.load(Ordering::Acquire) => Ok(object),
            _ => Err(DbError::internal("a connection was used after its operation").into()),
        }
    }

    /// The statement that limits row-level security to the scope. Both parts are
    /// made here: a UUID or a star, and a constant.
    fn set_scope(&self, local: &'static str) -> String {
        let workspace = self
            .scope
            .workspace
            .map_or_else(|| "*".to_owned(), |id| id.to_string());
        format!("SELECT set_config('mainstay.workspace', '{workspace}', {local})")
    }

    /// Runs `work` in the scope. The first statement outside of a transaction
    /// is sent together with the scope's, so it costs no round trip; the scope
    /// stays with the session until its next borrower sets another.
    async fn scoped<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        if self.scoped.swap(true, Ordering::AcqRel) {
            return self.tracked(work).await;
        }
        let set = self.set_scope("false");
        let set = self.tracked(self.client()?.batch_execute(&set));
        both(set, self.tracked(work)).await.map(|((), value)| value)
    }

    /// Counts `work` as in flight until it is done; dropping it leaves it counted.
    async fn tracked<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let outcome = work.await;
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        outcome.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            let failure = Failure::from(error);
            if matches!(failure, Failure::Db(DbError::Unavailable { .. })) {
                self.unfit.store(true, Ordering::Release);
            }
            failure
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else {
            return;
        };
        let at_rest = *self.in_flight.get_mut() == 0 && !*self.in_transaction.get_mut();
        if at_rest && !*self.unfit.get_mut() && !object.is_closed() {
            return; // back to the pool
        }
        let connector = self.connector.clone();
        let token = object.cancel_token();
        // The object keeps its place in the pool until the server has let go,
        // so that the maximum holds on the server too.
        self.handle.spawn(async move {
            let _ = tokio::time::timeout(CANCEL_LIMIT, connector.cancel(token)).await;
            drop(Object::take(object));
        });
    }
}

/// Two statements on one connection, sent together. Both are awaited to their
/// end even when one fails, so that the connection stays usable.
pub(crate) async fn both<A, B>(
    first: impl Future<Output = Result<A, Failure>>,
    second: impl Future<Output = Result<B, Failure>>,
) -> Result<(A, B), Failure> {
    let (first, second) = futures_util::future::join(first, second).await;
    Ok((first?, second?))
}
