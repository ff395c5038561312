//! Requests that come in a vendor's dialect.

use mainstay_ai::gateway::{Forwarded, GatewayEvent, GatewayRequest, GatewayStream, error_body};
use mainstay_ai::sse::SseParser;
use mainstay_ai::{AiError, ChatResponse, Client, ErrorKind, ModelConfig, ProviderKind};
use mainstay_testkit::upstream::{Answer, Ended, Fault, Pace};
use serde_json::{Value, json};

use crate::{BOTH, build, chain, config, provider, single, soon, upstream};

fn request(kind: ProviderKind, extra: Value) -> GatewayRequest {
    let mut body = json!({
        "model": "m",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "why?"}],
    });
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    GatewayRequest::parse(kind, body.to_string().as_bytes()).unwrap()
}

async fn whole(client: &Client, request: GatewayRequest) -> (Value, ChatResponse) {
    match client.forward(request, soon()).await.unwrap() {
        Forwarded::Whole { body, summary, .. } => {
            (serde_json::from_slice(&body).unwrap(), *summary)
        }
        Forwarded::Stream(_) => panic!("no stream was asked for"),
    }
}

async fn begun(client: &Client, request: GatewayRequest) -> GatewayStream {
    match client.forward(request, soon()).await.unwrap() {
        Forwarded::Stream(stream) => stream,
        Forwarded::Whole { .. } => panic!("a stream was asked for"),
    }
}

/// The events of a stream as a caller's parser sees them.
struct Seen {
    events: Vec<(String, String)>,
    summary: Option<ChatResponse>,
    error: Option<AiError>,
}

async fn see(stream: &mut GatewayStream) -> Seen {
    let mut parser = SseParser::new(1 << 20);
    let (mut summary, mut error) = (None, None);
    while let Some(event) = stream.next().await {
        match event {
            Ok(GatewayEvent::Frame(bytes)) => parser.feed(&bytes).unwrap(),
            Ok(GatewayEvent::Finished(response)) => summary = Some(*response),
            Ok(_) => {}
            Err(failed) => error = Some(failed),
        }
    }
    let events = std::iter::from_fn(|| parser.next_event());
    Seen {
        events: events.map(|event| (event.event, event.data)).collect(),
        summary,
        error,
    }
}

impl Seen {
    fn data(&self) -> Vec<Value> {
        self.events
            .iter()
            .filter(|(_, data)| data != "[DONE]")
            .map(|(_, data)| serde_json::from_str(data).unwrap())
            .collect()
    }

    fn openai_text(&self) -> String {
        self.data()
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect()
    }

    fn anthropic_text(&self) -> String {
        self.data()
            .iter()
            .filter_map(|event| event["delta"]["text"].as_str())
            .collect()
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.events.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }
}

#[tokio::test]
async fn the_same_dialect_passes_through_what_nobody_here_knows() {
    for kind in BOTH {
        let upstream = upstream().await;
        let client = build(single(kind, &upstream));
        let extra = json!({"brand_new": {"deep": [1, 2.50, 12345678901234567890_u64]}});
        let (body, summary) = whole(&client, request(kind, extra.clone())).await;
        let sent = &upstream.requests()[0].body;
        assert_eq!(sent["brand_new"], extra["brand_new"]);
        assert_eq!(
            (&sent["model"], &sent["max_tokens"]),
            (&json!("test-model"), &json!(500))
        );
        assert_eq!(summary.text, "Scripted answer to: why?");
        assert!(summary.usage.output_tokens > 0 && !summary.usage_is_estimate);
        let extra_of_the_vendor = match kind {
            ProviderKind::Anthropic => &body["usage"]["service_tier"],
            ProviderKind::OpenAi => &body["system_fingerprint"],
        };
        assert!(extra_of_the_vendor.is_string(), "{body}");
    }
}

#[tokio::test]
async fn a_stream_in_the_same_dialect_is_the_vendors_stream() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let seen = see(&mut begun(&client, request(BOTH[0], json!({"stream": true}))).await).await;
    assert_eq!(
        seen.names(),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(seen.anthropic_text(), "Scripted answer to: why?");
    assert_eq!(seen.summary.unwrap().text, "Scripted answer to: why?");
}

