//! What is sent, field by field.

use mainstay_ai::{
    AuthScheme, CallOptions, ChatRequest, Config, Content, Effort, ImageSource, MaxTokensField,
    Message, ModelConfig, OutputSchema, Role,
};
use mainstay_testkit::upstream::RecordedRequest;
use serde_json::json;

use crate::{BOTH, KEY, ask, build, config, hear, provider, single, soon, upstream};

fn everything() -> ChatRequest {
    ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            Message::user("hello"),
            Message::assistant("hi"),
            Message::user("well?"),
        ],
        max_tokens: 77,
        temperature: Some(0.7),
        stop: vec!["END".into()],
        output_schema: Some(OutputSchema {
            name: "answer".into(),
            schema: json!({"type": "object"}),
        }),
        effort: Some(Effort::Low),
        cache_prefix: true,
        user_id: Some("u-1".into()),
        ..ChatRequest::default()
    }
}

async fn sent(
    settings: impl FnOnce(&mainstay_testkit::upstream::ScriptedUpstream) -> Config,
) -> RecordedRequest {
    let upstream = upstream().await;
    let client = build(settings(&upstream));
    client.complete(&everything(), soon()).await.unwrap();
    upstream.requests().remove(0)
}

#[tokio::test]
async fn anthropic_gets_a_message_request() {
    let request = sent(|upstream| single(BOTH[0], upstream)).await;
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.headers["x-api-key"], KEY);
    assert_eq!(request.headers["anthropic-version"], "2023-06-01");
    assert!(!request.headers.contains_key("authorization"));
    let cached = json!({"type": "ephemeral"});
    assert_eq!(
        request.body,
        json!({
            "model": "test-model",
            "max_tokens": 77,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": cached}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hello"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
                {"role": "user", "content": [{"type": "text", "text": "well?", "cache_control": cached}]},
            ],
            "temperature": 0.7,
            "stop_sequences": ["END"],
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "metadata": {"user_id": "u-1"},
            "stream": false,
        })
    );
}

#[tokio::test]
async fn openai_gets_a_chat_completion_request() {
    let request = sent(|upstream| single(BOTH[1], upstream)).await;
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        request.body,
        json!({
            "model": "test-model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "hi"},
                {"role": "user", "content": "well?"},
            ],
            "max_tokens": 77,
            "temperature": 0.7,
            "stop": ["END"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true},
            },
            "reasoning_effort": "low",
            "safety_identifier": "u-1",
            "stream": false,
        })
    );
}

#[tokio::test]
async fn the_usage_of_a_stream_is_always_asked_for() {
    let upstream = upstream().await;
    let client = build(single(BOTH[1], &upstream));
    hear(&mut client.stream(&ask("x"), soon()).await.unwrap()).await;
    let body = &upstream.requests()[0].body;
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn models_and_versions_without_sampling_are_asked_without_a_temperature() {
    let upstream = upstream().await;
    let mut modern = provider("modern", BOTH[0], &upstream);
    modern.anthropic_version = Some("2026-10-21".into());
    let plain = provider("plain", BOTH[0], &upstream);
    let client = build(config(
        vec![modern, plain],
        vec![
            ModelConfig::new("by-version", [("modern", "test-model")]),
            ModelConfig::new("by-model", [("plain", "claude-sonnet-5-5")]),
        ],
    ));
    for name in ["by-version", "by-model"] {
        let mut request = everything();
        request.model = name.into();
        client.complete(&request, soon()).await.unwrap();
    }
    for request in upstream.requests() {
        assert!(request.body["temperature"].is_null(), "{}", request.model());
    }
}

#[tokio::test]
async fn a_temperature_over_one_is_cut_where_the_range_ends_at_one() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let mut request = ask("x");
    request.temperature = Some(1.8);
    client.complete(&request, soon()).await.unwrap();
    assert_eq!(upstream.requests()[0].body["temperature"], 1.0);
}

#[tokio::test]
async fn settings_of_a_provider_reach_its_requests() {
    let request = sent(|upstream| {
        let mut settings = single(BOTH[1], upstream);
        let provider = &mut settings.providers[0];
        provider.auth = Some(AuthScheme::ApiKey);
        provider.max_tokens_field = Some(MaxTokensField::MaxCompletionTokens);
        provider
            .headers
            .insert("openai-organization".into(), "org".into());
        settings
    })
    .await;
    assert_eq!(request.headers["api-key"], KEY);
    assert_eq!(request.headers["openai-organization"], "org");
    assert_eq!(request.body["max_completion_tokens"], 77);
    assert!(request.body["max_tokens"].is_null());
}

#[tokio::test]
async fn the_trace_goes_on_to_the_provider() {
    let upstream = upstream().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let options = CallOptions {
        traceparent: Some(trace.into()),
        ..soon()
    };
    build(single(BOTH[0], &upstream))
        .complete(&ask("x"), options)
        .await
        .unwrap();
    assert_eq!(upstream.requests()[0].headers["traceparent"], trace);
}

#[tokio::test]
async fn pictures_are_sent_as_each_dialect_wants_them() {
    let request = ChatRequest {
        messages: vec![Message {
            role: Role::User,
            content: vec![
                Content::Text("What is this?".into()),
                Content::Image(ImageSource::Base64 {
                    media_type: "image/png".into(),
                    data: "AAAA".into(),
                }),
            ],
        }],
        ..ChatRequest::default()
    };
    let (anthropic, openai) = (upstream().await, upstream().await);
    build(single(BOTH[0], &anthropic))
        .complete(&request, soon())
        .await
        .unwrap();
    build(single(BOTH[1], &openai))
        .complete(&request, soon())
        .await
        .unwrap();
    assert_eq!(
        anthropic.requests()[0].body["messages"][0]["content"][1],
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}})
    );
    assert_eq!(
        openai.requests()[0].body["messages"][0]["content"][1],
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
    );
}
