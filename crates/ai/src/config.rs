//! Settings: providers, models and their fallback chains, limits of time and size.

mod validate;
mod vendor_env;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::price::PriceEntry;

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: String,
    reason: String,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The path of the setting, such as `providers[0].base_url`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it. Never the value: it could be a secret.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// Everything the client needs to know. The default knows no provider: such a
/// client can be built, and answers every call with
/// [`ErrorKind::NotConfigured`](crate::ErrorKind::NotConfigured).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who can be asked.
    pub providers: Vec<ProviderConfig>,
    /// The names callers use, each with its chain of deployments.
    pub models: Vec<ModelConfig>,
    /// The model of a request that names none. Default: the first of `models`.
    pub default_model: Option<String>,
    /// When to ask again.
    pub retry: RetryConfig,
    /// When to stop asking a deployment for a while.
    pub breaker: BreakerConfig,
    /// How long to wait. A provider may have its own.
    pub timeouts: Timeouts,
    /// How much to read.
    pub limits: SizeLimits,
    /// Prices that replace or extend the built-in list.
    pub prices: Vec<PriceEntry>,
}

/// The wire format a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions, which Azure, Mistral, Groq, DeepSeek, vLLM,
    /// Ollama, llama.cpp and others speak as well.
    #[serde(rename = "openai")]
    OpenAi,
}

/// Which of OpenAI's interfaces is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenAiApi {
    /// Chat completions, which everybody has.
    #[default]
    ChatCompletions,
    /// Responses, which OpenAI itself and a few others have. Conversations are
    /// not stored there.
    Responses,
}

/// How the key is shown to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer <key>`; the default of the OpenAI kind.
    Bearer,
    /// `x-api-key: <key>`; the default of the Anthropic kind.
    XApiKey,
    /// `api-key: <key>`, as Azure wants it.
    ApiKey,
    /// No key is sent, for a model server of one's own.
    None,
}

/// One provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// A name of your choice, unique among the providers.
    pub name: String,
    /// The wire format.
    pub kind: ProviderKind,
    /// As in the vendor's SDK: the Anthropic kind without `/v1`, the OpenAI
    /// kind with it. Default: the vendor's own.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The interface, for the OpenAI kind. Default: chat completions.
    #[serde(default)]
    pub openai_api: OpenAiApi,
    /// The key. Default: empty, which is right for servers that want none.
    #[serde(default)]
    pub api_key: SecretString,
    /// How the key is sent. Default: as the kind's vendor wants it.
    #[serde(default)]
    pub auth: Option<AuthScheme>,
    /// The `anthropic-version` header. Default `2023-06-01`. From `2026-10-21`
    /// on sampling settings are refused by the provider and not sent.
    #[serde(default)]
    pub anthropic_version: Option<String>,
    /// The `anthropic-beta` header, such as `context-1m-2025-08-07`.
    #[serde(default)]
    pub anthropic_beta: Option<String>,
    /// Further headers of every request, such as `openai-organization`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The name of the field that limits the answer in chat completions:
    /// `max_completion_tokens` for OpenAI itself and Azure, `max_tokens` for
    /// everybody else. Default: by the host of `base_url`.
    #[serde(default)]
    pub max_tokens_field: Option<MaxTokensField>,
    /// A proxy for this provider. Default: none, whatever the environment says.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Waits for this provider alone, in place of the client's.
    #[serde(default)]
    pub timeouts: Option<Timeouts>,
}

impl ProviderConfig {
    /// A provider with the vendor's address and every default.
    pub fn new(
        name: impl Into<String>,
        kind: ProviderKind,
        api_key: impl Into<SecretString>,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url: None,
            openai_api: OpenAiApi::default(),
            api_key: api_key.into(),
            auth: None,
            anthropic_version: None,
            anthropic_beta: None,
            headers: BTreeMap::new(),
            max_tokens_field: None,
            proxy: None,
            timeouts: None,
        }
    }

    /// The same provider at another address.
    #[must_use]
    pub fn at(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }
}

/// See [`ProviderConfig::max_tokens_field`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// The older name, which compatible servers understand.
    MaxTokens,
    /// The newer name, which OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

/// A name that callers use, and who answers to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The name.
    pub name: String,
    /// Who is asked, in the order of [`strategy`](Self::strategy).
    pub deployments: Vec<DeploymentConfig>,
    /// How the order is made. Default: as written.
    #[serde(default)]
    pub strategy: Strategy,
    /// When the first deployment has not begun to answer after so many
    /// milliseconds, the next one is asked as well, and the quicker one
    /// answers. It costs the input tokens twice, so each comes out of the retry
    /// budget. Default: none, nobody is asked twice.
    #[serde(default)]
    pub hedge_after_ms: Option<u64>,
}