#[tokio::test]
async fn usage_is_always_asked_for_and_shown_to_who_asked() {
    let upstream = upstream().await;
    let client = build(single(BOTH[1], &upstream));
    for asked in [false, true] {
        let extra = json!({"stream": true, "stream_options": {"include_usage": asked}});
        let seen = see(&mut begun(&client, request(BOTH[1], extra)).await).await;
        assert_eq!(seen.openai_text(), "Scripted answer to: why?");
        assert_eq!(seen.events.last().unwrap().1, "[DONE]");
        let shown = seen.data().iter().any(|chunk| chunk["usage"].is_object());
        assert_eq!(shown, asked);
        assert_eq!(seen.summary.unwrap().usage.output_tokens, 6);
    }
    for sent in upstream.requests() {
        assert_eq!(sent.body["stream_options"]["include_usage"], true);
    }
}

#[tokio::test]
async fn ids_and_limits_of_the_provider_are_told_in_its_own_dialect_alone() {
    let upstream = upstream().await;
    upstream.set_fault(Fault::RateHeaders {
        remaining: 7,
        reset_seconds: 30,
    });
    let client = build(single(BOTH[1], &upstream));
    let names = |headers: &[(String, String)]| -> Vec<String> {
        headers.iter().map(|(name, _)| name.clone()).collect()
    };
    let Forwarded::Whole { headers, .. } = client
        .forward(request(BOTH[1], json!({})), soon())
        .await
        .unwrap()
    else {
        panic!("no stream was asked for");
    };
    assert!(names(&headers).contains(&"x-request-id".to_owned()));
    assert!(headers.contains(&("x-ratelimit-remaining-requests".to_owned(), "7".to_owned())));
    let stream = begun(&client, request(BOTH[1], json!({"stream": true}))).await;
    assert_eq!(names(stream.headers()), names(&headers));
    let stream = begun(&client, request(BOTH[0], json!({"stream": true}))).await;
    assert!(stream.headers().is_empty());
}

#[tokio::test]
async fn the_protocol_headers_of_the_caller_go_on_byte_for_byte() {
    let upstream = upstream().await;
    let client = build(single(BOTH[0], &upstream));
    let request = request(BOTH[0], json!({}))
        .with_header("Anthropic-Version", b"2026-10-21")
        .with_header("anthropic-beta", b"one-2026, two-2026")
        .with_header("x-api-key", b"the callers own");
    whole(&client, request).await;
    let headers = &upstream.requests()[0].headers;
    assert_eq!(headers["anthropic-version"], "2026-10-21");
    assert_eq!(headers["anthropic-beta"], "one-2026, two-2026");
    assert_eq!(headers["x-api-key"], crate::KEY);
}

#[tokio::test]
async fn an_openai_caller_is_answered_by_an_anthropic_model() {
    let upstream = upstream().await;
    let client = build(single(ProviderKind::Anthropic, &upstream));
    let extra = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "why?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
        ],
        "stop": "END",
        "seed": 7,
    });
    let (body, _) = whole(&client, request(ProviderKind::OpenAi, extra.clone())).await;
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(
        body["choices"][0]["message"]["content"],
        "Scripted answer to: why?"
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], 6);
    let sent = &upstream.requests()[0].body;
    assert_eq!(sent["system"][0]["text"], "Be brief.");
    assert_eq!(sent["stop_sequences"], json!(["END"]));
    assert_eq!(sent["messages"][0]["content"][1]["source"]["data"], "AAAA");

    let mut streamed = extra;
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let seen = see(&mut begun(&client, request(ProviderKind::OpenAi, streamed)).await).await;
    assert_eq!(seen.openai_text(), "Scripted answer to: why?");
    let data = seen.data();
    assert_eq!(data[0]["choices"][0]["delta"]["role"], "assistant");
    let last = data.last().unwrap();
    assert_eq!(
        (&last["choices"], &last["usage"]["completion_tokens"]),
        (&json!([]), &json!(6))
    );
    let finishes: Vec<_> = data
        .iter()
        .filter_map(|one| one["choices"][0]["finish_reason"].as_str())
        .collect();
    assert_eq!(finishes, ["stop"]);
    assert_eq!(seen.events.last().unwrap().1, "[DONE]");
    assert!(
        data.iter()
            .all(|one| one["id"] == data[0]["id"] && one["object"] == "chat.completion.chunk")
    );
}

