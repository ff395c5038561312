//! The frames of `mainstay.v1`.

use crate::{
    endpoints::{ai::execute::ExecuteRequest, conversations::say::SayRequest, events},
    problem::Problem,
};
use mainstay_domain::ConversationId;
use mainstay_realtime::{Epoch, Frame, Position};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum FromClient {
    #[serde(rename = "auth")]
    Auth { token: SecretString },
    #[serde(rename = "auth.refresh")]
    Refresh {
        token: SecretString,
        #[serde(default)]
        id: Option<String>,
    },
    #[serde(rename = "subscribe")]
    Subscribe {
        #[serde(default)]
        id: Option<String>,
        topics: Vec<Wanted>,
    },
    #[serde(rename = "unsubscribe")]
    Unsubscribe {
        #[serde(default)]
        id: Option<String>,
        topics: Vec<String>,
    },
    /// A question in an envelope; see [`read`].
    #[serde(skip)]
    Ask { id: Option<String>, question: Value },
    #[serde(rename = "cancel")]
    Cancel { run_id: Uuid },
    #[serde(rename = "ping")]
    Ping {
        #[serde(default)]
        id: Option<String>,
    },
}

/// A topic, and where to go on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub topic: String,
    #[serde(default)]
    pub after: Option<After>,
}

/// A position as clients hand it back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    pub epoch: String,
    pub seq: u64,
}

impl After {
    /// The position; one of an epoch that we never gave out is none.
    pub(super) fn position(&self) -> Option<Position> {
        let epoch: Epoch = self.epoch.parse().ok()?;
        Some(Position {
            epoch,
            seq: self.seq,
        })
    }
}

/// What an `ask` asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A question of its own, as the body of `/ai/execute`.
    Once(ExecuteRequest),
    /// Something said in a conversation, as the body of its `messages`.
    Said(ConversationId, SayRequest),
}

/// Reads a frame. An `ask` is a body of the HTTP interface with `type` and `id`
/// added, so these two are taken off before the rest is read as that body.
pub(super) fn read(text: &[u8]) -> Result<FromClient, Problem> {
    let mut value: Value = crate::extract::parse_json(text)?;
    if value["type"] != "ask" {
        return serde_json::from_value(value)
            .map_err(|error| Problem::field("", error.to_string()));
    }
    let mut id = None;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("type");
        id = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(Problem::field("/id", "must be a string")),
        };
    }
    Ok(FromClient::Ask {
        id,
        question: value,
    })
}

/// A question without its envelope, checked like the body that it is. One
/// with a `conversation_id` is said in that conversation.
pub(super) fn question(mut value: Value) -> Result<Asked, Problem> {
    let conversation = value
        .as_object_mut()
        .and_then(|fields| fields.remove("conversation_id"));
    let Some(conversation) = conversation else {
        return body(&value).map(Asked::Once);
    };
    let id = conversation.as_str().and_then(|text| text.parse().ok());
    let id = id.ok_or_else(|| Problem::field("/conversation_id", "must be a UUID"))?;
    Ok(Asked::Said(id, body(&value)?))
}

fn body<T>(value: &Value) -> Result<T, Problem>
where
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    let bytes = value.to_string();
    crate::extract::parse_json(bytes.as_bytes()).and_then(crate::extract::checked)
}

/// What the server sends.
#[derive(Debug, Clone)]
pub(super) enum ToClient {
    /// A whole frame, already written.
    Text(String),
    /// A piece of an answer; pieces that wait behind each other become one.
    Delta {
        run_id: Uuid,
        seq: u64,
        text: String,
        timestamp: String,
    },
    /// A protocol ping.
    Ping,
    /// A protocol pong with the ping's payload.
    Pong(bytes::Bytes),
}

/// The envelope of every server frame.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    pub r#type: &'a str,
    pub timestamp: &'a str,
    pub data: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<&'a str>,
}

