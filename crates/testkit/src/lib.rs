//! Real collaborators for tests: private Postgres and Redis, breakable proxy, scripted AI upstream.
