//! Attribute macros of mainstay-resilience.
