//! Providers that are asked through the Responses interface.

use mainstay_ai::gateway::{Forwarded, GatewayEvent, GatewayRequest};
use mainstay_ai::{
    ChatRequest, Config, Content, Effort, ErrorKind, FinishReason, Message, OpenAiApi,
    OutputSchema, Role, Tool, ToolCall, ToolChoice,
};
use mainstay_testkit::upstream::{Answer, Fault, ScriptedUpstream};
use serde_json::json;

use crate::{BOTH, ask, build, hear, single, soon, upstream};

fn settings(upstream: &ScriptedUpstream) -> Config {
    let mut settings = single(BOTH[1], upstream);
    settings.providers[0].openai_api = OpenAiApi::Responses;
    settings
}

#[tokio::test]
async fn answers_are_the_same_whole_and_streamed() {
    let upstream = upstream().await;
    let client = build(settings(&upstream));
    let whole = client.complete(&ask("why?"), soon()).await.unwrap();
    assert_eq!(whole.text, "Scripted answer to: why?");
    assert_eq!(
        (whole.finish.clone(), whole.usage.output_tokens),
        (FinishReason::Stop, 6)
    );
    let heard = hear(&mut client.stream(&ask("why?"), soon()).await.unwrap()).await;
    let streamed = heard.finished.unwrap();
    assert_eq!(heard.text, whole.text);
    assert_eq!(
        (streamed.text, streamed.usage, streamed.finish),
        (whole.text, whole.usage, whole.finish)
    );
    assert!(
        upstream
            .requests()
            .iter()
            .all(|one| one.path == "/v1/responses")
    );
}

#[tokio::test]
async fn a_request_is_sent_as_items() {
    let upstream = upstream().await;
    let request = ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            Message::user("weather?"),
            Message {
                role: Role::Assistant,
                content: vec![
                    Content::Text("Let me look.".into()),
                    Content::ToolCall(ToolCall {
                        id: "call_1".into(),
                        name: "weather".into(),
                        arguments: "{}".into(),
                    }),
                ],
            },
            Message {
                role: Role::User,
                content: vec![Content::ToolResult {
                    call_id: "call_1".into(),
                    content: "sunny".into(),
                    is_error: false,
                }],
            },
        ],
        max_tokens: 77,
        tools: vec![Tool {
            name: "weather".into(),
            description: "d".into(),
            parameters: json!({"type": "object"}),
        }],
        tool_choice: Some(ToolChoice::Named("weather".into())),
        output_schema: Some(OutputSchema {
            name: "answer".into(),
            schema: json!({"type": "object"}),
        }),
        effort: Some(Effort::High),
        ..ChatRequest::default()
    };
    build(settings(&upstream))
        .complete(&request, soon())
        .await
        .unwrap();
    assert_eq!(
        upstream.requests()[0].body,
        json!({
            "model": "test-model",
            "instructions": "Be brief.",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            ],
            "max_output_tokens": 77,
            "tools": [{
                "type": "function",
                "name": "weather",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": false,
            }],
            "tool_choice": {"type": "function", "name": "weather"},
            "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": true}},
            "reasoning": {"effort": "high"},
            "store": false,
            "stream": false,
        })
    );
}

#[tokio::test]
async fn tool_calls_are_the_same_whole_and_streamed() {
    let upstream = upstream().await;
    upstream.set_answer(Answer::ToolCall {
        tool: "weather".into(),
        arguments: r#"{"place": "Rome"}"#.into(),
    });
    let client = build(settings(&upstream));
    let whole = client.complete(&ask("x"), soon()).await.unwrap();
    let streamed = hear(&mut client.stream(&ask("x"), soon()).await.unwrap())
        .await
        .finished
        .unwrap();
    assert_eq!(whole.finish, FinishReason::ToolUse);
    assert_eq!(whole.tool_calls[0].arguments, r#"{"place": "Rome"}"#);
    assert_eq!(
        (streamed.finish, streamed.tool_calls),
        (whole.finish, whole.tool_calls)
    );
}

#[tokio::test]
async fn the_limit_of_tokens_is_a_whole_answer_with_that_reason() {
    let upstream = upstream().await;
    upstream.set_answer("many many many words");
    let mut request = ask("x");
    request.max_tokens = 2;
    let client = build(settings(&upstream));
    assert_eq!(
        client.complete(&request, soon()).await.unwrap().finish,
        FinishReason::Length
    );
    let heard = hear(&mut client.stream(&request, soon()).await.unwrap()).await;
    assert_eq!(heard.finished.unwrap().finish, FinishReason::Length);
}

#[tokio::test]
async fn a_broken_stream_is_never_presented_as_whole() {
    for (fault, kind) in [
        ("truncate:7", ErrorKind::Truncated),
        ("truncate:7:clean", ErrorKind::Truncated),
        ("missing-end", ErrorKind::Truncated),
        ("error-event:7:overloaded_error", ErrorKind::Overloaded),
        ("error-event:7:server_error", ErrorKind::Upstream),
    ] {
        let upstream = upstream().await;
        upstream.set_fault(fault.parse().unwrap());
        let client = build(settings(&upstream));
        let heard = hear(
            &mut client
                .stream(&ask("one two three four"), soon())
                .await
                .unwrap(),
        )
        .await;
        let error = heard.error.unwrap();
        assert!(error.is_truncated() && heard.finished.is_none(), "{fault}");
        assert_eq!(error.kind(), kind, "{fault}");
    }
}

#[tokio::test]
async fn failures_before_an_answer_are_those_of_any_provider() {
    for (fault, kind) in [
        (Fault::status(429), ErrorKind::RateLimited),
        (Fault::status(500), ErrorKind::Upstream),
        (Fault::Garbage, ErrorKind::Garbled),
        (Fault::Html, ErrorKind::Garbled),
    ] {
        let upstream = upstream().await;
        upstream.set_fault(fault);
        let client = build(settings(&upstream));
        assert_eq!(
            client.complete(&ask("x"), soon()).await.unwrap_err().kind(),
            kind
        );
        assert_eq!(
            client.stream(&ask("x"), soon()).await.unwrap_err().kind(),
            kind
        );
    }
}

#[tokio::test]
async fn callers_of_both_dialects_are_answered_through_it() {
    for caller in BOTH {
        let upstream = upstream().await;
        let client = build(settings(&upstream));
        for stream in [false, true] {
            let body = json!({
                "model": "m",
                "max_tokens": 50,
                "stream": stream,
                "messages": [{"role": "user", "content": "why?"}],
            });
            let request = GatewayRequest::parse(caller, body.to_string().as_bytes()).unwrap();
            let summary = match client.forward(request, soon()).await.unwrap() {
                Forwarded::Whole { summary, .. } => *summary,
                Forwarded::Stream(mut stream) => loop {
                    if let GatewayEvent::Finished(summary) = stream.next().await.unwrap().unwrap() {
                        break *summary;
                    }
                },
            };
            assert_eq!(summary.text, "Scripted answer to: why?");
        }
    }
}
