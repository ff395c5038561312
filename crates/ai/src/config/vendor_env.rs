//! The variables that the vendors' own SDKs read.

use super::{Config, ModelConfig, ProviderConfig, ProviderKind};

/// The models made available by a key alone, the default one first. Any other
/// is a matter of settings.
const ANTHROPIC_MODELS: [&str; 6] = [
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-haiku-5-5",
    "claude-fable-5-1",
    "claude-opus-5",
    "claude-haiku-4-5",
];
const OPENAI_MODELS: [&str; 6] = [
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-6.1-terra",
    "gpt-6-astra",
    "gpt-5.6-sol",
    "gpt-5.4-mini",
];

impl Config {
    /// The configuration that `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`,
    /// `OPENAI_API_KEY` and `OPENAI_BASE_URL` describe, read through `lookup`.
    ///
    /// As in the vendors' SDKs a vendor without a key is not there, an empty
    /// value counts as none, the Anthropic address is given without `/v1` and
    /// the OpenAI address with it. Each vendor's current models get their own
    /// names. With both keys the default model of one vendor falls back to the
    /// default model of the other; with none the configuration is empty.
    ///
    /// ```
    /// use mainstay_ai::Config;
    ///
    /// let config = Config::from_vendor_env(|name| match name {
    ///     "OPENAI_API_KEY" => Some("sk-…".to_owned()),
    ///     _ => None,
    /// });
    /// assert_eq!(config.providers.len(), 1);
    /// assert_eq!(config.providers[0].name, "openai");
    /// ```
    pub fn from_vendor_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let provider = |name: &str, kind, key: &str, base: &str| {
            value(key).map(|key| ProviderConfig {
                base_url: value(base),
                ..ProviderConfig::new(name, kind, key)
            })
        };
        let anthropic = provider(
            "anthropic",
            ProviderKind::Anthropic,
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
        );
        let openai = provider(
            "openai",
            ProviderKind::OpenAi,
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
        );

        let mut models = Vec::new();
        let both = anthropic.is_some() && openai.is_some();
        let vendors = [
            (
                anthropic.is_some(),
                "anthropic",
                ANTHROPIC_MODELS,
                ("openai", OPENAI_MODELS[0]),
            ),
            (
                openai.is_some(),
                "openai",
                OPENAI_MODELS,
                ("anthropic", ANTHROPIC_MODELS[0]),
            ),
        ];
        for (present, vendor, names, other) in vendors {
            for (i, name) in names.into_iter().enumerate().filter(|_| present) {
                let mut chain = vec![(vendor, name)];
                chain.extend((both && i == 0).then_some(other));
                models.push(ModelConfig::new(name, chain));
            }
        }
        Self {
            providers: anthropic.into_iter().chain(openai).collect(),
            default_model: models.first().map(|model| model.name.clone()),
            models,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn config(pairs: &[(&str, &str)]) -> Config {
        Config::from_vendor_env(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_a_key_nothing_is_configured() {
        for pairs in [
            &[][..],
            &[("ANTHROPIC_API_KEY", "  ")],
            &[("OPENAI_BASE_URL", "http://localhost/v1")],
        ] {
            let config = config(pairs);
            assert!(
                config.providers.is_empty() && config.models.is_empty(),
                "{pairs:?}"
            );
            assert_eq!(config.validate(), Ok(()));
        }
    }

    #[test]
    fn a_key_and_an_address_make_a_provider() {
        let config = config(&[
            ("ANTHROPIC_API_KEY", "sk-a\n"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9"),
        ]);
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.providers[0].api_key.expose_secret(), "sk-a");
        assert_eq!(
            config.providers[0].base_url.as_deref(),
            Some("http://127.0.0.1:9")
        );
        assert_eq!(config.default_model.as_deref(), Some("claude-sonnet-5-5"));
    }

    #[test]
    fn with_both_keys_the_defaults_fall_back_to_each_other() {
        let config = config(&[("ANTHROPIC_API_KEY", "a"), ("OPENAI_API_KEY", "b")]);
        assert_eq!(config.validate(), Ok(()));
        let chain = |name: &str| -> Vec<String> {
            let model = config
                .models
                .iter()
                .find(|model| model.name == name)
                .unwrap();
            model
                .deployments
                .iter()
                .map(|d| format!("{}/{}", d.provider, d.model))
                .collect()
        };
        assert_eq!(
            chain("claude-sonnet-5-5"),
            ["anthropic/claude-sonnet-5-5", "openai/gpt-6-sol"]
        );
        assert_eq!(
            chain("gpt-6-sol"),
            ["openai/gpt-6-sol", "anthropic/claude-sonnet-5-5"]
        );
        assert_eq!(chain("claude-opus-5-5"), ["anthropic/claude-opus-5-5"]);
    }

    #[test]
    fn every_offered_model_has_a_price() {
        let prices = crate::price::Catalogue::built_in().unwrap();
        for model in ANTHROPIC_MODELS.into_iter().chain(OPENAI_MODELS) {
            assert!(prices.knows(model), "{model}");
        }
    }
}
