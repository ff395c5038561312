//! Keeping the pool in shape while the server runs.

use super::{Database, Inner};
use mainstay_resilience::Deadline;
use std::{sync::atomic::Ordering, time::Duration};

/// A connection beyond the minimum that nobody needed for this long is closed.
const IDLE: Duration = Duration::from_secs(300);

/// How often the pool is looked at.
const PERIOD: Duration = Duration::from_secs(1);

impl Database {
    /// Keeps the minimum of connections open, replaces old ones one at a time,
    /// notices when Postgres is back, listens for other servers' events,
    /// and keeps house.
    /// Runs until the database is closed; the caller spawns it.
    pub async fn maintain(&self) {
        futures_util::future::join3(self.tend(), self.0.listen(), self.keep_house()).await;
    }

    async fn tend(&self) {
        while !self.0.pool.is_closed() {
            tokio::time::sleep(PERIOD).await;
            if self.0.serving.load(Ordering::Acquire) {
                self.0.retire_one();
                self.0.top_up().await;
            }
        }
    }
}

impl Inner {
    /// Removes dead connections, and at most one that is too old or not needed,
    /// so that they are never all replaced at the same moment.
    fn retire_one(&self) {
        let lifetime = Duration::from_secs(self.config.max_lifetime_s);
        let spare = self.pool.status().size > self.config.min_connections;
        let mut retired = false;
        self.pool.retain(|client, metrics| {
            let idle = spare && metrics.last_used() > IDLE;
            let retire = !retired && (idle || metrics.age() > lifetime);
            retired |= retire;
            !retire && !client.is_closed()
        });
    }

    /// Opens what is missing to the minimum; that is also how Postgres's return
    /// is noticed. Idle connections are held meanwhile, or they would be handed
    /// out instead of new ones.
    async fn top_up(&self) {
        let mut held = Vec::new();
        while self.pool.status().size < self.config.min_connections {
            match self.acquire(Deadline::never()).await {
                Ok(conn) => held.push(conn),
                Err(_) => return, // the reason is in the status
            }
        }
        let opened = !held.is_empty();
        drop(held);
        if opened || self.progress.read().1.is_some() {
            self.probe().await;
        }
    }

    /// Asks a real question after trouble, and forgets the trouble when it is answered.
    async fn probe(&self) {
        let asked = self
            .run(Deadline::after(&*self.clock, PERIOD), |conn| async move {
                conn.query(crate::statements::VERIFY, &[]).await.map(drop)
            })
            .await;
        if asked.is_ok() {
            self.progress.explain(None);
        }
    }
}
