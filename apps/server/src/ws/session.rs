//! The reading side of a connection, and its state.

use super::{
    ask::{self, Told},
    close::Close,
    frames::{self, Asked, FromClient, ToClient, Wanted},
    guard::Oversized,
};
use crate::{
    exchange::Exchange,
    problem::{Code, Problem},
    topics::{self, EventBody},
};
use actix_ws::{AggregatedMessage, AggregatedMessageStream};
use jiff::Timestamp;
use mainstay_domain::{Caller, UserId};
use mainstay_identity::{Permission, Verified};
use mainstay_orchestrator::{ExecutionStream, Watched};
use mainstay_persistence::Call;
use mainstay_realtime::{Delivery, Listener, Outbox, Slot};
use mainstay_resilience::{Deadline, Quota, RateLimiter};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::{collections::HashMap, net::IpAddr, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a stranger may stay.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How long after a ping some sign of life must come.
const PONG: Duration = Duration::from_secs(8);
/// Frames that a client may send: 20 a second on average, 100 at once.
const FRAMES: Quota = Quota::per(Duration::from_secs(1), 20).burst(100);
/// Questions of one connection that may be answered at once.
const MAX_RUNS: usize = 16;

/// An answer that was begun.
enum Answering {
    /// To a question of its own.
    Once(ExecutionStream),
    /// In a conversation: the run.
    Run(Uuid, Watched),
}

/// A connection's state.
pub(super) struct Session {
    exchange: Exchange,
    slot: Slot<IpAddr, UserId>,
    outbox: Outbox<ToClient>,
    oversized: Oversized,
    who: Option<Verified>,
    listener: Listener,
    /// The hub's names of topics, by the client's.
    topics: HashMap<String, String>,
    runs: HashMap<Uuid, CancellationToken>,
    last_sign: Duration,
}

impl Session {
    pub(super) fn new(
        exchange: Exchange,
        slot: Slot<IpAddr, UserId>,
        outbox: Outbox<ToClient>,
        oversized: Oversized,
    ) -> Self {
        let listener = exchange.services.hub.listener();
        let last_sign = exchange.services.clock.now();
        Self {
            exchange,
            slot,
            outbox,
            oversized,
            who: None,
            listener,
            topics: HashMap::new(),
            runs: HashMap::new(),
            last_sign,
        }
    }

    /// Reads until the connection has to be closed, and tells why.
    pub(super) async fn run(mut self, mut messages: AggregatedMessageStream) -> Close {
        let services = self.exchange.services.clone();
        let Ok(limiter) = RateLimiter::new("ws.frames", FRAMES) else {
            return Close::normal();
        };
        let limiter = limiter.with_clock(services.clock.clone());
        if let Some(token) = self.header_token()
            && let Err(close) = self.introduce(&token)
        {
            return close;
        }
        let soft = services.spawner.lifecycle().soft().clone();
        let period = Duration::from_secs(services.settings.realtime.ping_seconds);
        let mut pings = tokio::time::interval(period);
        pings.reset();
        loop {
            let patience = self.patience();
            tokio::select! {
                message = messages.recv() => {
                    if limiter.check().is_err() {
                        return Close::policy("too many frames");
                    }
                    self.last_sign = services.clock.now();
                    if let Err(close) = self.message(message).await {
                        return close;
                    }
                }
                delivery = self.listener.next() => match delivery {
                    Some(delivery) => if self.deliver(&delivery).is_err() {
                        return Close::slow();
                    },
                    None => return Close::restarting(services.admission.reconnect_delay()),
                },
                _ = pings.tick() => {
                    let silence = services.clock.now().saturating_sub(self.last_sign);
                    if silence > period + PONG || self.outbox.control(ToClient::Ping).is_err() {
                        return Close::silent();
                    }
                }
                () = tokio::time::sleep(patience) => {
                    return match self.who {
                        None => Close::unauthenticated("send an auth frame first"),
                        Some(_) => Close::unauthenticated("the token has expired"),
                    };
                }
                _ = self.outbox.closed() => return Close::slow(),
                () = soft.cancelled() => {
                    return Close::restarting(services.admission.reconnect_delay());
                }
            }
        }
    }

    /// How long the connection may go on without proving itself anew.
    fn patience(&self) -> Duration {
        match &self.who {
            None => {
                let since = self.exchange.services.clock.now() - self.exchange.known.arrived;
                INTRODUCTION.saturating_sub(since)
            }
            Some(who) => {
                let left = who.expires_at.duration_since(self.now());
                Duration::try_from(left).unwrap_or(Duration::ZERO)
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.exchange.services.now()
    }

    fn header_token(&self) -> Option<SecretString> {
        let value = self.exchange.header("authorization")?;
        let token = value.strip_prefix("Bearer ")?;
        Some(SecretString::from(token.to_owned()))
    }

    /// Learns who speaks. A later token must be the same person's.
    fn introduce(&mut self, token: &SecretString) -> Result<(), Close> {
        let refused = || Close::unauthenticated("the token is not valid");
        let who = self
            .exchange
            .services
            .authenticate(token.expose_secret())
            .map_err(|_| refused())?;
        if let Some(known) = &self.who
            && known.principal.user_id != who.principal.user_id
        {
            return Err(refused());
        }
        self.slot
            .identify(who.principal.user_id)
            .map_err(|refused| Close::refused(&refused))?;
        self.who = Some(who);
        Ok(())
    }

    async fn message(
        &mut self,
        message: Option<Result<AggregatedMessage, actix_ws::ProtocolError>>,
    ) -> Result<(), Close> {
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => self.frame(text.as_bytes()).await,
            Some(Ok(AggregatedMessage::Binary(_))) => Err(Close::policy("send text frames")),
            Some(Ok(AggregatedMessage::Ping(payload))) => self
                .outbox
                .control(ToClient::Pong(payload))
                .map_err(|_| Close::slow()),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(_))) => Err(Close::normal()),
            None | Some(Err(_)) if self.oversized.get() => Err(Close::too_big()),
            Some(Err(actix_ws::ProtocolError::Overflow)) => Err(Close::too_big()),
            Some(Err(_)) => Err(Close::policy("this breaks the WebSocket protocol")),
            None => Err(Close::normal()),
        }
    }

    async fn frame(&mut self, text: &[u8]) -> Result<(), Close> {
        let frame = match frames::read(text) {
            Ok(frame) => frame,
            Err(problem) if self.who.is_some() => return self.problem(&problem, None),
            Err(_) => return Err(Close::unauthenticated("send an auth frame first")),
        };
        let frame = match frame {
            FromClient::Auth { token } => {
                self.introduce(&token)?;
                return self.say("authenticated", &json!({}), None);
            }
            FromClient::Refresh { token, id } => {
                self.introduce(&token)?;
                return self.say("authenticated", &json!({}), id.as_deref());
            }
            other => other,
        };
        let Some(who) = self.who else {
            return Err(Close::unauthenticated("send an auth frame first"));
        };
        let call = self.call(&who);
        match frame {
            FromClient::Auth { .. } | FromClient::Refresh { .. } => Ok(()),
            FromClient::Ping { id } => self.say("pong", &json!({}), id.as_deref()),
            FromClient::Subscribe { id, topics } => self.subscribe(&call, id, topics).await,
            FromClient::Unsubscribe { id, topics } => self.unsubscribe(id.as_deref(), &topics),
            FromClient::Ask { id, question } => self.ask(&call, id, question).await,
            FromClient::Cancel { run_id } => {
                self.cancel(&call, run_id);
                Ok(())
            }
        }
    }

    fn call(&self, who: &Verified) -> Call {
        let services = &self.exchange.services;
        Call {
            caller: Caller {
                principal: who.principal,
                correlation_id: mainstay_domain::CorrelationId::at(self.now()),
            },
            deadline: Deadline::after(&*services.clock, services.settings.server.request_timeout()),
        }
    }

    async fn subscribe(
        &mut self,
        call: &Call,
        id: Option<String>,
        wanted: Vec<Wanted>,
    ) -> Result<(), Close> {
        let mut answers = Vec::with_capacity(wanted.len());
        for Wanted { topic, after } in wanted {
            let hub_topic = match topics::allowed(&self.exchange, call, &topic).await {
                Ok(name) => name,
                Err(problem) => {
                    self.problem(&problem, id.as_deref())?;
                    continue;
                }
            };
            let position = after.as_ref().and_then(frames::After::position);
            match self.listener.subscribe(&hub_topic, position) {
                Ok(subscribed) => {
                    // A position that we cannot read cannot be recovered from.
                    let recovered = subscribed.recovered && (after.is_none() || position.is_some());
                    answers.push(json!({
                        "topic": topic,
                        "epoch": subscribed.epoch.to_string(),
                        "seq": subscribed.seq,
                        "recovered": recovered,
                    }));
                    self.topics.insert(topic, hub_topic);
                }
                Err(error) => {
                    let problem = Problem::field("/topics", error.to_string());
                    self.problem(&problem, id.as_deref())?;
                }
            }
        }
        self.say("subscribed", &json!({"topics": answers}), id.as_deref())
    }

    fn unsubscribe(&mut self, id: Option<&str>, topics: &[String]) -> Result<(), Close> {
        for topic in topics {
            if let Some(hub_topic) = self.topics.remove(topic) {
                self.listener.unsubscribe(&hub_topic);
            }
        }
        self.say("unsubscribed", &json!({"topics": topics}), id)
    }

    async fn ask(&mut self, call: &Call, id: Option<String>, question: Value) -> Result<(), Close> {
        self.runs.retain(|_, run| !run.is_cancelled());
        if self.runs.len() >= MAX_RUNS {
            let problem = Problem::new(
                Code::RateLimited,
                "too many questions of this connection are being answered",
            );
            return self.problem(&problem, id.as_deref());
        }
        match self.begin(call, question).await {
            Ok(answer) => self.follow(answer, id),
            Err(problem) => self.problem(&problem, id.as_deref())?,
        }
        Ok(())
    }

    /// Charges the question like one over HTTP, and begins to answer it.
    async fn begin(&self, call: &Call, question: Value) -> Result<Answering, Problem> {
        let services = &self.exchange.services;
        services.quotas.question(call.principal())?;
        let question = frames::question(question)?;
        let permission = match question {
            Asked::Once(_) => Permission::Execute,
            Asked::Said(..) => Permission::WriteConversations,
        };
        topics::demand(call.principal(), permission)?;
        let traceparent = self.exchange.traceparent();
        match question {
            Asked::Once(question) => {
                let ask = question.into_ask(traceparent)?;
                let answer = services.orchestrator.execute_stream(call, &ask).await?;
                Ok(Answering::Once(answer))
            }
            Asked::Said(conversation, said) => {
                let saying = said.into_saying(traceparent)?;
                let said = services
                    .orchestrator
                    .say(call, conversation, &saying)
                    .await?;
                Ok(Answering::Run(
                    said.run_id.uuid(),
                    Watched::Run(said.events),
                ))
            }
        }
    }

    fn follow(&mut self, answer: Answering, reply_to: Option<String>) {
        let run = CancellationToken::new();
        let services = self.exchange.services.clone();
        let told = Told {
            outbox: self.outbox.clone(),
            reply_to,
        };
        match answer {
            Answering::Once(answer) => {
                self.runs.insert(answer.id, run.clone());
                services.clone().spawner.spawn(async move {
                    ask::follow(answer, told, run.clone(), || services.now()).await;
                    // Marks it as over, so that its place is given to another.
                    run.cancel();
                });
            }
            Answering::Run(id, watched) => {
                self.runs.insert(id, run.clone());
                services.clone().spawner.spawn(async move {
                    ask::follow_run(id, watched, told, || services.now()).await;
                    run.cancel();
                });
            }
        }
    }

    /// Stops an answer: a run of any of one's conversations, or a question of
    /// this connection.
    fn cancel(&mut self, call: &Call, id: Uuid) {
        let orchestrator = &self.exchange.services.orchestrator;
        if !orchestrator.cancel_run(call, id.into())
            && let Some(run) = self.runs.remove(&id)
        {
            run.cancel();
        }
    }

    /// Hands an event of a topic on, under the client's name for it.
    fn deliver(&self, delivery: &Delivery) -> Result<(), mainstay_realtime::Closed> {
        let event = EventBody::new(delivery, self.now());
        let text = serde_json::to_string(&event).unwrap_or_default();
        self.outbox.data(ToClient::Text(text))
    }

    fn say(&self, kind: &str, data: &Value, reply_to: Option<&str>) -> Result<(), Close> {
        let frame = ToClient::reply(kind, &self.now().to_string(), data, reply_to);
        self.outbox.data(frame).map_err(|_| Close::slow())
    }

    fn problem(&self, problem: &Problem, reply_to: Option<&str>) -> Result<(), Close> {
        let retryable = problem.retry_after_seconds().is_some();
        let data = json!({
            "code": problem.code().as_str(),
            "detail": problem.detail(),
            "retryable": retryable,
        });
        self.say("error", &data, reply_to)
    }
}
