//! From settings to a client, refusing what makes no sense.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mainstay_resilience::{SharedClock, default_clock};

use super::{Client, Inner, Route};
use crate::config::{Config, ConfigError};
use crate::deployment::{Deployment, Provider};
use crate::price::Catalogue;

/// Builds a [`Client`].
#[derive(Debug)]
#[must_use = "nothing happens before build"]
pub struct ClientBuilder {
    config: Config,
    clock: Option<SharedClock>,
    catalogue: Option<Catalogue>,
}

impl ClientBuilder {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            clock: None,
            catalogue: None,
        }
    }

    /// The clock for deadlines, breakers and prices. Default: the system's, or
    /// tokio's while its time is paused.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The prices that the configuration's own extend. Default: the built-in list.
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Builds the client. Nothing is sent: a provider that cannot be reached
    /// is found out by the first call.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn build(self) -> Result<Client, ConfigError> {
        let config = self.config;
        config.validate()?;
        let clock = self.clock.unwrap_or_else(default_clock);
        let catalogue = match self.catalogue {
            Some(catalogue) => catalogue,
            None => Catalogue::built_in()
                .map_err(|error| ConfigError::new("prices", error.to_string()))?,
        };
        let mut providers = HashMap::new();
        for (i, provider) in config.providers.iter().enumerate() {
            let built = Provider::new(provider, &config.timeouts, &format!("providers[{i}]"))?;
            providers.insert(provider.name.as_str(), Arc::new(built));
        }
        let routes = routes(&config, &providers, &clock)?;
        let names: Vec<String> = config
            .models
            .iter()
            .map(|model| model.name.clone())
            .collect();
        Ok(Client {
            inner: Arc::new(Inner {
                default_model: config
                    .default_model
                    .clone()
                    .or_else(|| names.first().cloned()),
                catalogue: catalogue.with_overrides(&config.prices),
                clock,
                routes: routes.by_name,
                names,
                deployments: routes.deployments,
                calls: AtomicU64::new(0),
                config,
            }),
        })
    }
}

struct Routes {
    by_name: HashMap<String, Route>,
    deployments: Vec<Arc<Deployment>>,
}

/// A deployment that several models name is one deployment: its breaker, its
/// cooling and its budget are about the provider's model, not about our name.
fn routes(
    config: &Config,
    providers: &HashMap<&str, Arc<Provider>>,
    clock: &SharedClock,
) -> Result<Routes, ConfigError> {
    let mut routes = HashMap::new();
    let mut all: Vec<Arc<Deployment>> = Vec::new();
    for (i, model) in config.models.iter().enumerate() {
        let mut chain = Vec::new();
        for (j, wanted) in model.deployments.iter().enumerate() {
            let at = format!("models[{i}].deployments[{j}]");
            let provider = providers.get(wanted.provider.as_str()).ok_or_else(|| {
                ConfigError::new(
                    format!("{at}.provider"),
                    "is not the name of a configured provider",
                )
            })?;
            let built = Deployment::new(wanted, Arc::clone(provider), config, clock)?;
            let known = all.iter().find(|known| {
                known.name == built.name && known.quirks.sampling == built.quirks.sampling
            });
            let deployment = known.cloned().unwrap_or_else(|| {
                let new = Arc::new(built);
                all.push(Arc::clone(&new));
                new
            });
            chain.push((deployment, wanted.weight));
        }
        routes.insert(model.name.clone(), Route::new(model, chain));
    }
    Ok(Routes {
        by_name: routes,
        deployments: all,
    })
}