#[tokio::test]
async fn an_anthropic_caller_is_answered_by_an_openai_model() {
    let upstream = upstream().await;
    let client = build(single(ProviderKind::OpenAi, &upstream));
    let extra = json!({
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    });
    let (body, _) = whole(&client, request(ProviderKind::Anthropic, extra.clone())).await;
    assert_eq!(body["type"], "message");
    assert_eq!(
        body["content"],
        json!([{"type": "text", "text": "Scripted answer to: why?"}])
    );
    assert_eq!(
        (&body["stop_reason"], &body["usage"]["output_tokens"]),
        (&json!("end_turn"), &json!(6))
    );
    assert_eq!(
        upstream.requests()[0].body["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );

    let mut streamed = extra;
    streamed["stream"] = json!(true);
    let seen = see(&mut begun(&client, request(ProviderKind::Anthropic, streamed)).await).await;
    assert_eq!(
        seen.names(),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(seen.anthropic_text(), "Scripted answer to: why?");
    let end = &seen.data()[seen.events.len() - 2];
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("end_turn"), &json!(6))
    );
    for (name, data) in &seen.events {
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            data["type"],
            json!(name),
            "the SDK skips an event whose name and type differ"
        );
    }
}

#[tokio::test]
async fn a_tool_call_crosses_the_dialects_both_ways() {
    for (caller, deployment) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let upstream = upstream().await;
        upstream.set_answer(Answer::ToolCall {
            tool: "weather".into(),
            arguments: r#"{"place": "Rome"}"#.into(),
        });
        let client = build(single(deployment, &upstream));
        let tools = match caller {
            ProviderKind::Anthropic => {
                json!([{"name": "weather", "input_schema": {"type": "object"}}])
            }
            ProviderKind::OpenAi => json!([{"type": "function", "function": {"name": "weather"}}]),
        };
        let (body, _) = whole(&client, request(caller, json!({"tools": tools}))).await;
        let streamed = request(caller, json!({"tools": tools, "stream": true}));
        let seen = see(&mut begun(&client, streamed).await).await;
        let data = seen.data();
        let (name, arguments, pieces): (_, Value, String) = match caller {
            ProviderKind::Anthropic => (
                body["content"][0]["name"].clone(),
                body["content"][0]["input"].clone(),
                data.iter()
                    .filter_map(|one| one["delta"]["partial_json"].as_str())
                    .collect(),
            ),
            ProviderKind::OpenAi => {
                let function = &body["choices"][0]["message"]["tool_calls"][0]["function"];
                let delta = |one: &Value| {
                    one["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                        .as_str()
                        .map(str::to_owned)
                };
                (
                    function["name"].clone(),
                    serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap(),
                    data.iter().filter_map(delta).collect(),
                )
            }
        };
        assert_eq!(name, "weather");
        assert_eq!(arguments, json!({"place": "Rome"}));
        assert_eq!(serde_json::from_str::<Value>(&pieces).unwrap(), arguments);
    }
}

#[tokio::test]
async fn tool_results_cross_the_dialects_as_one_turn() {
    let upstream = upstream().await;
    let client = build(single(ProviderKind::Anthropic, &upstream));
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let extra = json!({"messages": [
        {"role": "user", "content": "do it"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]});
    whole(&client, request(ProviderKind::OpenAi, extra)).await;
    let messages = &upstream.requests()[0].body["messages"];
    assert_eq!(messages.as_array().unwrap().len(), 3);
    let results = messages[2]["content"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|one| one["type"] == "tool_result"));
}

