//! Learns which sessions were ended, here or by another server, so that their
//! access tokens are refused before they expire.

use super::{Started, deadline, now};
use crate::lifecycle::Spawner;
use mainstay_identity::{Revocation, Revocations};
use mainstay_persistence::Sessions;
use mainstay_resilience::SharedClock;
use std::{sync::Arc, time::Duration};

/// A logout is in force everywhere within about this time.
const PERIOD: Duration = Duration::from_secs(5);

/// Asks for what was revoked, again and again. The first look goes back as
/// far as access tokens can live.
pub(crate) fn spawn(
    spawner: &Spawner,
    started: &Started,
    sessions: Sessions,
    revocations: &Arc<Revocations>,
    clock: &SharedClock,
    token_life: Duration,
) {
    let (started, clock) = (started.clone(), clock.clone());
    let revocations = Arc::clone(revocations);
    spawner.spawn_until_drain(async move {
        started.database().await;
        let mut since = now(&*clock).saturating_sub(token_life).unwrap_or(jiff::Timestamp::MIN);
        loop {
            let asked = now(&*clock);
            match sessions.revoked_since(since, deadline(&*clock)).await {
                Ok(revoked) => {
                    since = asked;
                    let all = revoked.into_iter().map(|one| Revocation::Session {
                        session_id: one.session_id,
                        at: one.revoked_at,
                    });
                    revocations.feed(all, asked);
                }
                Err(error) => {
                    tracing::warn!(component = "revocations", %error, "revoked sessions cannot be read");
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    });
}
