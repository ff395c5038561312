//! Resilient cache tiers: memory, disk, Redis, read-through with single flight.
