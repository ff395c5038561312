//! Bound the damage of a call: deadlines, retries, circuit breakers, bulkheads, limits and fallbacks.
