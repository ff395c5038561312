//! What a model answered, what it used, and how the client got there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ErrorKind;
use crate::price::NanoUsd;
use crate::request::ToolCall;

/// Tokens of one call, as the provider bills them.
///
/// The totals contain their parts: `cached_input_tokens`, `cache_write_tokens`
/// and `long_cache_write_tokens` are part of `input_tokens`, and
/// `reasoning_tokens` are part of `output_tokens`, whichever way the provider
/// reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All tokens put in, whether read from a cache, written to one, or neither.
    pub input_tokens: u64,
    /// All tokens that came out, reasoning included.
    pub output_tokens: u64,
    /// Input tokens that the provider read from its prompt cache.
    pub cached_input_tokens: u64,
    /// Input tokens that the provider wrote to its short-lived prompt cache.
    pub cache_write_tokens: u64,
    /// Input tokens written to a longer-lived (one hour) prompt cache.
    pub long_cache_write_tokens: u64,
    /// Output tokens spent on thinking that the answer does not show.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Input plus output.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Why the answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model had said what it wanted to say.
    Stop,
    /// One of the request's stop texts was reached.
    StopSequence,
    /// `max_tokens` or the model's window was reached; the text is cut there.
    Length,
    /// The model wants its tools called.
    ToolUse,
    /// The provider or the model declined to go on.
    Refused,
    /// A reason this crate does not know, as the provider wrote it.
    Other(String),
}

/// What one attempt at one deployment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// It gave the answer.
    Answered,
    /// It was asked and failed.
    Failed(ErrorKind),
    /// It was asked, and another one that was asked as well was quicker.
    Abandoned,
    /// It was not asked: its circuit breaker is open.
    BreakerOpen,
    /// It was not asked: the provider said to wait, and longer than this call can.
    CoolingDown,
    /// It was not asked again: the retry budget is spent.
    RetryBudgetSpent,
}

/// One line of the story of a call. Each attempt that was sent has exactly one,
/// so this is what usage records are written from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// `provider/model`.
    pub deployment: String,
    /// The provider's configured name.
    pub provider: String,
    /// The provider's own model id.
    pub model: String,
    /// What it came to.
    pub outcome: AttemptOutcome,
    /// HTTP status, when there was one.
    pub status: Option<u16>,
    /// How long it took, from sending to the end.
    pub elapsed: Duration,
    /// What the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// What it used, when the provider said or tokens had already arrived.
    pub usage: Option<Usage>,
    /// True when `usage` was counted here because the provider did not say.
    pub usage_is_estimate: bool,
    /// The provider's id of the request, for a support ticket.
    pub upstream_id: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// The text, all of it.
    pub text: String,
    /// Tools the model wants called, in order.
    pub tool_calls: Vec<ToolCall>,
    /// The provider's own id of the model that answered.
    pub model: String,
    /// The configured name that was asked for.
    pub requested_model: String,
    /// The provider's configured name.
    pub provider: String,
    /// `provider/model`.
    pub deployment: String,
    /// What it used.
    pub usage: Usage,
    /// True when `usage` was counted here because the provider did not say.
    pub usage_is_estimate: bool,
    /// What it cost by the price catalogue; `None` is unknown, never free.
    pub cost: Option<NanoUsd>,
    /// Why it ended.
    pub finish: FinishReason,
    /// The provider's id of the answer, for a support ticket.
    pub upstream_id: Option<String>,
    /// Every attempt of this call, the last one answered.
    pub attempts: Vec<AttemptReport>,
    /// From sending to the first piece of the answer; only streams know it.
    pub time_to_first_token: Option<Duration>,
    /// From the call to the last piece of the answer, failed attempts included.
    pub elapsed: Duration,
}
