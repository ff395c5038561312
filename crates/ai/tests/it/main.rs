//! The client against the scripted upstream, over real sockets.
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure real time where real sockets are involved"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod answers;
mod cancelling;
mod embedding;
mod failing;
mod gateway;
mod hedging;
mod interrupted;
mod money;
mod outage;
mod responses;
mod routing;
mod tokens;
mod tools;
mod wire;

use std::time::Duration;

use mainstay_ai::{
    CallOptions, ChatRequest, ChatResponse, ChatStream, Client, ClientBuilder, Config, Message,
    ModelConfig, ProviderConfig, ProviderKind, RetryConfig, StreamEvent, Timeouts,
};
use mainstay_resilience::{Deadline, default_clock};
use mainstay_testkit::upstream::ScriptedUpstream;

/// Never to be seen in an error.
const KEY: &str = "sk-test-very-secret";

const BOTH: [ProviderKind; 2] = [ProviderKind::Anthropic, ProviderKind::OpenAi];

fn provider(name: &str, kind: ProviderKind, upstream: &ScriptedUpstream) -> ProviderConfig {
    let url = match kind {
        ProviderKind::Anthropic => upstream.url(),
        ProviderKind::OpenAi => upstream.openai_url(),
    };
    ProviderConfig::new(name, kind, KEY).at(url)
}

/// Short waits, so that a test of a wait is short, and long enough for a good
/// answer on a machine that runs every test at once.
fn config(providers: Vec<ProviderConfig>, models: Vec<ModelConfig>) -> Config {
    Config {
        providers,
        models,
        retry: RetryConfig {
            backoff_ms: 1,
            max_backoff_ms: 5,
            budget_per_second: 1000,
            ..RetryConfig::default()
        },
        timeouts: Timeouts {
            connect_ms: 1_000,
            first_token_ms: 1_500,
            idle_ms: 1_500,
            total_ms: 10_000,
        },
        ..Config::default()
    }
}

/// One model `m` of one provider `main`.
fn single(kind: ProviderKind, upstream: &ScriptedUpstream) -> Config {
    config(
        vec![provider("main", kind, upstream)],
        vec![ModelConfig::new("m", [("main", "test-model")])],
    )
}

/// One model `m`, first of the provider `main`, then of `spare`, which speaks
/// the other dialect.
fn chain(main: &ScriptedUpstream, spare: &ScriptedUpstream) -> Config {
    config(
        vec![
            provider("main", ProviderKind::Anthropic, main),
            provider("spare", ProviderKind::OpenAi, spare),
        ],
        vec![ModelConfig::new(
            "m",
            [("main", "test-model"), ("spare", "spare-model")],
        )],
    )
}

fn build(config: Config) -> Client {
    builder(config).build().unwrap()
}

fn builder(config: Config) -> ClientBuilder {
    Client::builder(config)
}

async fn upstream() -> ScriptedUpstream {
    ScriptedUpstream::start().await.unwrap()
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::user(text)],
        ..ChatRequest::default()
    }
}

fn within(time: Duration) -> CallOptions {
    CallOptions::within(Deadline::after(default_clock().as_ref(), time))
}

fn soon() -> CallOptions {
    within(Duration::from_secs(10))
}

/// What a stream came to.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    resets: usize,
    started: Vec<String>,
    usages: usize,
    finished: Option<ChatResponse>,
    error: Option<mainstay_ai::AiError>,
}

async fn hear(stream: &mut ChatStream) -> Heard {
    let mut heard = Heard::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(StreamEvent::Started { provider, .. }) => heard.started.push(provider),
            Ok(StreamEvent::Delta(text)) => heard.text.push_str(&text),
            Ok(StreamEvent::Usage(_)) => heard.usages += 1,
            Ok(StreamEvent::Reset) => {
                heard.resets += 1;
                heard.text.clear();
            }
            Ok(StreamEvent::Finished(response)) => heard.finished = Some(*response),
            Ok(_) => {}
            Err(error) => heard.error = Some(error),
        }
    }
    heard
}
