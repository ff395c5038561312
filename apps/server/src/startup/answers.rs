//! What answers are made with: Redis, the cache, the models, the use cases.

use super::{StartError, part};
use crate::{
    readiness::{Component, ComponentState, Readiness},
    settings::{Registration, Settings},
    telemetry::Metrics,
};
use mainstay_ai::Client;
use mainstay_cache::{Cache, EncryptionKey, TierStats, WarmConfig};
use mainstay_encryption::Vault;
use mainstay_identity::{PasswordConfig, PasswordHasher, Pepper};
use mainstay_orchestrator::{Config, RegistrationPolicy, TokenObserver};
use mainstay_redis::{Redis, State};
use mainstay_resilience::SharedClock;

/// Redis, connecting in the background, when there is a URL.
pub(super) fn redis(
    settings: &Settings,
    clock: &SharedClock,
    readiness: &Readiness,
) -> Result<Option<Redis>, StartError> {
    let Some(config) = settings.redis.config() else {
        return Ok(None);
    };
    let redis = Redis::connect(config, clock.clone()).map_err(|error| part("redis")(&error))?;
    let watched = redis.clone();
    readiness.watch(move || {
        let state = watched.state();
        Component {
            name: "redis",
            state: match state {
                State::Connected => ComponentState::Ready,
                _ => ComponentState::Unavailable,
            },
            required: false,
            phase: None,
            reason: (state != State::Connected).then(|| {
                format!(
                    "{}; answers are not shared between instances",
                    state.as_str()
                )
            }),
        }
    });
    Ok(Some(redis))
}

/// The cache over its tiers. A disk or a Redis that does not work is no
/// error: the tier is unavailable, and heals.
pub(super) async fn cache(
    settings: &Settings,
    clock: &SharedClock,
    vault: &Vault,
    redis: Option<Redis>,
    readiness: &Readiness,
    metrics: &Metrics,
) -> Result<Cache, StartError> {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let key = vault
        .derive("cache")
        .map_err(|error| part("cache key")(&error))?;
    let mut builder = Cache::builder()
        .name("answers")
        .hot(bytes(settings.cache.hot_bytes))
        .encryption(EncryptionKey::new(*key))
        .clock(clock.clone());
    if settings.cache.warm_bytes > 0 {
        let dir = match &settings.cache.dir {
            Some(dir) => dir.clone(),
            None => settings.server.state_dir.join("cache"),
        };
        let mut warm = WarmConfig::new(dir);
        warm.bytes = bytes(settings.cache.warm_bytes);
        builder = builder.warm(warm);
    }
    if let Some(redis) = redis {
        builder = builder.shared(redis, settings.redis.prefix.clone());
    }
    let cache = builder
        .build()
        .await
        .map_err(|error| part("cache")(&error))?;
    let watched = cache.read_only();
    readiness.watch(move || {
        let stats = watched.stats();
        let down: Vec<&str> = [("disk", &stats.warm), ("shared", &stats.shared)]
            .into_iter()
            .filter(|(_, tier)| tier.as_ref().is_some_and(|tier: &TierStats| !tier.up))
            .map(|(name, _)| name)
            .collect();
        Component {
            name: "cache",
            state: if down.is_empty() {
                ComponentState::Ready
            } else {
                ComponentState::Degraded
            },
            required: false,
            phase: None,
            reason: (!down.is_empty()).then(|| format!("without its tier: {}", down.join(", "))),
        }
    });
    let watched = cache.read_only();
    metrics.sample(Box::new(move |metrics| {
        metrics
            .cache_hit_rate
            .set(watched.stats().hit_rate.unwrap_or(0.0));
    }));
    Ok(cache)
}

/// The models. Without any, the non-AI chain answers, and readiness says so.
pub(super) fn models(
    settings: &Settings,
    clock: &SharedClock,
    readiness: &Readiness,
) -> Result<Client, StartError> {
    let client = Client::builder(settings.ai.0.clone())
        .clock(clock.clone())
        .build()
        .map_err(|error| part("ai")(&error))?;
    if !client.has_models() {
        tracing::warn!(
            component = "ai",
            "no model provider is configured; answers come from the cache, the knowledge base or a fixed text"
        );
    }
    let watched = client.clone();
    readiness.watch(move || {
        let reason = (!watched.has_models())
            .then(|| "no model provider is configured; the non-AI chain answers".to_owned());
        Component {
            name: "ai",
            state: match reason {
                None => ComponentState::Ready,
                Some(_) => ComponentState::Degraded,
            },
            required: false,
            phase: None,
            reason,
        }
    });
    Ok(client)
}

/// Counts what models use, as their providers bill it.
pub(super) fn token_counter(metrics: &Metrics) -> TokenObserver {
    let counter = metrics.ai_token_usage.clone();
    TokenObserver::new(move |model, tokens| {
        for (kind, count) in [
            ("input", tokens.input),
            ("output", tokens.output),
            ("cached", tokens.cached),
        ] {
            counter.with_label_values(&[model, kind]).inc_by(count);
        }
    })
}

/// Password hashing with the deployment's pepper.
pub(super) fn hasher(settings: &Settings, vault: &Vault) -> Result<PasswordHasher, StartError> {
    let pepper = vault
        .derive("password pepper")
        .map_err(|error| part("password pepper")(&error))?;
    let config = PasswordConfig {
        memory_kib: settings.auth.hash_memory_kib,
        concurrency: settings.auth.hash_concurrency,
        ..PasswordConfig::default()
    };
    PasswordHasher::new(config, Pepper::from(*pepper)).map_err(|error| part("auth")(&error))
}

/// The use cases' settings.
pub(super) fn config(settings: &Settings) -> Config {
    Config {
        refresh_token_seconds: settings.auth.refresh_token_seconds,
        registration: match settings.auth.registration {
            Registration::Open => RegistrationPolicy::Open,
            Registration::Invite => RegistrationPolicy::Invite,
            Registration::Closed => RegistrationPolicy::Closed,
        },
        ..Config::default()
    }
}
