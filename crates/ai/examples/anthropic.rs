//! Asks an Anthropic model and shows the answer as it is made.
//!
//! Against the scripted upstream, in two terminals:
//!
//! ```text
//! cargo run -p mainstay-testkit --bin mainstay-upstream -- --port 8900
//! ANTHROPIC_API_KEY=any ANTHROPIC_BASE_URL=http://127.0.0.1:8900 \
//!     cargo run -p mainstay-ai --example anthropic -- "Why is the sky blue?"
//! ```
#![allow(clippy::print_stdout, reason = "it shows an answer")]

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use mainstay_ai::{CallOptions, ChatRequest, Client, Config, Message, ProviderKind, StreamEvent};
use mainstay_resilience::Deadline;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::from_vendor_env(|name| std::env::var(name).ok());
    config
        .models
        .retain(|model| model.name.starts_with("claude-"));
    config.default_model = None;
    if !config
        .providers
        .iter()
        .any(|provider| provider.kind == ProviderKind::Anthropic)
    {
        return Err(
            "set ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address than the vendor's"
                .into(),
        );
    }
    let client = Client::builder(config).build()?;
    let question = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "Why is the sky blue?".to_owned());
    let request = ChatRequest {
        system: Some("Answer in three sentences.".into()),
        messages: vec![Message::user(question)],
        max_tokens: 300,
        ..ChatRequest::default()
    };
    let deadline = Deadline::after(client.clock().as_ref(), Duration::from_secs(60));
    let mut stream = client
        .stream(&request, CallOptions::within(deadline))
        .await?;
    while let Some(event) = stream.next().await {
        match event? {
            StreamEvent::Started { model, provider } => println!("[{provider}/{model}]"),
            StreamEvent::Delta(text) => {
                print!("{text}");
                std::io::stdout().flush()?;
            }
            StreamEvent::Finished(answer) => {
                let cost = answer
                    .cost
                    .map_or("unknown".to_owned(), |cost| format!("${cost}"));
                println!(
                    "\n[{:?}, {} tokens, {cost}]",
                    answer.finish,
                    answer.usage.total()
                );
            }
            _ => {}
        }
    }
    Ok(())
}
