//! Opening the store: at start, and again whenever the disk was sick.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Warm,
    engine::{self, Engine, Failure},
    journal::{self, Journal, Memory, Verdict},
};
use crate::{
    observer::TierState,
    stamps::{EPOCH_SHIFT, Tables},
    time::micros,
};

/// How a store is to be opened.
struct Plan {
    generation: u64,
    epoch: u64,
    /// What is there is kept.
    recover: bool,
    earlier: Tables,
    before: Before,
}

/// What happens to what is there.
#[derive(Clone, Copy)]
enum Before {
    Keep,
    Wipe,
    SetAside,
}

impl Warm {
    /// Tries to open the store if that is due. Never fails: the tier is left
    /// alone for a while when it does not work.
    pub(crate) async fn open_if_due(self: &Arc<Self>) {
        let Ok(_one) = self.opening.try_lock() else {
            return;
        };
        if self.closing.load(Ordering::Acquire) || !self.health().is_due(self.clock.now()) {
            return;
        }
        if self.disposal.running.load(Ordering::Acquire) {
            // The old engine still has the files; its end is bounded in time.
            return;
        }
        let opened = self.open().await;
        let from = self.state();
        match opened {
            Ok(engine) => {
                if !self.install(&engine) {
                    return;
                }
                self.proved_at
                    .store(micros(self.clock.now()), Ordering::Relaxed);
                // What was invalidated between the reading of the tables and
                // now is in no journal yet.
                self.rewrite_journal(&engine).await;
                self.changed(from, "the store is open and proved that it works");
            }
            Err(failure) => {
                self.counters.failed();
                self.health().rebuild_failed(self.clock.now());
                self.changed(from, &failure.to_string());
            }
        }
    }

    /// Puts `engine` into use, unless the tier was closed meanwhile.
    fn install(&self, engine: &Arc<Engine>) -> bool {
        let mut health = self.health();
        if health.state() == TierState::Closed {
            return false;
        }
        self.engine.store(Some(Arc::clone(engine)));
        health.rebuilt();
        true
    }

    async fn open(&self) -> Result<Arc<Engine>, Failure> {
        self.probe().await?;
        let hung = self.disposal.hung.swap(false, Ordering::AcqRel);
        self.life().start_afresh |= hung;
        match self.open_store(false).await {
            Ok(engine) => Ok(engine),
            Err(first) => {
                // The disk works and the store does not: a new store will.
                tracing::warn!(%first, "the cache directory does not open; a new store is tried in its place");
                self.open_store(true).await
            }
        }
    }

    /// Whether the disk takes a small file. A trial that hangs is not joined
    /// by another.
    async fn probe(&self) -> Result<(), Failure> {
        let earlier = self.life().probe.take();
        if let Some(earlier) = earlier
            && !earlier.is_finished()
        {
            self.life().probe = Some(earlier);
            return Err(Failure::Hung);
        }
        let directory = self.directory.clone();
        let mut trial = tokio::task::spawn_blocking(move || directory.probe());
        match tokio::time::timeout(self.config.write_timeout, &mut trial).await {
            Ok(Ok(done)) => done.map_err(Failure::from),
            Ok(Err(_)) => Err(Failure::Dead),
            Err(_) => {
                self.life().probe = Some(trial);
                Err(Failure::Hung)
            }
        }
    }

    async fn open_store(&self, set_aside: bool) -> Result<Arc<Engine>, Failure> {
        let spawner = engine::spawner()?;
        let plan = self.plan(&spawner, set_aside).await?;
        self.stamps.adopt(plan.epoch, &plan.earlier);
        let (generation, recover) = (plan.generation, plan.recover);
        let journal = self.prepare(&spawner, plan).await?;
        let dir = self.directory.store();
        let engine =
            Engine::open(&dir, &self.config, journal, generation, recover, spawner).await?;
        if let Err(failure) = engine.prove(self.stamps.next()).await {
            if let Err(Failure::Hung) = engine.close(self.config.open_timeout).await {
                self.life().start_afresh = true;
            }
            return Err(failure);
        }
        let mut life = self.life();
        life.known = Some((generation, self.stamps.next() >> EPOCH_SHIFT));
        life.start_afresh = false;
        Ok(Arc::new(engine))
    }

