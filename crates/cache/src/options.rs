//! How long an entry lives, and what may be served meanwhile.

use std::{sync::Arc, time::Duration};

use crate::{ConfigError, key::tag_hash};

/// How an entry is kept and loaded. Build it once and pass it by reference.
///
/// ```
/// use mainstay_cache::Options;
/// use std::time::Duration;
///
/// let options = Options::ttl(Duration::from_secs(600))
///     .stale_if_error(Duration::from_secs(3600))
///     .stale_while_revalidate(Duration::from_secs(60))
///     .tags(["workspace:7"]);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) ttl: Duration,
    pub(crate) jitter: f64,
    pub(crate) time_to_idle: Option<Duration>,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) error_pause: Duration,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) load_timeout: Duration,
    pub(crate) eager: Option<f64>,
    pub(crate) absent_ttl: Duration,
    pub(crate) tags: Arc<[u64]>,
    pub(crate) warm: bool,
    pub(crate) shared: bool,
}

impl Default for Options {
    /// Fresh for 5 minutes; stale if loading fails for another hour.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            jitter: 0.05,
            time_to_idle: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::from_secs(3600),
            error_pause: Duration::from_secs(5),
            soft_timeout: None,
            load_timeout: Duration::from_secs(60),
            eager: None,
            absent_ttl: Duration::from_secs(30),
            tags: Arc::from([]),
            warm: true,
            shared: true,
        }
    }
}

impl Options {
    /// The defaults with entries that are fresh for `ttl`.
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl,
            ..Self::default()
        }
    }

    /// Shortens each entry's life by a random share of up to `share`, so that
    /// entries stored together do not expire together. From 0 to 0.9; default
    /// 0.05.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Lets an entry of the hot tier go that nobody asked for during `idle`.
    /// Default: never.
    #[must_use]
    pub fn time_to_idle(mut self, idle: Duration) -> Self {
        self.time_to_idle = Some(idle);
        self
    }

    /// For so long after its freshness an entry is served at once while a
    /// single load replaces it in the background. Default: zero.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For so long after its freshness an entry is served when loading fails
    /// or takes too long. Default: one hour.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// After a failed load for which a stale entry stood in, the entry is
    /// served for so long without trying again. Default: 5 s.
    #[must_use]
    pub fn error_pause(mut self, pause: Duration) -> Self {
        self.error_pause = pause;
        self
    }

    /// When a stale entry can stand in, a load is waited for no longer than
    /// this; it goes on in the background. Default: as long as it takes.
    #[must_use]
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.soft_timeout = Some(limit);
        self
    }

    /// A load that takes longer is given up and counts as failed. Default:
    /// 60 s.
    #[must_use]
    pub fn load_timeout(mut self, limit: Duration) -> Self {
        self.load_timeout = limit;
        self
    }

    /// Refreshes an entry in the background some time before it expires: early
    /// by about `beta` times what its load took, at a random moment (XFetch).
    /// 1.0 is a good value, larger is earlier. Default: off.
    #[must_use]
    pub fn eager_refresh(mut self, beta: f64) -> Self {
        self.eager = Some(beta);
        self
    }

    /// How long the absence that a loader reported is believed. Zero means that
    /// it is not stored. Default: 30 s.
    #[must_use]
    pub fn absent_ttl(mut self, ttl: Duration) -> Self {
        self.absent_ttl = ttl;
        self
    }

    /// Tags by which entries are invalidated together; at most 32 count.
    #[must_use]
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags
            .into_iter()
            .take(MAX_TAGS)
            .map(|tag| tag_hash(tag.as_ref()))
            .collect();
        self
    }

    /// Whether the entry goes to the disk. Default: yes.
    #[must_use]
    pub fn warm(mut self, yes: bool) -> Self {
        self.warm = yes;
        self
    }

    /// Whether the entry goes to the shared tier. Default: yes.
    #[must_use]
    pub fn shared(mut self, yes: bool) -> Self {
        self.shared = yes;
        self
    }

    /// Checks the options; the cache itself corrects what makes no sense to
    /// the nearest value that does.
    ///
    /// # Errors
    /// The first option that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.ttl.is_zero() {
            return Err(ConfigError::new("ttl", "must be longer than zero"));
        }
        if !(0.0..=0.9).contains(&self.jitter) {
            return Err(ConfigError::new("jitter", "must be from 0 to 0.9"));
        }
        if self.load_timeout.is_zero() {
            return Err(ConfigError::new("load_timeout", "must be longer than zero"));
        }
        if self.time_to_idle.is_some_and(|idle| idle.is_zero()) {
            return Err(ConfigError::new("time_to_idle", "must be longer than zero"));
        }
        if self
            .eager
            .is_some_and(|beta| !(beta.is_finite() && beta > 0.0))
        {
            return Err(ConfigError::new(
                "eager_refresh",
                "must be a number above zero",
            ));
        }
        Ok(())
    }

    /// How long an entry may be of any use after its freshness.
    pub(crate) fn longest_stale(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// Tags of one entry that are looked at.
pub(crate) const MAX_TAGS: usize = 32;
