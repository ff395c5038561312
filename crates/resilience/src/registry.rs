//! All policies of a process by name: for reloading, and for a health page.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    BreakerConfig, BreakerSnapshot, CircuitBreaker, ConfigError, Name, Pipeline, PipelineConfig,
    PipelineSnapshot, SharedObserver,
};

/// Pipelines and breakers by name. A handle to one shared map, cheap to clone.
///
/// ```
/// use mainstay_resilience::{PipelineConfig, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let postgres = registry.pipeline("postgres", &PipelineConfig::default())?;
/// assert_eq!(postgres.name(), "postgres");
/// assert_eq!(registry.snapshot().pipelines.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    maps: RwLock<Maps>,
    observer: Option<SharedObserver>,
}

#[derive(Default)]
struct Maps {
    pipelines: BTreeMap<String, Pipeline>,
    breakers: BTreeMap<String, CircuitBreaker>,
}

/// The settings of everything in a registry, by name.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct RegistryConfig {
    /// The pipelines.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// The breakers that stand alone.
    pub breakers: BTreeMap<String, BreakerConfig>,
}

/// The state of everything in a registry, ordered by name.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RegistrySnapshot {
    /// The pipelines.
    pub pipelines: Vec<PipelineSnapshot>,
    /// The breakers that stand alone.
    pub breakers: Vec<BreakerSnapshot>,
}

/// A setting that makes no sense, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {error}")]
pub struct ReloadError {
    name: String,
    #[source]
    error: ConfigError,
}

impl ReloadError {
    /// The name of the pipeline or breaker.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it.
    pub fn error(&self) -> &ConfigError {
        &self.error
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry whose policies will all tell `observer`.
    pub fn with_observer(observer: SharedObserver) -> Self {
        Self {
            inner: Arc::new(Inner {
                maps: RwLock::default(),
                observer: Some(observer),
            }),
        }
    }

    /// The pipeline called `name`, made from `config` when there is none yet.
    ///
    /// # Errors
    /// When it has to be made and the settings make no sense.
    pub fn pipeline(&self, name: &str, config: &PipelineConfig) -> Result<Pipeline, ConfigError> {
        if let Some(pipeline) = self.find_pipeline(name) {
            return Ok(pipeline);
        }
        // Made outside the lock; whoever comes second takes the first's.
        let made = Pipeline::from_config(name.to_owned(), config, self.inner.observer.clone())?;
        let mut maps = self.write();
        Ok(maps
            .pipelines
            .entry(name.to_owned())
            .or_insert(made)
            .clone())
    }

    /// The breaker called `name`, made from `config` when there is none yet.
    ///
    /// # Errors
    /// When it has to be made and the settings make no sense.
    pub fn breaker(
        &self,
        name: &str,
        config: &BreakerConfig,
    ) -> Result<CircuitBreaker, ConfigError> {
        if let Some(breaker) = self.find_breaker(name) {
            return Ok(breaker);
        }
        let mut builder =
            CircuitBreaker::builder(Name::from(name.to_owned())).config(config.clone());
        if let Some(observer) = &self.inner.observer {
            builder = builder.observer(Arc::clone(observer));
        }
        let made = builder.build()?;
        let mut maps = self.write();
        Ok(maps.breakers.entry(name.to_owned()).or_insert(made).clone())
    }

    /// Adds a pipeline under its own name, in place of any other of that name.
    pub fn insert_pipeline(&self, pipeline: Pipeline) {
        let name = pipeline.name().to_owned();
        self.write().pipelines.insert(name, pipeline);
    }

    /// Adds a breaker under its own name, in place of any other of that name.
    pub fn insert_breaker(&self, breaker: CircuitBreaker) {
        let name = breaker.name().to_owned();
        self.write().breakers.insert(name, breaker);
    }

    /// The pipeline called `name`.
    pub fn find_pipeline(&self, name: &str) -> Option<Pipeline> {
        self.read().pipelines.get(name).cloned()
    }

    /// The breaker called `name`.
    pub fn find_breaker(&self, name: &str) -> Option<CircuitBreaker> {
        self.read().breakers.get(name).cloned()
    }

    /// Gives new settings to all that `config` names, making what is not there
    /// yet. Everything is checked before anything changes, and what has been
    /// learned is kept. What `config` does not name stays as it is.
    ///
    /// # Errors
    /// Names the first setting that makes no sense, and whose it is.
    pub fn reload(&self, config: &RegistryConfig) -> Result<(), ReloadError> {
        let wrong = |name: &str| {
            let name = name.to_owned();
            |error| ReloadError { name, error }
        };
        for (name, pipeline) in &config.pipelines {
            pipeline.validate().map_err(wrong(name))?;
        }
        for (name, breaker) in &config.breakers {
            breaker.validate().map_err(wrong(name))?;
        }
        for (name, settings) in &config.pipelines {
            self.pipeline(name, settings)
                .and_then(|pipeline| pipeline.reconfigure(settings))
                .map_err(wrong(name))?;
        }
        for (name, settings) in &config.breakers {
            self.breaker(name, settings)
                .and_then(|breaker| breaker.reconfigure(settings))
                .map_err(wrong(name))?;
        }
        Ok(())
    }

    /// The state of everything.
    pub fn snapshot(&self) -> RegistrySnapshot {
        let maps = self.read();
        RegistrySnapshot {
            pipelines: maps.pipelines.values().map(Pipeline::snapshot).collect(),
            breakers: maps
                .breakers
                .values()
                .map(CircuitBreaker::snapshot)
                .collect(),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Maps> {
        self.inner
            .maps
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Maps> {
        self.inner
            .maps
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