    /// Claims the directory, reads its journal and decides what to keep.
    async fn plan(&self, spawner: &foyer::Spawner, set_aside: bool) -> Result<Plan, Failure> {
        let (known, start_afresh) = {
            let life = self.life();
            (life.known, life.start_afresh)
        };
        let (directory, locked) = (self.directory.clone(), self.life().lock.is_some());
        let (claim, verdict) = self
            .blocking(spawner, move || {
                let claim = if locked {
                    None
                } else {
                    Some(directory.lock()?)
                };
                Ok((
                    claim,
                    journal::read(&directory.journal(), journal::boot_id())?,
                ))
            })
            .await?;
        if let Some(claim) = claim {
            self.life().lock = Some(claim);
        }
        let afresh = |before, epoch| -> Result<Plan, Failure> {
            Ok(Plan {
                generation: random()?,
                epoch,
                recover: false,
                earlier: Tables::default(),
                before,
            })
        };
        if set_aside || start_afresh {
            return afresh(Before::SetAside, known.map_or(1, |(_, epoch)| epoch));
        }
        if let Some((generation, epoch)) = known {
            // This process knows all that was invalidated since it first
            // opened the store, and its stamps go on.
            return Ok(Plan {
                generation,
                epoch,
                recover: true,
                earlier: Tables::default(),
                before: Before::Keep,
            });
        }
        match verdict {
            Verdict::Trusted(memory) => {
                self.life().position = memory.position;
                Ok(Plan {
                    generation: memory.generation,
                    epoch: memory.epoch + 1,
                    recover: true,
                    earlier: memory.tables,
                    before: Before::Keep,
                })
            }
            Verdict::Missing | Verdict::Unclean => afresh(Before::Wipe, 1),
            Verdict::Damaged => {
                tracing::warn!(
                    "the journal of the cache directory is damaged; the directory is set aside"
                );
                afresh(Before::SetAside, 1)
            }
        }
    }

    /// Makes the directory ready and writes its new journal.
    async fn prepare(&self, spawner: &foyer::Spawner, plan: Plan) -> Result<Journal, Failure> {
        let memory = self.memory(plan.generation, plan.epoch);
        let (directory, unix, keep) = (
            self.directory.clone(),
            self.clock.unix_time(),
            self.config.set_aside_for,
        );
        self.blocking(spawner, move || {
            match plan.before {
                Before::Keep => {}
                Before::Wipe => directory.wipe()?,
                Before::SetAside => directory.set_aside(unix)?,
            }
            directory.tidy(unix, keep)?;
            std::fs::create_dir_all(directory.store())?;
            Journal::create(&directory.journal(), &memory, journal::boot_id())
        })
        .await
    }

    fn memory(&self, generation: u64, epoch: u64) -> Memory {
        Memory {
            generation,
            epoch,
            tables: self.stamps.tables(),
            position: self.life().position,
        }
    }

    /// Writes the journal anew with what counts now.
    pub(super) async fn rewrite_journal(&self, engine: &Arc<Engine>) {
        let Some((generation, epoch)) = self.life().known else {
            return;
        };
        let (stamps, position) = (Arc::clone(&self.stamps), self.life().position);
        let rewritten = engine
            .journal(move |journal| {
                // Read inside, where nobody appends meanwhile.
                let memory = Memory {
                    generation,
                    epoch,
                    tables: stamps.tables(),
                    position,
                };
                let path = journal.path().to_owned();
                *journal = Journal::create(&path, &memory, journal::boot_id())?;
                Ok(())
            })
            .await;
        if let Err(failure) = rewritten {
            self.failed(engine, &failure, true);
        }
    }

    async fn blocking<T, F>(&self, spawner: &foyer::Spawner, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        match tokio::time::timeout(self.config.open_timeout, spawner.spawn_blocking(operation))
            .await
        {
            Err(_) => Err(Failure::Hung),
            Ok(Err(_)) => Err(Failure::Dead),
            Ok(Ok(done)) => done.map_err(Failure::from),
        }
    }

    /// One round of upkeep: opens what is due, proves what is idle, shortens
    /// the journal.
    pub(crate) async fn maintain(self: &Arc<Self>) {
        self.open_if_due().await;
        let Some(engine) = self.engine.load_full() else {
            return;
        };
        let now = self.clock.now();
        let proved = Duration::from_micros(self.proved_at.load(Ordering::Relaxed));
        if now.saturating_sub(proved) >= self.config.probe_every {
            self.prove(&engine).await;
        }
        if engine
            .journal(|journal| Ok(journal.is_long()))
            .await
            .unwrap_or(false)
        {
            self.rewrite_journal(&engine).await;
        }
    }

    /// Lets `engine` prove that it writes and reads.
    pub(super) async fn prove(&self, engine: &Arc<Engine>) {
        match engine.prove(self.stamps.next()).await {
            Ok(()) => {
                self.succeeded();
                self.proved_at
                    .store(micros(self.clock.now()), Ordering::Relaxed);
            }
            Err(failure) => self.failed(engine, &failure, true),
        }
    }
}

fn random() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::Io("no random bytes".to_owned()))?;
    Ok(u64::from_le_bytes(bytes))
}
