//! Settings of the use cases.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Settings of the use cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The system prompt when no persona is named.
    pub assistant_prompt: String,
    /// The answer of last resort, when no model, no older answer and no
    /// passage of the knowledge base can serve.
    pub default_answer: String,
    /// How long an answer may be served again, in seconds. Default one day.
    pub answer_ttl_seconds: u64,
    /// How long an answer that is past its time may still stand in for a
    /// model that cannot be reached, in seconds. Default seven days.
    pub answer_stale_seconds: u64,
    /// The most messages of a conversation that a model is shown. Default 40.
    pub history_messages: u32,
    /// The most characters of a conversation that a model is shown. Default 48,000.
    pub history_characters: usize,
    /// How long a run goes on while nobody watches it, in seconds. Default 300.
    pub unwatched_seconds: u64,
    /// How long a refresh token lives unless it is used, in seconds. Default 30 days.
    pub refresh_token_seconds: u64,
    /// How long an invitation can be redeemed, in seconds. Default seven days.
    pub invitation_seconds: u64,
    /// Who may register.
    pub registration: RegistrationPolicy,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationPolicy {
    /// Anybody.
    Open,
    /// Whoever holds an invitation.
    Invite,
    /// Nobody.
    Closed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            assistant_prompt: "You are a careful assistant. Answer the question that was asked, \
                               say what you are not sure of, and be brief."
                .to_owned(),
            default_answer: "No model can be reached at the moment, and nothing in the knowledge \
                             base answers this. Please ask again in a few minutes."
                .to_owned(),
            answer_ttl_seconds: 24 * 3600,
            answer_stale_seconds: 7 * 24 * 3600,
            history_messages: 40,
            history_characters: 48_000,
            unwatched_seconds: 300,
            refresh_token_seconds: 30 * 24 * 3600,
            invitation_seconds: 7 * 24 * 3600,
            registration: RegistrationPolicy::Invite,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidConfig {
    /// Which setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the first setting that cannot work.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let positive = [
            ("answer_ttl_seconds", self.answer_ttl_seconds),
            ("refresh_token_seconds", self.refresh_token_seconds),
            ("invitation_seconds", self.invitation_seconds),
            ("unwatched_seconds", self.unwatched_seconds),
            ("history_messages", u64::from(self.history_messages)),
        ];
        if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(InvalidConfig {
                field,
                reason: "must be at least 1",
            });
        }
        let texts = [
            ("assistant_prompt", &self.assistant_prompt),
            ("default_answer", &self.default_answer),
        ];
        if let Some((field, _)) = texts.into_iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(InvalidConfig {
                field,
                reason: "must not be empty",
            });
        }
        Ok(())
    }

    pub(crate) const fn unwatched(&self) -> Duration {
        Duration::from_secs(self.unwatched_seconds)
    }
}
