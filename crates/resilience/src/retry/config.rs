//! The settings of a retry policy.

use std::time::Duration;

use super::{Backoff, Jitter};
use crate::{ConfigError, error::check, sync::nanos};

/// The settings of a retry policy.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct RetryConfig {
    /// Attempts in all, the first included. Default: 3.
    pub max_attempts: u32,
    /// The first wait. Default: 50 ms.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub base: Duration,
    /// The longest wait of the policy's own. Default: 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub longest: Duration,
    /// How the waits are spread. Default: full jitter.
    pub jitter: Jitter,
    /// The longest wait that the other side may ask for; a longer one ends the
    /// attempts. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration"))]
    pub longest_asked: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(50),
            longest: Duration::from_secs(5),
            jitter: Jitter::Full,
            longest_asked: Duration::from_secs(30),
        }
    }
}

impl RetryConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::at_least_one("max_attempts", self.max_attempts.into())?;
        Backoff::new(self.base, self.longest).map(|_| ())
    }
}

pub(super) fn pack(config: &RetryConfig) -> [u64; 5] {
    let jitter = match config.jitter {
        Jitter::None => 0,
        Jitter::Full => 1,
        Jitter::Decorrelated => 2,
    };
    [
        config.max_attempts.into(),
        nanos(config.base),
        nanos(config.longest),
        jitter,
        nanos(config.longest_asked),
    ]
}

pub(super) fn unpack([attempts, base, longest, jitter, asked]: [u64; 5]) -> RetryConfig {
    RetryConfig {
        max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        base: Duration::from_nanos(base),
        longest: Duration::from_nanos(longest),
        jitter: match jitter {
            0 => Jitter::None,
            1 => Jitter::Full,
            _ => Jitter::Decorrelated,
        },
        longest_asked: Duration::from_nanos(asked),
    }
}
