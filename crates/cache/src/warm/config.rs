//! Settings of the disk tier.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::ConfigError;

/// Where the disk tier lives and how much it bears.
///
/// ```
/// use mainstay_cache::WarmConfig;
///
/// let warm = WarmConfig::new("/var/cache/app").bytes(500 << 20);
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmConfig {
    /// A directory of its own; it is created. One process at a time uses it.
    pub dir: PathBuf,
    /// Bytes on the disk. Default: 500 MiB; at least 1 MiB.
    #[serde(default = "default_bytes")]
    pub bytes: usize,
    /// The longest that a read may take before it counts as a failure and the
    /// caller goes on. Default: 250 ms.
    #[serde(
        rename = "read_timeout_ms",
        with = "millis",
        default = "default_read_timeout"
    )]
    pub read_timeout: Duration,
    /// The longest that writing a batch may take. Default: 5 s.
    #[serde(
        rename = "write_timeout_ms",
        with = "millis",
        default = "default_write_timeout"
    )]
    pub write_timeout: Duration,
    /// The longest that opening or closing the tier may take. Default: 10 s.
    #[serde(
        rename = "open_timeout_ms",
        with = "millis",
        default = "default_open_timeout"
    )]
    pub open_timeout: Duration,
    /// Bytes that may wait to be written; beyond them entries are dropped.
    /// Default: 8 MiB.
    #[serde(default = "default_queue")]
    pub queue_bytes: usize,
    /// Failures in a row that trip the tier's breaker. Default: 5.
    #[serde(default = "default_failures")]
    pub failures: u32,
    /// How long a tripped tier is left alone before it is tried again.
    /// Default: 60 s.
    #[serde(rename = "open_ms", with = "millis", default = "default_trip")]
    pub trip: Duration,
    /// Failures without a success in between after which the cache works from
    /// memory alone, with twice the memory where the machine has it. Default:
    /// 10.
    #[serde(default = "default_memory_only")]
    pub memory_only_after: u32,
    /// The first pause before a tier that was given up is rebuilt; it doubles
    /// up to [`rebuild_max`](Self::rebuild_max). Default: 5 min.
    #[serde(
        rename = "rebuild_min_ms",
        with = "millis",
        default = "default_rebuild_min"
    )]
    pub rebuild_min: Duration,
    /// The longest pause between two attempts. Default: 1 h.
    #[serde(
        rename = "rebuild_max_ms",
        with = "millis",
        default = "default_rebuild_max"
    )]
    pub rebuild_max: Duration,
    /// How often an idle tier proves by a write and a read that it works.
    /// Default: 60 s.
    #[serde(rename = "probe_every_ms", with = "millis", default = "default_trip")]
    pub probe_every: Duration,
    /// How long a directory that would not open is kept for a look. Default: 7
    /// days; no more than one is kept.
    #[serde(
        rename = "set_aside_ms",
        with = "millis",
        default = "default_set_aside"
    )]
    pub set_aside_for: Duration,
    /// Faults that a test injects between this crate and its engine.
    #[cfg(test)]
    #[serde(skip)]
    pub(crate) faults: super::faulty::Faults,
}

fn default_bytes() -> usize {
    500 << 20
}
fn default_queue() -> usize {
    8 << 20
}
fn default_failures() -> u32 {
    5
}
fn default_memory_only() -> u32 {
    10
}
fn default_read_timeout() -> Duration {
    Duration::from_millis(250)
}
fn default_write_timeout() -> Duration {
    Duration::from_secs(5)
}
fn default_open_timeout() -> Duration {
    Duration::from_secs(10)
}
fn default_trip() -> Duration {
    Duration::from_secs(60)
}
fn default_rebuild_min() -> Duration {
    Duration::from_secs(300)
}
fn default_rebuild_max() -> Duration {
    Duration::from_secs(3600)
}
fn default_set_aside() -> Duration {
    Duration::from_secs(7 * 24 * 3600)
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

const PAGE: usize = 4096;

impl WarmConfig {
    /// The defaults in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bytes: default_bytes(),
            read_timeout: default_read_timeout(),
            write_timeout: default_write_timeout(),
            open_timeout: default_open_timeout(),
            queue_bytes: default_queue(),
            failures: default_failures(),
            trip: default_trip(),
            memory_only_after: default_memory_only(),
            rebuild_min: default_rebuild_min(),
            rebuild_max: default_rebuild_max(),
            probe_every: default_trip(),
            set_aside_for: default_set_aside(),
            #[cfg(test)]
            faults: super::faulty::Faults::default(),
        }
    }

    /// The same with `bytes` on the disk.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Checks the settings without touching the disk.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.dir.as_os_str().is_empty() {
            return Err(ConfigError::new("warm.dir", "must not be empty"));
        }
        if self.bytes < 1 << 20 {
            return Err(ConfigError::new("warm.bytes", "must be at least 1 MiB"));
        }
        if self.queue_bytes < 64 << 10 || self.queue_bytes > 1 << 30 {
            return Err(ConfigError::new(
                "warm.queue_bytes",
                "must be from 64 KiB to 1 GiB",
            ));
        }
        let spans = [
            ("warm.read_timeout_ms", self.read_timeout),
            ("warm.write_timeout_ms", self.write_timeout),
            ("warm.open_timeout_ms", self.open_timeout),
            ("warm.open_ms", self.trip),
            ("warm.rebuild_min_ms", self.rebuild_min),
            ("warm.probe_every_ms", self.probe_every),
        ];
        for (field, span) in spans {
            if span < Duration::from_millis(1) {
                return Err(ConfigError::new(field, "must be at least 1 ms"));
            }
        }
        if self.rebuild_max < self.rebuild_min {
            return Err(ConfigError::new(
                "warm.rebuild_max_ms",
                "must not be below rebuild_min_ms",
            ));
        }
        if self.failures == 0 || self.memory_only_after < self.failures {
            return Err(ConfigError::new(
                "warm.memory_only_after",
                "must not be below failures, which must be at least 1",
            ));
        }
        Ok(())
    }

    /// The engine's unit of eviction: a sixteenth of the disk, within limits,
    /// so that there are always enough of them. The engine hangs when not even
    /// one fits.
    pub(crate) fn block_bytes(&self) -> usize {
        (self.bytes / 16).clamp(64 << 10, 16 << 20) / PAGE * PAGE
    }

    /// The largest entry that fits into a block with its index and header.
    pub(crate) fn largest_entry(&self) -> usize {
        self.block_bytes() - 3 * PAGE
    }

    /// Memory for writing; the engine takes it twice.
    pub(crate) fn buffer_bytes(&self) -> usize {
        (self.block_bytes() * 2).clamp(1 << 20, 16 << 20)
    }
}
