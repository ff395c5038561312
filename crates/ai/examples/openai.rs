//! Asks an OpenAI-compatible server for a whole answer.
//!
//! Against the scripted upstream, in two terminals:
//!
//! ```text
//! cargo run -p mainstay-testkit --bin mainstay-upstream -- --port 8900
//! OPENAI_BASE_URL=http://127.0.0.1:8900/v1 \
//!     cargo run -p mainstay-ai --example openai -- some-model "Why is the sky blue?"
//! ```
//!
//! Any server that speaks chat completions will do, such as Ollama at
//! `http://127.0.0.1:11434/v1`.
#![allow(clippy::print_stdout, reason = "it shows an answer")]

use std::error::Error;
use std::time::Duration;

use mainstay_ai::{
    CallOptions, ChatRequest, Client, Config, Message, ModelConfig, ProviderConfig, ProviderKind,
};
use mainstay_resilience::Deadline;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "gpt-6-luna".to_owned());
    let question = arguments
        .next()
        .unwrap_or_else(|| "Why is the sky blue?".to_owned());
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_else(|_| "none".to_owned());
    let mut provider = ProviderConfig::new("server", ProviderKind::OpenAi, key);
    provider.base_url = std::env::var("OPENAI_BASE_URL").ok();

    let client = Client::builder(Config {
        providers: vec![provider],
        models: vec![ModelConfig::new("default", [("server", model.as_str())])],
        ..Config::default()
    })
    .build()?;
    let request = ChatRequest {
        messages: vec![Message::user(question)],
        ..ChatRequest::default()
    };
    let deadline = Deadline::after(client.clock().as_ref(), Duration::from_secs(60));
    match client
        .complete(&request, CallOptions::within(deadline))
        .await
    {
        Ok(answer) => {
            println!("{}", answer.text);
            println!(
                "[{}, {:?}, {} tokens]",
                answer.deployment,
                answer.finish,
                answer.usage.total()
            );
            Ok(())
        }
        Err(error) => {
            for attempt in error.attempts() {
                println!(
                    "{}: {:?} after {:?}",
                    attempt.deployment, attempt.outcome, attempt.elapsed
                );
            }
            Err(error.into())
        }
    }
}
