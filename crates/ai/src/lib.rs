//! Speak to language models: Anthropic Messages and OpenAI-compatible, streaming, cost and fallback.
