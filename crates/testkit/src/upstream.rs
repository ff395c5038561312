//! A scripted AI upstream: a real local server that speaks the vendors' wire formats
//! and fails on demand.
//!
//! It is the one thing in the test suite that is not the real one, because the
//! real one belongs to somebody else. It speaks HTTP over a real socket, so
//! that everything between a client and it is exercised: cut connections,
//! characters split between packets, answers that never come.
//!
//! Without a script it answers every question with
//! `Scripted answer to: <the last user message>`, with usage, ids and headers
//! as the vendors send them. A [`Fault`] changes that, chosen by the first of:
//!
//! 1. the request's header `x-scripted-fault: status:429:7`,
//! 2. a model named `fault/status:429:7`,
//! 3. the next one of [`push_faults`](ScriptedUpstream::push_faults),
//! 4. the one of [`set_fault`](ScriptedUpstream::set_fault).
//!
//! Another process can do the same over HTTP at `/_script`: GET tells counts
//! and requests, POST takes `{"fault": …, "push": […], "answer": …, "pace": …}`,
//! DELETE resets.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use mainstay_testkit::upstream::{Fault, ScriptedUpstream};
//!
//! let upstream = ScriptedUpstream::start().await?;
//! upstream.push_faults([Fault::status(529), Fault::None]);
//! // … ask a client whose base URL is upstream.url() …
//! assert_eq!(upstream.request_count(), 2);
//! # Ok(())
//! # }
//! ```

mod anthropic;
mod control;
mod fault;
mod openai;
mod plan;
mod prompt;
mod responses;
mod script;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use fault::{Cut, Fault, FaultError};
use script::Script;
pub use script::{Answer, Ended, Pace, RecordedRequest};

/// How long [`ScriptedUpstream::wait_for`] waits before it fails the test.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running scripted upstream. It stops when it is dropped.
#[derive(Debug)]
pub struct ScriptedUpstream {
    address: SocketAddr,
    script: Arc<Script>,
    tasks: JoinSet<()>,
}

impl ScriptedUpstream {
    /// Starts one on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts one on this port of the loopback address.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Script::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(server::run(listener, Arc::clone(&script)));
        Ok(Self {
            address,
            script,
            tasks,
        })
    }

    /// `http://127.0.0.1:<port>`, the base URL for an Anthropic client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:<port>/v1`, the base URL for an OpenAI client.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, oldest first, apart from those to `/_script`.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.script.requests()
    }

    /// How many requests there were, apart from those to `/_script`.
    pub fn request_count(&self) -> usize {
        self.script.request_count()
    }

    /// Forgets the requests, the faults, the answer and the pace.
    pub fn reset(&self) {
        self.script.reset();
    }

    /// Fails every request in this way, until [`reset`](Self::reset) or
    /// `set_fault(Fault::None)`.
    pub fn set_fault(&self, fault: Fault) {
        self.script.set_fault(fault);
    }

    /// Fails the next requests in these ways, one each. [`Fault::None`] lets
    /// one pass.
    pub fn push_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.push_faults(faults);
    }

    /// Answers every question with this.
    pub fn set_answer(&self, answer: impl Into<Answer>) {
        self.script.set_answer(answer.into());
    }

    /// How fast it answers. Default: at once.
    pub fn set_pace(&self, pace: Pace) {
        self.script.set_pace(pace);
    }

    /// Waits until `is_so` holds of the requests, and returns them.
    ///
    /// # Panics
    /// When it does not come to hold within ten seconds.
    #[expect(clippy::panic, reason = "a test that waits in vain has failed")]
    pub async fn wait_for(
        &self,
        is_so: impl Fn(&[RecordedRequest]) -> bool,
    ) -> Vec<RecordedRequest> {
        let waiting = async {
            loop {
                let changed = self.script.changed();
                let requests = self.requests();
                if is_so(&requests) {
                    return requests;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(requests) => requests,
            Err(_) => panic!("waited in vain; the requests were {:#?}", self.requests()),
        }
    }

    /// Runs until the server's socket fails, which is: for ever.
    pub async fn serve(mut self) {
        self.tasks.join_next().await;
    }
}
