//! Tokens that a model counted.

use serde::{Deserialize, Serialize};

/// Tokens of one answer as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens read, cached ones included.
    #[serde(rename = "input_tokens")]
    pub input: u64,
    /// Tokens written.
    #[serde(rename = "output_tokens")]
    pub output: u64,
    /// The part of `input` that the provider read from its own prompt cache.
    #[serde(rename = "cached_tokens")]
    pub cached: u64,
}
