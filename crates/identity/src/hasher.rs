//! Argon2id behind a bounded queue.
//!
//! Hashing is slow on purpose (about 30 ms of one core and 19 MiB), so a
//! semaphore keeps a wave of logins from starving everything else, and a
//! bound on those who wait keeps the wave from becoming a backlog.

use crate::{
    password::Password,
    random::{self, RandomnessUnavailable},
};
use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, thread};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A secret that is mixed into every hash and kept out of the database, so
/// that a stolen table alone cannot be attacked.
pub struct Pepper(SecretBox<[u8; 32]>);

impl From<[u8; 32]> for Pepper {
    fn from(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper([redacted])")
    }
}

/// How passwords are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordConfig {
    /// Memory per hash in KiB. Default 19456, the least that is recommended.
    pub memory_kib: u32,
    /// Passes over the memory. Default 2.
    pub iterations: u32,
    /// Lanes. Default 1.
    pub parallelism: u32,
    /// Hashes computed at the same time. Default half the cores, at least 1:
    /// the other half goes on serving while everybody logs in.
    pub concurrency: usize,
    /// Those who may wait for their turn; the next one is told to come back.
    /// Default 256, which is 8 s of work for one core.
    pub max_waiting: usize,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            concurrency: thread::available_parallelism()
                .map_or(1, |cores| (cores.get() / 2).max(1)),
            max_waiting: 256,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("password hashing: {0}")]
pub struct InvalidPasswordConfig(&'static str);

/// Why a password was neither hashed nor compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already; try again in a few seconds.
    #[error("too many logins at once; try again in a few seconds")]
    Busy,
    /// The system's random generator is not available.
    #[error(transparent)]
    Randomness(#[from] RandomnessUnavailable),
    /// The hash could not be computed, for want of memory or because the
    /// runtime is going down.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes and compares passwords. Cheap to clone.
#[derive(Clone)]
pub struct PasswordHasher {
    engine: Arc<Engine>,
    turns: Arc<Semaphore>,
    /// One permit per caller who hashes or waits.
    admission: Arc<Semaphore>,
}

struct Engine {
    params: Params,
    pepper: Pepper,
    /// A hash that no password has, compared against when there is no account,
    /// so that the answer takes as long as for a wrong password.
    nobody: String,
}

impl PasswordHasher {
    /// A hasher with its settings. Computes one hash.
    ///
    /// # Errors
    /// [`InvalidPasswordConfig`] when a setting is out of argon2's range, or
    /// the machine cannot compute a hash with it.
    pub fn new(config: PasswordConfig, pepper: Pepper) -> Result<Self, InvalidPasswordConfig> {
        if config.memory_kib < 8 * 1024 || config.memory_kib > 4 * 1024 * 1024 {
            return Err(InvalidPasswordConfig(
                "memory_kib must be from 8192 to 4194304",
            ));
        }
        if config.iterations == 0 || config.iterations > 100 {
            return Err(InvalidPasswordConfig("iterations must be from 1 to 100"));
        }
        if config.concurrency == 0 || config.concurrency > 1024 {
            return Err(InvalidPasswordConfig("concurrency must be from 1 to 1024"));
        }
        if config.max_waiting > 100_000 {
            return Err(InvalidPasswordConfig("max_waiting must be at most 100000"));
        }
        let params = Params::new(
            config.memory_kib,
            config.iterations,
            config.parallelism,
            None,
        )
        .map_err(|_| InvalidPasswordConfig("parallelism must be from 1 to memory_kib / 8"))?;
        let mut engine = Engine {
            params,
            pepper,
            nobody: String::new(),
        };
        let unguessable = random::bytes::<32>()
            .map_err(|_| InvalidPasswordConfig("the system's random generator is not available"))?;
        engine.nobody = engine.hash(&unguessable).map_err(|_| {
            InvalidPasswordConfig("a hash could not be computed with this memory_kib")
        })?;
        Ok(Self {
            engine: Arc::new(engine),
            turns: Arc::new(Semaphore::new(config.concurrency)),
            admission: Arc::new(Semaphore::new(config.concurrency + config.max_waiting)),
        })
    }

    /// The password's hash in PHC format, ready to be stored.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when too many wait already.
    pub async fn hash(&self, password: Password) -> Result<String, HashError> {
        let engine = Arc::clone(&self.engine);
        self.in_turn(move || engine.hash(password.bytes())).await?
    }

    /// Whether `stored` is the hash of `password`. With `None`, for an account
    /// that does not exist, it works as long and answers `false`.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when too many wait already.
    pub async fn verify(
        &self,
        stored: Option<&str>,
        password: Password,
    ) -> Result<bool, HashError> {
        let engine = Arc::clone(&self.engine);
        let stored = stored.map(str::to_owned);
        self.in_turn(move || engine.verify(stored.as_deref(), password.bytes()))
            .await
    }

    /// Whether `stored` was made with other settings than today's and should
    /// be replaced at the next successful login.
    #[must_use]
    pub fn needs_rehash(&self, stored: &str) -> bool {
        let Ok(hash) = PasswordHash::new(stored) else {
            return true;
        };
        let params = &self.engine.params;
        hash.algorithm != argon2::ARGON2ID_IDENT
            || Params::try_from(&hash).is_ok_and(|stored| {
                (stored.m_cost(), stored.t_cost(), stored.p_cost())
                    != (params.m_cost(), params.t_cost(), params.p_cost())
            })
    }

    /// Runs `work` on a blocking thread when it is its turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let admitted = Arc::clone(&self.admission)
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| HashError::Failed)?;
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (admitted, turn);
        tokio::task::spawn_blocking(move || {
            // The permits go with the work: a caller who goes away does not
            // make room while the thread still computes.
            let _held = held;
            work()
        })
        .await
        .map_err(|_| HashError::Failed)
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher")
            .field("params", &self.engine.params)
            .finish_non_exhaustive()
    }
}

