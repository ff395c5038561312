//! What the upstream is told to do, and what it remembers.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::fault::Fault;

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// This text.
    Text(String),
    /// A call of this tool with these arguments (JSON text).
    ToolCall {
        /// The tool's name.
        tool: String,
        /// JSON text of its arguments.
        arguments: String,
    },
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// How fast it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Milliseconds before the status line.
    pub first_millis: u64,
    /// Milliseconds before each event of a stream.
    pub event_millis: u64,
}

impl Pace {
    pub(super) fn first(self) -> Duration {
        Duration::from_millis(self.first_millis)
    }

    pub(super) fn event(self) -> Duration {
        Duration::from_millis(self.event_millis)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It has not.
    NotYet,
    /// Everything that the script had for it was sent, a fault included.
    Answered,
    /// The client left before that.
    ClientLeft,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, `null` when it is not JSON.
    pub body: serde_json::Value,
    /// The fault that was chosen for it.
    pub fault: Fault,
    /// How it ended.
    pub ended: Ended,
}

impl RecordedRequest {
    /// The `model` of the body.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// Whether a stream was asked for.
    pub fn is_stream(&self) -> bool {
        self.body["stream"].as_bool().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    next_faults: VecDeque<Fault>,
    fault: Option<Fault>,
    answer: Option<Answer>,
    pace: Pace,
    requests: Vec<RecordedRequest>,
    /// Counts resets, so that a request that outlives one changes nothing.
    epoch: u64,
    serial: u64,
}

/// Shared by the handle and every connection.
#[derive(Debug, Default)]
pub(super) struct Script {
    state: Mutex<State>,
    changed: Notify,
}

/// What one request is to be answered with.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) fault: Fault,
    pub(super) answer: Option<Answer>,
    pub(super) pace: Pace,
    /// Different for each request, for ids.
    pub(super) serial: u64,
    pub(super) watch: Watch,
}

/// Notes how a request ended: dropped without a word, the client had left.
#[derive(Debug)]
pub(super) struct Watch {
    script: Arc<Script>,
    epoch: u64,
    index: usize,
    ended: Ended,
}

impl Watch {
    pub(super) fn answered(&mut self) {
        self.ended = Ended::Answered;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let ended = match self.ended {
            Ended::NotYet => Ended::ClientLeft,
            ended => ended,
        };
        {
            let mut state = self.script.lock();
            if state.epoch == self.epoch
                && let Some(request) = state.requests.get_mut(self.index)
            {
                request.ended = ended;
            }
        }
        self.script.changed.notify_waiters();
    }
}

impl Script {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.clone()
    }

    pub(super) fn request_count(&self) -> usize {
        self.lock().requests.len()
    }

    pub(super) fn reset(&self) {
        let mut state = self.lock();
        *state = State {
            epoch: state.epoch + 1,
            serial: state.serial,
            ..State::default()
        };
    }

    pub(super) fn set_fault(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    pub(super) fn push_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().next_faults.extend(faults);
    }

    pub(super) fn set_answer(&self, answer: Answer) {
        self.lock().answer = Some(answer);
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        self.lock().pace = pace;
    }

    /// Resolves at the next change after this call.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        let mut changed = Box::pin(self.changed.notified());
        changed.as_mut().enable();
        changed
    }

    /// Notes a request and says what to do with it. `own` is the fault that the
    /// request itself asks for.
    pub(super) fn record(
        self: &Arc<Self>,
        mut request: RecordedRequest,
        own: Option<Fault>,
    ) -> Orders {
        let mut state = self.lock();
        let fault = own
            .or_else(|| state.next_faults.pop_front())
            .or_else(|| state.fault.clone())
            .unwrap_or(Fault::None);
        request.fault = fault.clone();
        state.requests.push(request);
        state.serial += 1;
        let orders = Orders {
            fault,
            answer: state.answer.clone(),
            pace: state.pace,
            serial: state.serial,
            watch: Watch {
                script: Arc::clone(self),
                epoch: state.epoch,
                index: state.requests.len() - 1,
                ended: Ended::NotYet,
            },
        };
        drop(state);
        self.changed.notify_waiters();
        orders
    }
}
