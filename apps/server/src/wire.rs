//! Things as they are sent: the JSON shapes of the public contract, made from
//! domain values. A change here is a change of the contract.

mod answer;
mod events;
mod filter;
mod list;

pub(crate) use answer::{AnswerBody, CitationBody, DecisionBody, DoneBody, TokensBody};
pub(crate) use events::{failed, sse_event};
pub(crate) use filter::{id, time};
pub(crate) use list::{ListQuery, page};

use schemars::JsonSchema;
use serde::Serialize;

/// Money in US dollars as a decimal string, such as `0.00125`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Dollars(String);

impl From<mainstay_domain::Usd> for Dollars {
    fn from(amount: mainstay_domain::Usd) -> Self {
        Self(amount.to_string())
    }
}

impl JsonSchema for Dollars {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]{1,10}(\\.[0-9]{1,9})?$",
            "example": "0.05",
            "description": "US dollars as a decimal string.",
        })
    }
}

/// An amount of US dollars in a request: `"0.05"`.
pub(crate) fn dollars(
    pointer: &'static str,
    text: &str,
) -> Result<mainstay_domain::Usd, crate::problem::Problem> {
    text.parse().map_err(|_| {
        crate::problem::Problem::field(
            pointer,
            "must be US dollars as a decimal string such as \"0.05\"",
        )
    })
}
