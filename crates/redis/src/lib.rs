//! One hardened Redis or Valkey client: bounded waits, fail fast, re-arming subscriptions.
