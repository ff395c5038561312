//! GET `/api/v1/knowledge/search`.

use crate::{
    extract::ApiQuery,
    operation::{Access, Operation},
    problem::Problem,
    reply::Json,
};
use actix_web::http::Method;
use mainstay_domain::Passage;
use mainstay_identity::Permission;
use mainstay_persistence::{Call, Knowledge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What to look for.
#[derive(Debug, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// The question or words; `"a phrase"`, `or` and `-without` work as in search engines.
    #[garde(length(chars, min = 1, max = 1_000), custom(storable))]
    q: String,
    /// How many passages, 1 to 50. Default 10.
    #[garde(range(min = 1, max = 50))]
    limit: Option<u32>,
}

/// Passages, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchResult {
    /// The passages that were found.
    items: Vec<PassageBody>,
}

/// A passage that was found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Passage")]
pub(crate) struct PassageBody {
    /// The document that it stands in.
    document_id: Uuid,
    /// The document's title.
    title: String,
    /// The passage.
    text: String,
    /// How well it matches; comparable within one search only.
    rank: f32,
}

impl From<Passage> for PassageBody {
    fn from(passage: Passage) -> Self {
        Self {
            document_id: passage.document_id.uuid(),
            title: passage.title,
            text: passage.text,
            rank: passage.rank,
        }
    }
}

pub(crate) fn operation() -> Operation {
    Operation::new(
        Method::GET,
        "/api/v1/knowledge/search",
        "knowledge.search",
        Access::Requires(Permission::ReadKnowledge),
        search,
    )
    .summary("The passages that answer a question best")
    .description(
        "Passages with all words of the question come first, then those with at least half of them.",
    )
}

async fn search(
    call: Call,
    knowledge: Knowledge,
    ApiQuery(query): ApiQuery<SearchQuery>,
) -> Result<Json<SearchResult>, Problem> {
    let limit = query.limit.unwrap_or(10);
    let found = knowledge.search(&call, &query.q, limit).await?;
    Ok(Json(SearchResult {
        items: found.into_iter().map(Into::into).collect(),
    }))
}

/// Postgres takes no NUL, which a query string can carry as `%00`.
fn storable(text: &str, (): &()) -> garde::Result {
    if text.contains('\0') {
        return Err(garde::Error::new("must not contain the NUL character"));
    }
    Ok(())
}
