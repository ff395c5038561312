//! Carry a command to its outcome through governance, cache, database and AI.
