//! Whether the process can work, component by component.

use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fmt,
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// It works.
    Ready,
    /// It has not worked yet.
    Starting,
    /// It does less than it should; plan B is at work.
    Degraded,
    /// It is away.
    Unavailable,
}

/// A component's start-up phase: number `index` of `of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Phase {
    /// The phase in words.
    pub name: String,
    /// Its number, from 1.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

/// How one component is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Component {
    /// Its name, such as `database`.
    pub name: &'static str,
    /// How it is.
    pub state: ComponentState,
    /// Whether the process cannot begin to work without it.
    pub required: bool,
    /// Where its start-up stands, while it starts.
    pub phase: Option<Phase>,
    /// What failed first, and what happens instead.
    pub reason: Option<String>,
}

/// Whether the process can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Everything works.
    Ready,
    /// It works, with less than everything.
    Degraded,
    /// Something required has not worked yet.
    Starting,
    /// The process is on its way out.
    Stopping,
}

/// The whole picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// In one word.
    pub status: Overall,
    /// Part by part.
    pub components: Vec<Component>,
}

type Probe = Box<dyn Fn() -> Component + Send + Sync>;

/// Knows every component. Once everything required has worked, the process
/// stays open: what fails later degrades it, since plan B then answers.
#[derive(Default)]
pub struct Readiness {
    probes: RwLock<Vec<Probe>>,
    open: AtomicBool,
    stopping: AtomicBool,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("open", &self.open)
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// Adds a component; `probe` must answer from memory.
    pub fn watch(&self, probe: impl Fn() -> Component + Send + Sync + 'static) {
        self.probes
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Box::new(probe));
    }

    /// From now on `/ready` is 503, so that load balancers look elsewhere.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether requests that need the database may be tried.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) || self.report().status != Overall::Starting
    }

    /// The whole picture.
    #[must_use]
    pub fn report(&self) -> Report {
        let components: Vec<Component> = self
            .probes
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .map(|probe| probe())
            .collect();
        let waits = components
            .iter()
            .any(|part| part.required && part.state == ComponentState::Starting);
        if !waits {
            self.open.store(true, Ordering::Release);
        }
        let status = if self.stopping.load(Ordering::Acquire) {
            Overall::Stopping
        } else if waits && !self.open.load(Ordering::Acquire) {
            Overall::Starting
        } else if components
            .iter()
            .all(|part| part.state == ComponentState::Ready)
        {
            Overall::Ready
        } else {
            Overall::Degraded
        };
        Report { status, components }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn one(state: &Arc<Mutex<ComponentState>>) -> Readiness {
        let readiness = Readiness::default();
        let state = Arc::clone(state);
        readiness.watch(move || Component {
            name: "database",
            state: *state.lock().unwrap(),
            required: true,
            phase: None,
            reason: None,
        });
        readiness
    }

    #[test]
    fn what_is_required_must_have_worked_once() {
        let state = Arc::new(Mutex::new(ComponentState::Starting));
        let readiness = one(&state);
        assert!(!readiness.is_open());
        assert_eq!(readiness.report().status, Overall::Starting);
        *state.lock().unwrap() = ComponentState::Ready;
        assert!(readiness.is_open());
        assert_eq!(readiness.report().status, Overall::Ready);
    }

    #[test]
    fn what_fails_later_degrades_and_does_not_close() {
        let state = Arc::new(Mutex::new(ComponentState::Ready));
        let readiness = one(&state);
        assert!(readiness.is_open());
        for later in [ComponentState::Unavailable, ComponentState::Starting] {
            *state.lock().unwrap() = later;
            assert!(readiness.is_open());
            assert_eq!(readiness.report().status, Overall::Degraded);
        }
    }

    #[test]
    fn a_stop_is_told() {
        let readiness = one(&Arc::new(Mutex::new(ComponentState::Ready)));
        readiness.begin_stop();
        assert_eq!(readiness.report().status, Overall::Stopping);
    }
}
