//! `[ai]`: model providers, as the AI crate defines them.

use mainstay_ai::Config;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

/// Model providers and models. Without any, the vendors' own environment
/// variables (`ANTHROPIC_API_KEY`, `OPENAI_API_KEY` and their `_BASE_URL`s)
/// are honoured; without those, the non-AI chain answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Ai(pub Config);

impl Ai {
    /// Fills in what the vendors' own variables say, when nothing is configured.
    #[must_use]
    pub fn or_from_environment(self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        if self.0.providers.is_empty() {
            Self(Config::from_vendor_env(lookup))
        } else {
            self
        }
    }
}

/// Names only: keys, headers and addresses may all hold secrets.
impl Serialize for Ai {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let providers: Vec<_> = self
            .0
            .providers
            .iter()
            .map(|provider| json!({"name": provider.name, "kind": provider.kind, "api_key": "***"}))
            .collect();
        let models: Vec<_> = self.0.models.iter().map(|model| &model.name).collect();
        json!({
            "providers": providers,
            "models": models,
            "default_model": self.0.default_model,
        })
        .serialize(serializer)
    }
}

/// The shape that matters to an editor; the crate itself checks the rest.
impl schemars::JsonSchema for Ai {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ai".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Model providers and models; see the AI crate's README for every key.",
            "type": "object",
            "properties": {
                "providers": {"type": "array", "items": {"type": "object", "required": ["name", "kind"], "properties": {
                    "name": {"type": "string"},
                    "kind": {"enum": ["anthropic", "openai"]},
                    "base_url": {"type": "string"},
                    "api_key": {"type": "string"}
                }}},
                "models": {"type": "array", "items": {"type": "object", "required": ["name", "deployments"], "properties": {
                    "name": {"type": "string"},
                    "deployments": {"type": "array", "items": {"type": "object", "required": ["provider", "model"]}}
                }}},
                "default_model": {"type": "string"}
            }
        })
    }
}