impl Engine {
    fn argon2(&self) -> Result<Argon2<'_>, HashError> {
        Argon2::new_with_secret(
            self.pepper.0.expose_secret(),
            Algorithm::Argon2id,
            Version::V0x13,
            self.params.clone(),
        )
        .map_err(|_| HashError::Failed)
    }

    fn hash(&self, password: &[u8]) -> Result<String, HashError> {
        let salt = random::bytes::<16>()?;
        let hash: PasswordHash = self
            .argon2()?
            .hash_password_with_salt(password, &salt)
            .map_err(|_| HashError::Failed)?;
        Ok(hash.to_string())
    }

    /// A stored hash that cannot be read counts as one that does not match,
    /// after the same work.
    fn verify(&self, stored: Option<&str>, password: &[u8]) -> bool {
        let Ok(argon2) = self.argon2() else {
            return false;
        };
        let parsed = stored.and_then(|stored| PasswordHash::new(stored).ok());
        match parsed {
            Some(hash) => argon2.verify_password(password, &hash).is_ok(),
            None => {
                // The result is irrelevant; the time is not.
                let _ = argon2.verify_password(password, self.nobody.as_str());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As cheap as the settings allow: the tests are about behaviour.
    fn hasher(max_waiting: usize) -> PasswordHasher {
        let config = PasswordConfig {
            memory_kib: 8192,
            iterations: 1,
            parallelism: 1,
            concurrency: 1,
            max_waiting,
        };
        PasswordHasher::new(config, Pepper::from([7; 32])).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_is_known_and_a_wrong_one_is_not() {
        let hasher = hasher(8);
        let stored = hasher.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
        let verify = async |text| hasher.verify(Some(&stored), password(text)).await;
        assert_eq!(verify("correct horse").await, Ok(true));
        assert_eq!(verify("correct house").await, Ok(false));
    }

    #[tokio::test]
    async fn the_same_password_typed_on_another_keyboard_is_the_same() {
        let hasher = hasher(8);
        let composed = hasher
            .hash(password("Caf\u{e9} \u{2460}234"))
            .await
            .unwrap();
        let decomposed = password("Cafe\u{301} 1234");
        assert_eq!(hasher.verify(Some(&composed), decomposed).await, Ok(true));
    }

    #[tokio::test]
    async fn without_the_pepper_a_stored_hash_is_worthless() {
        let stored = hasher(8).hash(password("correct horse")).await.unwrap();
        let config = PasswordConfig {
            memory_kib: 8192,
            iterations: 1,
            ..PasswordConfig::default()
        };
        let other = PasswordHasher::new(config, Pepper::from([8; 32])).unwrap();
        let verdict = other.verify(Some(&stored), password("correct horse")).await;
        assert_eq!(verdict, Ok(false));
    }

    #[tokio::test]
    async fn nobody_and_broken_hashes_match_nothing() {
        let hasher = hasher(8);
        for stored in [None, Some(""), Some("$argon2id$"), Some("plain text")] {
            let verdict = hasher.verify(stored, password("correct horse")).await;
            assert_eq!(verdict, Ok(false), "{stored:?}");
        }
    }

    #[tokio::test]
    async fn equal_passwords_have_different_hashes() {
        let hasher = hasher(8);
        let one = hasher.hash(password("correct horse")).await.unwrap();
        let other = hasher.hash(password("correct horse")).await.unwrap();
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn hashes_of_older_settings_still_match_and_ask_to_be_renewed() {
        let hasher = hasher(8);
        let stored = hasher.hash(password("correct horse")).await.unwrap();
        assert!(!hasher.needs_rehash(&stored));
        let config = PasswordConfig {
            memory_kib: 8192,
            iterations: 2,
            ..PasswordConfig::default()
        };
        let stronger = PasswordHasher::new(config, Pepper::from([7; 32])).unwrap();
        assert!(stronger.needs_rehash(&stored));
        let verdict = stronger
            .verify(Some(&stored), password("correct horse"))
            .await;
        assert_eq!(verdict, Ok(true));
    }

    #[tokio::test]
    async fn a_crowd_beyond_the_bound_is_told_to_come_back() {
        let hasher = hasher(1);
        let _computing = Arc::clone(&hasher.turns).acquire_owned().await.unwrap();
        let _admitted = Arc::clone(&hasher.admission).acquire_owned().await.unwrap();
        let mut waiting = Box::pin(hasher.hash(password("correct horse")));
        let poll_once = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(poll_once.await, "waits for its turn");
        assert_eq!(
            hasher.hash(password("correct horse")).await,
            Err(HashError::Busy)
        );
        drop(waiting);
        assert_eq!(
            hasher.admission.available_permits(),
            1,
            "one who goes away makes room"
        );
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |change: fn(&mut PasswordConfig)| {
            let mut config = PasswordConfig::default();
            change(&mut config);
            PasswordHasher::new(config, Pepper::from([0; 32])).is_err()
        };
        assert!(refused(|c| c.memory_kib = 64));
        assert!(refused(|c| c.iterations = 0));
        assert!(refused(|c| c.parallelism = 0));
        assert!(refused(|c| c.concurrency = 0));
        assert!(refused(|c| c.concurrency = usize::MAX));
        assert!(refused(|c| c.max_waiting = usize::MAX));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(
            format!(
                "{:?} {:?}",
                password("correct horse"),
                Pepper::from([7; 32])
            ),
            "Password([redacted]) Pepper([redacted])"
        );
    }
}
