//! An answer of the server.

use bytes::Bytes;

/// What a script or a command answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `nil`, or Lua's `false`.
    Null,
    /// A whole number.
    Integer(i64),
    /// A string, which in Redis is any sequence of bytes.
    Bytes(Bytes),
    /// A list. A map comes as its keys and values in turn.
    Array(Vec<Value>),
}

impl Value {
    /// The number, if it is one; a string of digits counts.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The bytes, if it is a string.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<String> {
        String::from_utf8(self.as_bytes()?.to_vec()).ok()
    }
}

impl From<fred::types::Value> for Value {
    fn from(value: fred::types::Value) -> Self {
        use fred::types::Value as Engine;
        match value {
            Engine::Boolean(flag) => Self::Integer(i64::from(flag)),
            Engine::Integer(number) => Self::Integer(number),
            Engine::Double(number) => Self::Bytes(Bytes::from(number.to_string())),
            Engine::String(text) => Self::Bytes(text.into_inner()),
            Engine::Bytes(bytes) => Self::Bytes(bytes),
            Engine::Null | Engine::Queued => Self::Null,
            Engine::Map(map) => Self::Array(
                map.inner()
                    .into_iter()
                    .flat_map(|(key, value)| [Self::Bytes(key.into_bytes()), Self::from(value)])
                    .collect(),
            ),
            Engine::Array(values) => Self::Array(values.into_iter().map(Self::from).collect()),
        }
    }
}
