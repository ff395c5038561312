//! One model at one provider, with everything that is known and shared of it.

use std::sync::Arc;
use std::time::Duration;

use mainstay_resilience::{Backoff, CircuitBreaker, RetryBudget, SharedClock};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::{
    AuthScheme, Config, ConfigError, DeploymentConfig, MaxTokensField, OpenAiApi, ProviderConfig,
    ProviderKind, Timeouts,
};
use crate::dialect::{Quirks, Wire};
use crate::pace::Pace;

const ANTHROPIC_VERSION: &str = "2023-06-01";

/// From this version on the provider refuses sampling settings.
const ANTHROPIC_WITHOUT_SAMPLING: &str = "2026-10-21";

/// Models that answer 400 to a temperature.
const WITHOUT_SAMPLING: [&str; 12] = [
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-haiku-5",
    "claude-fable",
    "claude-mythos",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "gpt-5",
    "gpt-6",
    "o1",
    "o3",
    "o4",
];

/// A provider and its connections.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) kind: ProviderKind,
    pub(crate) wire: Wire,
    /// Without a slash at its end.
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) headers: HeaderMap,
    pub(crate) timeouts: Timeouts,
    max_tokens_field: MaxTokensField,
    sampling: bool,
}

/// One model at one provider.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) provider: Arc<Provider>,
    pub(crate) model: String,
    pub(crate) quirks: Quirks,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) budget: RetryBudget,
    pub(crate) backoff: Backoff,
    pub(crate) pace: Pace,
}

/// How a deployment does, for a health page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentHealth {
    /// `provider/model`.
    pub name: String,
    /// Whether it would be asked now.
    pub available: bool,
    /// The state of its breaker, such as `closed` or `open`.
    pub state: &'static str,
    /// Failures in a row.
    pub consecutive_failures: u64,
    /// When it may be asked again, if it may not be now.
    pub retry_after: Option<Duration>,
    /// The usual time to the first piece of an answer; `None` while unknown.
    pub latency: Option<Duration>,
}

impl Provider {
    pub(crate) fn new(
        config: &ProviderConfig,
        shared: &Timeouts,
        at: &str,
    ) -> Result<Self, ConfigError> {
        let timeouts = config.timeouts.unwrap_or(*shared);
        let base = config.base_url.as_deref().unwrap_or(match config.kind {
            ProviderKind::Anthropic => "https://api.anthropic.com",
            ProviderKind::OpenAi => "https://api.openai.com/v1",
        });
        Ok(Self {
            name: config.name.clone(),
            kind: config.kind,
            wire: match (config.kind, config.openai_api) {
                (ProviderKind::OpenAi, OpenAiApi::Responses) => Wire::Responses,
                (kind, _) => Wire::from(kind),
            },
            base: base.trim_end_matches('/').to_owned(),
            http: connections(config, &timeouts, at)?,
            headers: headers(config, at)?,
            timeouts,
            max_tokens_field: config.max_tokens_field.unwrap_or_else(|| usual_field(base)),
            sampling: config.kind == ProviderKind::OpenAi
                || config
                    .anthropic_version
                    .as_deref()
                    .unwrap_or(ANTHROPIC_VERSION)
                    < ANTHROPIC_WITHOUT_SAMPLING,
        })
    }
}

/// One pool of connections per provider, made once.
fn connections(
    config: &ProviderConfig,
    timeouts: &Timeouts,
    at: &str,
) -> Result<reqwest::Client, ConfigError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(timeouts.connect())
        .tcp_nodelay(true)
        // A redirect would carry the key to an address nobody configured.
        .redirect(redirect::Policy::none())
        // This crate retries; the transport repeating a request by itself
        // would be a second layer.
        .retry(reqwest::retry::never())
        .user_agent(concat!("mainstay-ai/", env!("CARGO_PKG_VERSION")));
    builder = match &config.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(|_| {
            ConfigError::new(format!("{at}.proxy"), "is not a proxy that can be used")
        })?),
        None => builder.no_proxy(),
    };
    builder.build().map_err(|_| {
        ConfigError::new(
            at,
            "TLS cannot be set up; are the system's root certificates installed?",
        )
    })
}

