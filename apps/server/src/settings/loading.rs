//! Composing settings from a file's text, the environment and flags.

use super::{Settings, SettingsError, Wrong};
use config::{Config, Environment, File, FileFormat};
use std::collections::HashMap;

/// What settings are composed from; later ones win: file, environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's name, for messages, and its text.
    pub file: Option<(String, String)>,
    /// Environment variables; those that begin with `MAINSTAY__` are read,
    /// with `__` between levels, such as `MAINSTAY__SERVER__PORT`, and where no
    /// model provider is configured the vendors' own, such as `OPENAI_API_KEY`.
    pub environment: Vec<(String, String)>,
    /// Keys set on the command line, such as `("server.port", "9000")`.
    pub flags: Vec<(String, String)>,
}

const PREFIX: &str = "MAINSTAY__";

impl Sources {
    /// Where `key` was set last.
    fn origin(&self, key: &str) -> String {
        let within = |set: &str| set == key || key.starts_with(&format!("{set}."));
        if let Some((flag, _)) = self.flags.iter().rev().find(|(flag, _)| within(flag)) {
            return format!("the flag for {flag}");
        }
        let variable = self.environment.iter().find(|(name, _)| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| within(&rest.to_lowercase().replace("__", ".")))
        });
        match (variable, &self.file) {
            (Some((name, _)), _) => format!("the environment variable {name}"),
            (None, Some((file, _))) => file.clone(),
            (None, None) => "the defaults".to_owned(),
        }
    }

    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn file_name(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| "the environment".to_owned(), |(name, _)| name.clone())
    }
}