#[tokio::test]
async fn what_cannot_be_said_in_the_other_dialect_is_not_sent_there() {
    let (anthropic, openai) = (upstream().await, upstream().await);
    let only = build(single(ProviderKind::Anthropic, &anthropic));
    for (field, value) in [
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("response_format", json!({"type": "json_object"})),
    ] {
        let mut extra = json!({});
        extra[field] = value;
        let error = only
            .forward(request(ProviderKind::OpenAi, extra.clone()), soon())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(field), "{error}");
        assert_eq!(anthropic.request_count(), 0);

        let both = build(chain(&anthropic, &openai));
        let (_, summary) = whole(&both, request(ProviderKind::OpenAi, extra)).await;
        assert_eq!(summary.provider, "spare");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_the_dialects_error_and_never_with_its_end_mark() {
    for caller in BOTH {
        for deployment in BOTH {
            for fault in [
                "truncate:6",
                "truncate:6:clean",
                "missing-end",
                "error-event:6:overloaded_error",
            ] {
                let upstream = upstream().await;
                upstream.set_fault(fault.parse().unwrap());
                let client = build(single(deployment, &upstream));
                let extra =
                    json!({"stream": true, "messages": [{"role": "user", "content": "a b c d e"}]});
                let seen = see(&mut begun(&client, request(caller, extra)).await).await;
                assert!(seen.error.as_ref().unwrap().is_truncated(), "{fault}");
                assert!(seen.summary.is_none());
                let (name, last) = seen.events.last().unwrap();
                let last: Value = serde_json::from_str(last).unwrap();
                assert!(last["error"]["message"].is_string(), "{fault}: {last}");
                match caller {
                    ProviderKind::Anthropic => {
                        assert_eq!((name.as_str(), &last["type"]), ("error", &json!("error")));
                    }
                    ProviderKind::OpenAi => assert!(name.is_empty()),
                }
                assert!(
                    seen.events
                        .iter()
                        .all(|(name, data)| data != "[DONE]" && name != "message_stop")
                );
            }
        }
    }
}

#[tokio::test]
async fn before_the_first_word_a_forwarded_stream_falls_back_into_the_callers_dialect() {
    let (main, spare) = (upstream().await, upstream().await);
    main.set_fault(Fault::status(529));
    let client = build(chain(&main, &spare));
    // The caller and `main` speak Anthropic, `spare` speaks OpenAI.
    let seen = see(&mut begun(&client, request(BOTH[0], json!({"stream": true}))).await).await;
    assert_eq!(seen.anthropic_text(), "Scripted answer to: why?");
    assert_eq!(seen.summary.unwrap().provider, "spare");
}

#[tokio::test]
async fn who_leaves_a_forwarded_stream_stops_the_provider_and_knows_the_bill() {
    let upstream = upstream().await;
    upstream.set_pace(Pace {
        first_millis: 0,
        event_millis: 20,
    });
    let client = build(single(BOTH[0], &upstream));
    let extra =
        json!({"stream": true, "messages": [{"role": "user", "content": "word ".repeat(300)}]});
    let mut stream = begun(&client, request(BOTH[1], extra)).await;
    for _ in 0..4 {
        stream.next().await.unwrap().unwrap();
    }
    let used = stream.usage_so_far();
    assert!(used.input_tokens > 0 && used.output_tokens > 0, "{used:?}");
    drop(stream);
    upstream
        .wait_for(|all| all[0].ended == Ended::ClientLeft)
        .await;
}

#[tokio::test]
async fn errors_are_told_in_the_callers_dialect_and_hide_our_own_keys() {
    for (fault, anthropic, openai) in [
        (
            "status:400",
            (400, "invalid_request_error"),
            (400, "invalid_request_error"),
        ),
        ("status:401", (502, "api_error"), (502, "server_error")),
        (
            "status:429:60",
            (429, "rate_limit_error"),
            (429, "requests"),
        ),
        ("status:500", (502, "api_error"), (502, "server_error")),
        (
            "status:529",
            (529, "overloaded_error"),
            (503, "service_unavailable_error"),
        ),
    ] {
        for (kind, (status, name)) in [(BOTH[0], anthropic), (BOTH[1], openai)] {
            let upstream = upstream().await;
            upstream.set_fault(fault.parse().unwrap());
            let client = build(single(kind, &upstream));
            let error = client
                .forward(request(kind, json!({})), soon())
                .await
                .unwrap_err();
            let (told, body) = error_body(kind, &error);
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (told, &body["error"]["type"]),
                (status, &json!(name)),
                "{fault}"
            );
            assert_eq!(body["type"] == "error", kind == ProviderKind::Anthropic);
            assert!(!body.to_string().contains("api key"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_without_quoting_it() {
    for body in [
        &b""[..],
        b"[]",
        b"{\"model\": 7, \"messages\": [\"secret\"]}",
        b"{\"messages\": [{}]}",
        b"{\"model\": \"m\", \"messages\": []}",
        b"{\"model\": \"m\", \"messages\": \"secret\"}",
        b"\xff\xfe",
    ] {
        let error = GatewayRequest::parse(BOTH[0], body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!error.to_string().contains("secret"));
    }
    let deep = format!(
        "{{\"model\":\"m\",\"messages\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(GatewayRequest::parse(BOTH[0], deep.as_bytes()).is_err());
}

#[tokio::test]
async fn a_named_model_chooses_its_own_chain() {
    let upstream = upstream().await;
    let client = build(config(
        vec![provider("main", BOTH[0], &upstream)],
        vec![
            ModelConfig::new("a", [("main", "x")]),
            ModelConfig::new("b", [("main", "y")]),
        ],
    ));
    whole(&client, request(BOTH[0], json!({})).for_model("b")).await;
    assert_eq!(upstream.requests()[0].model(), "y");
}