fn headers(config: &ProviderConfig, at: &str) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: &str, field: &str, secret: bool| {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            ConfigError::new(format!("{at}.{field}"), "holds what cannot be a header")
        })?;
        value.set_sensitive(secret);
        headers.insert(name, value);
        Ok::<(), ConfigError>(())
    };
    put(
        HeaderName::from_static("content-type"),
        "application/json",
        "headers",
        false,
    )?;
    if config.kind == ProviderKind::Anthropic {
        let version = config
            .anthropic_version
            .as_deref()
            .unwrap_or(ANTHROPIC_VERSION);
        put(
            HeaderName::from_static("anthropic-version"),
            version,
            "anthropic_version",
            false,
        )?;
        if let Some(beta) = &config.anthropic_beta {
            put(
                HeaderName::from_static("anthropic-beta"),
                beta,
                "anthropic_beta",
                false,
            )?;
        }
    }
    let key = config.api_key.expose_secret();
    if !key.is_empty() {
        let scheme = config.auth.unwrap_or(match config.kind {
            ProviderKind::Anthropic => AuthScheme::XApiKey,
            ProviderKind::OpenAi => AuthScheme::Bearer,
        });
        match scheme {
            AuthScheme::Bearer => {
                put(
                    HeaderName::from_static("authorization"),
                    &format!("Bearer {key}"),
                    "api_key",
                    true,
                )?;
            }
            AuthScheme::XApiKey => put(HeaderName::from_static("x-api-key"), key, "api_key", true)?,
            AuthScheme::ApiKey => put(HeaderName::from_static("api-key"), key, "api_key", true)?,
            AuthScheme::None => {}
        }
    }
    for (name, value) in &config.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            ConfigError::new(format!("{at}.headers"), "holds what cannot be a header")
        })?;
        put(name, value, "headers", true)?;
    }
    Ok(headers)
}

fn usual_field(base: &str) -> MaxTokensField {
    let host = url::Url::parse(base)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let vendors = ["openai.com", "azure.com"];
    if host.is_some_and(|host| vendors.iter().any(|vendor| host.ends_with(vendor))) {
        MaxTokensField::MaxCompletionTokens
    } else {
        MaxTokensField::MaxTokens
    }
}

impl Deployment {
    pub(crate) fn new(
        config: &DeploymentConfig,
        provider: Arc<Provider>,
        shared: &Config,
        clock: &SharedClock,
    ) -> Result<Self, ConfigError> {
        let name = format!("{}/{}", provider.name, config.model);
        let wrong = |error: mainstay_resilience::ConfigError| {
            ConfigError::new(error.field(), error.reason())
        };
        let retry = &shared.retry;
        let known = !WITHOUT_SAMPLING
            .iter()
            .any(|prefix| config.model.starts_with(prefix));
        Ok(Self {
            breaker: CircuitBreaker::builder(format!("ai {name}"))
                .consecutive_failures(shared.breaker.consecutive_failures)
                .open_for(Duration::from_millis(shared.breaker.open_ms))
                .clock(Arc::clone(clock))
                .build()
                .map_err(wrong)?,
            budget: RetryBudget::builder()
                .ratio(retry.budget_ratio)
                .floor_per_second(retry.budget_per_second)
                .clock(Arc::clone(clock))
                .build()
                .map_err(wrong)?,
            backoff: Backoff::new(
                Duration::from_millis(retry.backoff_ms),
                Duration::from_millis(retry.max_backoff_ms),
            )
            .map_err(wrong)?,
            quirks: Quirks {
                sampling: config.sampling.unwrap_or(known && provider.sampling),
                max_tokens_field: provider.max_tokens_field,
            },
            pace: Pace::default(),
            model: config.model.clone(),
            provider,
            name,
        })
    }

    pub(crate) fn health(&self, now: Duration) -> DeploymentHealth {
        let breaker = self.breaker.snapshot();
        let cooling = self.pace.cool_until().saturating_sub(now);
        let retry_after = breaker.retry_after.unwrap_or_default().max(cooling);
        let latency = self.pace.latency();
        DeploymentHealth {
            name: self.name.clone(),
            available: retry_after.is_zero(),
            state: breaker.state.as_str(),
            consecutive_failures: breaker.failures,
            retry_after: (!retry_after.is_zero()).then_some(retry_after),
            latency: (!latency.is_zero()).then_some(latency),
        }
    }
}