/// Composes and checks settings.
///
/// # Errors
/// [`SettingsError`] naming each key that is unknown or wrong, the shape that
/// it should have, and where it was set. Values are not repeated, since they
/// may be secrets.
pub fn load(sources: &Sources) -> Result<Settings, SettingsError> {
    let whole = |reason: String| SettingsError {
        wrong: vec![Wrong {
            key: String::new(),
            reason,
            origin: sources.file_name(),
        }],
    };
    let mut builder = Config::builder();
    if let Some((_, text)) = &sources.file {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    let variables: HashMap<String, String> = sources
        .environment
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .cloned()
        .collect();
    builder = builder.add_source(
        Environment::with_prefix("MAINSTAY")
            .prefix_separator("__")
            .separator("__")
            .source(Some(variables)),
    );
    for (key, value) in &sources.flags {
        builder = builder
            .set_override(key, value.as_str())
            .map_err(|error| whole(error.to_string()))?;
    }
    let composed = builder
        .build()
        .map_err(|error| whole(format!("not valid TOML: {error}")))?;
    let mut settings: Settings = serde_path_to_error::deserialize(composed).map_err(|error| {
        let (key, reason) = explain(&error);
        SettingsError {
            wrong: vec![Wrong {
                origin: sources.origin(&key),
                key,
                reason,
            }],
        }
    })?;
    settings.ai = settings
        .ai
        .or_from_environment(|name| sources.variable(name));
    let wrong: Vec<Wrong> = settings
        .findings()
        .into_iter()
        .map(|(key, reason)| Wrong {
            origin: sources.origin(&key),
            key,
            reason,
        })
        .collect();
    if wrong.is_empty() {
        Ok(settings)
    } else {
        Err(SettingsError { wrong })
    }
}

/// The key and a reason without the value.
fn explain(error: &serde_path_to_error::Error<config::ConfigError>) -> (String, String) {
    let path = error.path().to_string();
    let parent = if path == "." { "" } else { &path };
    let text = error.inner().to_string();
    // Derived code reports an unknown field at its parent or at itself.
    if let Some(rest) = text.strip_prefix("unknown field `")
        && let Some((field, expected)) = rest.split_once('`')
    {
        let key = match parent.rsplit('.').next() {
            Some(last) if last == field => parent.to_owned(),
            _ if parent.is_empty() => field.to_owned(),
            _ => format!("{parent}.{field}"),
        };
        return (key, format!("no such setting{expected}"));
    }
    let reason = match text.rsplit_once("expected ") {
        Some((_, shape)) => {
            let shape = shape.split(" for key ").next().unwrap_or(shape);
            format!("must be {shape}")
        }
        None => text,
    };
    (parent.to_owned(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Sources {
        Sources {
            file: Some(("mainstay.toml".to_owned(), text.to_owned())),
            ..Sources::default()
        }
    }

    fn only(error: &SettingsError) -> &Wrong {
        assert_eq!(error.wrong.len(), 1, "{error}");
        &error.wrong[0]
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = load(&Sources::default()).unwrap();
        assert_eq!(settings.server.port, 8000);
        assert_eq!(settings.limits.authenticated_per_hour, 20_000);
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let mut sources = file("[server]\nport = 1\ndrain_seconds = 3\nkeep_alive_seconds = 9");
        sources.environment = vec![
            ("MAINSTAY__SERVER__PORT".into(), "2".into()),
            ("MAINSTAY__SERVER__DRAIN_SECONDS".into(), "4".into()),
            ("PATH".into(), "/bin".into()),
        ];
        sources.flags = vec![("server.port".into(), "5".into())];
        let server = load(&sources).unwrap().server;
        assert_eq!(
            (server.port, server.drain_seconds, server.keep_alive_seconds),
            (5, 4, 9)
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file() {
        let error = load(&file("[server]\nprot = 1")).unwrap_err();
        let wrong = only(&error);
        assert_eq!(wrong.key, "server.prot");
        assert_eq!(wrong.origin, "mainstay.toml");
        assert!(wrong.reason.contains("no such setting"), "{error}");
        let error = load(&file("[sever]\nport = 1")).unwrap_err();
        assert_eq!(only(&error).key, "sever");
    }

    #[test]
    fn an_unknown_variable_is_named() {
        let sources = Sources {
            environment: vec![("MAINSTAY__SERVER__PROT".into(), "1".into())],
            ..Sources::default()
        };
        let error = load(&sources).unwrap_err();
        let wrong = only(&error);
        assert_eq!(wrong.key, "server.prot");
        assert!(wrong.origin.contains("MAINSTAY__SERVER__PROT"), "{error}");
    }

    #[test]
    fn a_wrong_shape_is_named_without_its_value() {
        let error = load(&file("[server]\nport = \"hunter2\"")).unwrap_err();
        let wrong = only(&error);
        assert_eq!(wrong.key, "server.port");
        assert!(wrong.reason.starts_with("must be"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn every_value_out_of_range_is_listed() {
        let error = load(&file(
            "[server]\ndrain_seconds = 0\n[limits]\nmax_in_flight = 0",
        ))
        .unwrap_err();
        let keys: Vec<&str> = error.wrong.iter().map(|w| w.key.as_str()).collect();
        assert_eq!(keys, ["server.drain_seconds", "limits.max_in_flight"]);
    }

    #[test]
    fn the_vendors_variables_configure_models_where_nothing_else_does() {
        let environment = [
            ("ANTHROPIC_API_KEY", "a-key"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1"),
            ("OPENAI_API_KEY", "o-key"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:2/v1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut sources = Sources {
            environment: environment.to_vec(),
            ..Sources::default()
        };
        let providers = load(&sources).unwrap().ai.0.providers;
        let known: Vec<_> = providers
            .iter()
            .map(|provider| (&*provider.name, provider.base_url.as_deref()))
            .collect();
        assert_eq!(
            known,
            [
                ("anthropic", Some("http://127.0.0.1:1")),
                ("openai", Some("http://127.0.0.1:2/v1")),
            ]
        );
        sources.file = file(
            "[[ai.providers]]\nname = \"own\"\nkind = \"openai\"\napi_key = \"k\"\n\
             [[ai.models]]\nname = \"m\"\ndeployments = [{provider = \"own\", model = \"m\"}]",
        )
        .file;
        let settings = load(&sources).unwrap();
        assert_eq!(settings.ai.0.providers.len(), 1, "the file wins");
        assert_eq!(settings.ai.0.providers[0].name, "own");
        assert!(load(&Sources::default()).unwrap().ai.0.providers.is_empty());
    }

    #[test]
    fn broken_toml_names_the_file() {
        let error = load(&file("[server\nport")).unwrap_err();
        assert!(error.to_string().contains("mainstay.toml"), "{error}");
    }

    #[test]
    fn lists_come_as_lists_or_with_commas() {
        let settings = load(&file("[server]\ntrusted_proxies = [\"10.0.0.1\"]")).unwrap();
        assert_eq!(settings.server.trusted_proxies, ["10.0.0.1"]);
        let sources = Sources {
            environment: vec![(
                "MAINSTAY__SERVER__TRUSTED_PROXIES".into(),
                "10.0.0.1, 10.0.0.2".into(),
            )],
            ..Sources::default()
        };
        let settings = load(&sources).unwrap();
        assert_eq!(settings.server.trusted_proxies.len(), 2);
    }
}
