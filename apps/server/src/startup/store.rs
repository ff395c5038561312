//! The keyring and the database.

use super::{StartError, part};
use crate::{
    readiness::{Component, ComponentState, Phase, Readiness},
    settings::Settings,
    telemetry::Metrics,
};
use mainstay_encryption::{Keyring, Vault};
use mainstay_persistence::{Database, DatabaseStatus};
use mainstay_resilience::SharedClock;
use std::{fs, os::unix::fs::DirBuilderExt as _};

/// The vault over the deployment's keyring, which is made at the first start
/// unless a file was named: a named file that is missing was lost, and a new
/// one would not open what is stored.
pub(super) fn vault(settings: &Settings) -> Result<Vault, StartError> {
    let keyring = match &settings.encryption.keyring_file {
        Some(path) => Keyring::from_file(path),
        None => {
            let dir = &settings.server.state_dir;
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|error| StartError::Part {
                    part: "server.state_dir",
                    reason: format!("{} cannot be made: {error}", dir.display()),
                })?;
            Keyring::from_file_or_generate(&dir.join("keyring.json"))
        }
    };
    keyring
        .map(Vault::new)
        .map_err(|error| part("encryption.keyring_file")(&error))
}

/// The database, not yet connected.
pub(super) fn database(
    settings: &Settings,
    clock: &SharedClock,
    vault: &Vault,
) -> Result<Database, StartError> {
    let Some(url) = settings.database.url.clone() else {
        return Err(StartError::Part {
            part: "database.url",
            reason: "it is not set; set it to postgres://user:password@host:5432/mainstay"
                .to_owned(),
        });
    };
    let config = settings.database.config(url);
    Database::new(config, clock.clone(), vault.clone()).map_err(|error| part("database")(&error))
}

/// Lets readiness and metrics look at the database.
pub(super) fn watch(database: &Database, readiness: &Readiness, metrics: &Metrics) {
    let watched = database.clone();
    readiness.watch(move || component(watched.status()));
    let watched = database.clone();
    metrics.sample(Box::new(move |metrics| {
        let pool = watched.status().pool;
        for (state, count) in [
            ("idle", pool.idle),
            ("in_use", pool.in_use),
            ("max", pool.max),
            ("waiting", pool.waiting),
        ] {
            metrics
                .database_pool_size
                .with_label_values(&[state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }));
}

fn component(status: DatabaseStatus) -> Component {
    let state = match (status.ready, status.reachable) {
        (false, _) => ComponentState::Starting,
        (true, true) => ComponentState::Ready,
        (true, false) => ComponentState::Unavailable,
    };
    Component {
        name: "database",
        state,
        required: true,
        phase: (!status.ready).then(|| Phase {
            name: status.phase.as_str().to_owned(),
            index: status.index,
            of: status.of,
        }),
        reason: status.reason,
    }
}