impl ToClient {
    /// A frame without a topic.
    pub(super) fn reply(kind: &str, timestamp: &str, data: &Value, reply_to: Option<&str>) -> Self {
        Self::envelope(&Envelope {
            r#type: kind,
            timestamp,
            data,
            topic: None,
            epoch: None,
            seq: None,
            reply_to,
        })
    }

    /// There is no place for another socket: what to do instead.
    pub(super) fn degraded(timestamp: &str) -> Self {
        let data = json!({
            "mode": "polling",
            "poll_url": events::poll::PATH,
            "interval_ms": events::poll::INTERVAL.as_millis() as u64,
        });
        Self::reply("degraded", timestamp, &data, None)
    }

    pub(super) fn envelope(envelope: &Envelope<'_>) -> Self {
        Self::Text(serde_json::to_string(envelope).unwrap_or_default())
    }

    /// The text of a data frame; `None` for protocol frames.
    pub(super) fn text(self) -> Result<String, Self> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Delta {
                run_id,
                seq,
                text,
                timestamp,
            } => {
                let data = json!({"run_id": run_id, "seq": seq, "text": text});
                Ok(serde_json::to_string(&Envelope {
                    r#type: "delta",
                    timestamp: &timestamp,
                    data: &data,
                    topic: None,
                    epoch: None,
                    seq: None,
                    reply_to: None,
                })
                .unwrap_or_default())
            }
            other => Err(other),
        }
    }
}

impl Frame for ToClient {
    type Lane = Uuid;

    fn lane(&self) -> Option<Uuid> {
        match self {
            Self::Delta { run_id, .. } => Some(*run_id),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 16,
            Self::Delta { text, .. } => text.len() + 160,
            Self::Ping => 16,
            Self::Pong(payload) => payload.len() + 16,
        }
    }

    fn join(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (
                Self::Delta { seq, text, .. },
                Self::Delta {
                    seq: later,
                    text: more,
                    ..
                },
            ) => {
                text.push_str(&more);
                *seq = later;
                Ok(())
            }
            (_, next) => Err(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_answer_become_one_frame() {
        let run_id = Uuid::nil();
        let piece = |seq, text: &str| ToClient::Delta {
            run_id,
            seq,
            text: text.to_owned(),
            timestamp: "t".to_owned(),
        };
        let mut first = piece(1, "Hel");
        first.join(piece(2, "lo")).unwrap();
        let sent: Value = serde_json::from_str(&first.text().unwrap()).unwrap();
        assert_eq!(sent["data"]["text"], "Hello");
        assert_eq!(sent["data"]["seq"], 2);
        assert!(piece(1, "a").join(ToClient::Ping).is_err());
    }

    #[test]
    fn frames_are_read_strictly() {
        let read = |text: &str| read(text.as_bytes());
        assert!(matches!(
            read(r#"{"type":"ping"}"#),
            Ok(FromClient::Ping { id: None })
        ));
        assert!(read(r#"{"type":"auth","token":"x","more":1}"#).is_err());
        assert!(read(r#"{"type":"shout"}"#).is_err());
        let asked = read(r#"{"type":"ask","id":"2","prompt":"hi"}"#).unwrap();
        let FromClient::Ask {
            id,
            question: asked,
        } = asked
        else {
            panic!("not an ask");
        };
        assert_eq!(id.as_deref(), Some("2"));
        let Asked::Once(once) = question(asked).unwrap() else {
            panic!("not a question of its own");
        };
        assert_eq!(once.prompt, "hi");
        let wrong = question(json!({"prompt": "hi", "volume": 11})).unwrap_err();
        assert_eq!(wrong.code(), crate::problem::Code::ValidationError);
        let id = "0193e2a0-0000-7000-8000-000000000001";
        let said = question(json!({"conversation_id": id, "content": "And then?"})).unwrap();
        assert!(matches!(said, Asked::Said(conversation, _) if conversation.to_string() == id));
        for wrong in [
            json!({"conversation_id": 7, "content": "hi"}),
            json!({"conversation_id": id, "prompt": "hi"}),
            json!({"content": "hi"}),
        ] {
            assert!(question(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
