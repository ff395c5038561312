#![doc = include_str!("../README.md")]

mod client;
mod config;
mod deployment;
mod dialect;
mod embedding;
mod error;
pub mod gateway;
mod hedge;
mod journey;
mod pace;
pub mod price;
mod question;
mod request;
mod response;
pub mod sse;
mod stream;
pub mod tokens;
mod transport;

pub use client::{CallOptions, Client, ClientBuilder, OnInterruption};
pub use config::{
    AuthScheme, BreakerConfig, Config, ConfigError, DeploymentConfig, MaxTokensField, ModelConfig,
    OpenAiApi, ProviderConfig, ProviderKind, RetryConfig, SizeLimits, Strategy, Timeouts,
};
pub use deployment::DeploymentHealth;
pub use embedding::{EmbeddingRequest, Embeddings};
pub use error::{AiError, ErrorKind};
pub use request::{
    ChatRequest, Content, Effort, ImageSource, Message, OutputSchema, Role, Tool, ToolCall,
    ToolChoice,
};
pub use response::{AttemptOutcome, AttemptReport, ChatResponse, FinishReason, Usage};
pub use stream::{ChatStream, StreamEvent};
