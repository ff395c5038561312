//! The client: built once, cloned everywhere.

mod build;
mod complete;
mod route;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use mainstay_resilience::{Deadline, SharedClock};

pub use build::ClientBuilder;
pub(crate) use route::Route;

use crate::config::Config;
use crate::deployment::{Deployment, DeploymentHealth};
use crate::error::{AiError, ErrorKind};
use crate::price::{Catalogue, NanoUsd};
use crate::request::ChatRequest;
use crate::response::Usage;

/// Speaks to every configured model. Cloning it is cheap, and all clones share
/// connections, breakers and budgets: build it once per process.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) catalogue: Catalogue,
    routes: HashMap<String, Route>,
    names: Vec<String>,
    default_model: Option<String>,
    deployments: Vec<Arc<Deployment>>,
    /// Picks the next of a weighted route.
    pub(crate) calls: std::sync::atomic::AtomicU64,
}

/// What a stream does when its provider fails after part of the answer has
/// been handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnInterruption {
    /// It ends with an error that says so.
    #[default]
    Fail,
    /// It withdraws what was said with
    /// [`StreamEvent::Reset`](crate::StreamEvent::Reset) and begins again with
    /// whoever can answer. What the interrupted attempt used is in its report.
    Restart,
}

/// The circumstances of one call.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// When the caller needs the answer, on the client's clock. Default: never,
    /// so that the configured timeouts alone bound the call.
    pub deadline: Deadline,
    /// W3C trace context, sent on to the provider.
    pub traceparent: Option<String>,
    /// Calls with the same value, such as a conversation's id, go to the same
    /// deployment of a [weighted](crate::Strategy::Weighted) model while it is
    /// well, so that its prompt cache is of use.
    pub affinity: Option<String>,
    /// Default: [`OnInterruption::Fail`].
    pub on_interruption: OnInterruption,
}

impl CallOptions {
    /// A call that has to be over by `deadline`.
    pub fn within(deadline: Deadline) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }
}

impl Client {
    /// Starts to build a client.
    pub fn builder(config: Config) -> ClientBuilder {
        ClientBuilder::new(config)
    }

    /// The names that can be asked for, in the order of the configuration.
    pub fn models(&self) -> &[String] {
        &self.inner.names
    }

    /// Whether any model is configured.
    pub fn has_models(&self) -> bool {
        !self.inner.names.is_empty()
    }

    /// The model of a request that names none.
    pub fn default_model(&self) -> Option<&str> {
        self.inner.default_model.as_deref()
    }

    /// The prices in force: the built-in ones and the configuration's.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// The clock that deadlines are read on.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// How each deployment does.
    pub fn health(&self) -> Vec<DeploymentHealth> {
        let now = self.inner.clock.now();
        self.inner
            .deployments
            .iter()
            .map(|deployment| deployment.health(now))
            .collect()
    }

    /// The most that one attempt at this request can cost with whichever of
    /// the model's deployments is the dearest. `None` when the model or one of
    /// its prices is not known. `input_tokens` can come from
    /// [`ChatRequest::estimate_input_tokens`].
    pub fn ceiling(&self, model: &str, input_tokens: u64, max_output: u64) -> Option<NanoUsd> {
        let route = self.inner.route(model).ok()?;
        route
            .deployments()
            .map(|deployment| {
                self.inner
                    .catalogue
                    .ceiling(&deployment.model, input_tokens, max_output)
            })
            .try_fold(NanoUsd(0), |most, one| Some(most.max(one?)))
    }
}

impl Inner {
    /// Finds the route of a name; an empty name is the default model.
    pub(crate) fn route(&self, model: &str) -> Result<&Route, AiError> {
        let name = match (model, &self.default_model) {
            ("", Some(default)) => default,
            ("", None) => return Err(AiError::new(ErrorKind::NotConfigured, "")),
            (name, _) => name,
        };
        self.routes.get(name).ok_or_else(|| {
            let kind = if self.names.is_empty() {
                ErrorKind::NotConfigured
            } else {
                ErrorKind::UnknownModel
            };
            AiError::new(kind, "")
        })
    }

    /// What a call costs by today's price.
    pub(crate) fn cost(&self, model: &str, usage: &Usage) -> Option<NanoUsd> {
        let seconds = i64::try_from(self.clock.unix_time().as_secs()).ok()?;
        let today: Date = jiff::Timestamp::from_second(seconds)
            .ok()?
            .to_zoned(TimeZone::UTC)
            .date();
        self.catalogue.cost_on(model, usage, today)
    }

    pub(crate) fn check<'a>(&'a self, request: &ChatRequest) -> Result<&'a Route, AiError> {
        let route = self.route(&request.model)?;
        request.validate()?;
        Ok(route)
    }
}
