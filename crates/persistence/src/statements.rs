//! Statements of the manager itself, and those that are prepared before the
//! first request needs them.

use crate::repositories::{executions, idempotency, messages, sessions, usage};

/// A real question: the schema is there and the connection answers.
pub(crate) const VERIFY: &str = "SELECT FROM workspaces LIMIT 1";

/// The statements of the hot paths.
pub(crate) const HOT: &[&str] = &[
    crate::keys::SELECT,
    executions::FIND_EXACT,
    executions::BEGIN,
    executions::FINISH,
    messages::BEGIN,
    messages::FINISH,
    messages::LIST,
    sessions::REVOKED_SINCE,
    usage::RECORD_BATCH,
    idempotency::CLAIM,
];

/// Analyses each of our tables whose rows changed by a tenth since the last
/// time, under a lock that makes others skip it.
pub(crate) const ANALYSE_STALE: &str = "
DO $$
DECLARE stale regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7883955471226790498) THEN RETURN; END IF;
    FOR stale IN
        SELECT relid::regclass FROM pg_stat_user_tables
        WHERE schemaname = current_schema()
          AND n_mod_since_analyze > 1000 AND n_mod_since_analyze > n_live_tup / 10
    LOOP
        EXECUTE format('ANALYZE (SKIP_LOCKED) %s', stale);
    END LOOP;
END $$";
