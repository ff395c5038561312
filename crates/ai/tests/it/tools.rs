//! Tools, in both dialects and both ways.

use mainstay_ai::{
    ChatRequest, Content, FinishReason, Message, Role, StreamEvent, Tool, ToolCall, ToolChoice,
};
use mainstay_testkit::upstream::Answer;
use serde_json::json;

use crate::{BOTH, ask, build, single, soon, upstream};

fn with_tool() -> ChatRequest {
    ChatRequest {
        tools: vec![Tool {
            name: "weather".into(),
            description: "The weather of a place.".into(),
            parameters: json!({"type": "object", "properties": {"place": {"type": "string"}}}),
        }],
        tool_choice: Some(ToolChoice::Any),
        ..ask("How is the weather in Rome?")
    }
}

#[tokio::test]
async fn a_tool_call_is_the_same_whole_and_streamed() {
    let arguments = json!({"place": "Rome, with a space"});
    for kind in BOTH {
        let upstream = upstream().await;
        upstream.set_answer(Answer::ToolCall {
            tool: "weather".into(),
            arguments: arguments.to_string(),
        });
        let client = build(single(kind, &upstream));
        let whole = client.complete(&with_tool(), soon()).await.unwrap();
        let mut stream = client.stream(&with_tool(), soon()).await.unwrap();
        let (mut pieces, mut finished) = (String::new(), None);
        while let Some(event) = stream.next().await {
            match event.unwrap() {
                StreamEvent::ToolCallDelta { arguments, .. } => pieces.push_str(&arguments),
                StreamEvent::Finished(response) => finished = Some(response),
                _ => {}
            }
        }
        let streamed = finished.unwrap();
        for answer in [&whole, &*streamed] {
            assert_eq!(answer.finish, FinishReason::ToolUse, "{kind:?}");
            let [call] = &answer.tool_calls[..] else {
                panic!("one call, not {:?}", answer.tool_calls)
            };
            assert_eq!(call.name, "weather");
            let parsed: serde_json::Value = serde_json::from_str(&call.arguments).unwrap();
            assert_eq!(parsed, arguments);
        }
        assert_eq!(pieces, streamed.tool_calls[0].arguments);
        assert_eq!(whole.tool_calls[0].id, streamed.tool_calls[0].id);
    }
}

#[tokio::test]
async fn calls_and_results_of_earlier_turns_are_sent_as_each_dialect_wants_them() {
    let mut request = with_tool();
    request.messages.push(Message {
        role: Role::Assistant,
        content: vec![
            Content::Text("Let me look.".into()),
            Content::ToolCall(ToolCall {
                id: "call_1".into(),
                name: "weather".into(),
                arguments: r#"{"place":"Rome"}"#.into(),
            }),
        ],
    });
    request.messages.push(Message {
        role: Role::User,
        content: vec![Content::ToolResult {
            call_id: "call_1".into(),
            content: "sunny".into(),
            is_error: false,
        }],
    });
    let (anthropic, openai) = (upstream().await, upstream().await);
    build(single(BOTH[0], &anthropic))
        .complete(&request, soon())
        .await
        .unwrap();
    build(single(BOTH[1], &openai))
        .complete(&request, soon())
        .await
        .unwrap();

    let body = &anthropic.requests()[0].body;
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(
        body["messages"][1]["content"][1],
        json!({"type": "tool_use", "id": "call_1", "name": "weather", "input": {"place": "Rome"}})
    );
    assert_eq!(
        body["messages"][2]["content"][0],
        json!({"type": "tool_result", "tool_use_id": "call_1", "content": "sunny", "is_error": false})
    );

    let body = &openai.requests()[0].body;
    assert_eq!(body["tools"][0]["function"]["name"], "weather");
    assert_eq!(body["tool_choice"], "required");
    assert_eq!(
        body["messages"][1],
        json!({
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": r#"{"place":"Rome"}"#},
            }],
        })
    );
    assert_eq!(
        body["messages"][2],
        json!({"role": "tool", "tool_call_id": "call_1", "content": "sunny"})
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 3);
}