impl ModelConfig {
    /// A model with this chain of `(provider, model)`.
    pub fn new<'a>(
        name: impl Into<String>,
        chain: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self {
            name: name.into(),
            deployments: chain
                .into_iter()
                .map(|(provider, model)| DeploymentConfig::new(provider, model))
                .collect(),
            strategy: Strategy::Ordered,
            hedge_after_ms: None,
        }
    }
}

/// The order in which a model's deployments are asked. Whatever the order, one
/// that is broken or cooling down is passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// As written: the first is preferred, the others are its fallbacks.
    #[default]
    Ordered,
    /// Shares of the calls by `weight`, the others as fallbacks.
    Weighted,
    /// The one that has lately answered first goes first.
    LeastLatency,
    /// The one with the lowest output price goes first, unknown prices last.
    Cheapest,
}

/// One model at one provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentConfig {
    /// The name of a provider.
    pub provider: String,
    /// The provider's own model id.
    pub model: String,
    /// Its share under [`Strategy::Weighted`]. Default 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether the model takes a temperature. Default: what is known of the
    /// model; models not known to refuse it are sent it.
    #[serde(default)]
    pub sampling: Option<bool>,
}

impl DeploymentConfig {
    /// A deployment with every default.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            model: model.into(),
            weight: 1,
            sampling: None,
        }
    }
}

fn one() -> u32 {
    1
}

/// When to ask again. This crate is the one layer that retries.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// The most attempts of one call over all its deployments. Default 4.
    pub max_attempts: u32,
    /// The most attempts of one call at one deployment. Default 2.
    pub attempts_per_deployment: u32,
    /// The longest first wait before asking a deployment again; it doubles with
    /// each attempt, and the wait is drawn evenly from zero to it. Default 400.
    pub backoff_ms: u64,
    /// The longest such wait. Default 8,000. A provider's `Retry-After` is not
    /// bounded by this, only by the deadline.
    pub max_backoff_ms: u64,
    /// When a deployment that failed may be asked again within this time, the
    /// call waits for it rather than going on to the next one, so that a hiccup
    /// does not change the model. Default 500.
    pub patience_ms: u64,
    /// Retries allowed per first attempt over time, above 0 and at most 1.
    /// Default 0.2: under a total
    /// outage a fifth more requests are sent, not three times as many.
    pub budget_ratio: f64,
    /// Retries per second allowed on top, so that quiet times can retry. Default 2.
    pub budget_per_second: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            attempts_per_deployment: 2,
            backoff_ms: 400,
            max_backoff_ms: 8_000,
            patience_ms: 500,
            budget_ratio: 0.2,
            budget_per_second: 2,
        }
    }
}

/// When to stop asking a deployment for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// It opens after this many failures in a row. Default 5.
    pub consecutive_failures: u32,
    /// It stays open this long. Default 60,000.
    pub open_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            open_ms: 60_000,
        }
    }
}

/// How long to wait. The caller's deadline bounds them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For the connection, TLS included. Default 5,000. A working provider
    /// connects in well under a second.
    pub connect_ms: u64,
    /// From sending to the first piece of a streamed answer. Default 30,000:
    /// reasoning models think before they speak.
    pub first_token_ms: u64,
    /// Between two pieces of a streamed answer; keep-alives count. Default 30,000.
    pub idle_ms: u64,
    /// For one attempt in all. Default 300,000.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            first_token_ms: 30_000,
            idle_ms: 30_000,
            total_ms: 300_000,
        }
    }
}

impl Timeouts {
    pub(crate) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(crate) fn first_token(&self) -> Duration {
        Duration::from_millis(self.first_token_ms)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_millis(self.total_ms)
    }
}

/// How much to read of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SizeLimits {
    /// Of an answer that is not streamed. Default 16 MiB.
    pub response_bytes: usize,
    /// Of one event of a stream. Default 1 MiB.
    pub event_bytes: usize,
    /// Of the text of a streamed answer. Default 16 MiB.
    pub streamed_text_bytes: usize,
    /// Of an error answer; what is beyond is not read. Default 64 KiB.
    pub error_bytes: usize,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            response_bytes: 16 << 20,
            event_bytes: 1 << 20,
            streamed_text_bytes: 16 << 20,
            error_bytes: 64 << 10,
        }
    }
}
