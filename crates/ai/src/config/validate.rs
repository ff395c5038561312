//! What makes a configuration wrong, said with the path of the setting.

use std::collections::HashSet;

use url::Url;

use super::{Config, ConfigError, ModelConfig, ProviderConfig, Timeouts};

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that makes no sense, with its path.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        for (i, provider) in self.providers.iter().enumerate() {
            let at = format!("providers[{i}]");
            check_provider(provider, &at)?;
            if !names.insert(provider.name.as_str()) {
                return Err(ConfigError::new(
                    format!("{at}.name"),
                    "is the name of another provider too",
                ));
            }
        }
        let mut models = HashSet::new();
        for (i, model) in self.models.iter().enumerate() {
            let at = format!("models[{i}]");
            check_model(model, &names, &at)?;
            if !models.insert(model.name.as_str()) {
                return Err(ConfigError::new(
                    format!("{at}.name"),
                    "is the name of another model too",
                ));
            }
        }
        if let Some(name) = &self.default_model
            && !models.contains(name.as_str())
        {
            return Err(ConfigError::new(
                "default_model",
                "is not the name of a configured model",
            ));
        }
        check_timeouts(&self.timeouts, "timeouts")?;
        self.check_numbers()
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        let retry = &self.retry;
        at_least_one("retry.max_attempts", u64::from(retry.max_attempts))?;
        at_least_one(
            "retry.attempts_per_deployment",
            u64::from(retry.attempts_per_deployment),
        )?;
        at_least_one("retry.backoff_ms", retry.backoff_ms)?;
        if retry.max_backoff_ms < retry.backoff_ms {
            return Err(ConfigError::new(
                "retry.max_backoff_ms",
                "must not be less than retry.backoff_ms",
            ));
        }
        if !(retry.budget_ratio > 0.0 && retry.budget_ratio <= 1.0) {
            return Err(ConfigError::new(
                "retry.budget_ratio",
                "must be above 0 and at most 1",
            ));
        }
        at_least_one(
            "breaker.consecutive_failures",
            u64::from(self.breaker.consecutive_failures),
        )?;
        at_least_one("breaker.open_ms", self.breaker.open_ms)?;
        let limits = &self.limits;
        for (field, bytes) in [
            ("limits.response_bytes", limits.response_bytes),
            ("limits.event_bytes", limits.event_bytes),
            ("limits.streamed_text_bytes", limits.streamed_text_bytes),
            ("limits.error_bytes", limits.error_bytes),
        ] {
            at_least_one(field, bytes as u64)?;
        }
        Ok(())
    }
}

fn at_least_one(field: &str, value: u64) -> Result<(), ConfigError> {
    if value == 0 {
        return Err(ConfigError::new(field, "must be at least 1"));
    }
    Ok(())
}

fn check_provider(provider: &ProviderConfig, at: &str) -> Result<(), ConfigError> {
    if provider.name.is_empty() {
        return Err(ConfigError::new(format!("{at}.name"), "must not be empty"));
    }
    if let Some(base) = &provider.base_url {
        check_url(base, &format!("{at}.base_url"))?;
    }
    if let Some(proxy) = &provider.proxy
        && Url::parse(proxy).is_err()
    {
        return Err(ConfigError::new(format!("{at}.proxy"), "is not a URL"));
    }
    for (name, value) in &provider.headers {
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()
            || reqwest::header::HeaderValue::from_str(value).is_err()
        {
            return Err(ConfigError::new(
                format!("{at}.headers"),
                "holds what cannot be a header",
            ));
        }
    }
    provider.timeouts.as_ref().map_or(Ok(()), |timeouts| {
        check_timeouts(timeouts, &format!("{at}.timeouts"))
    })
}

fn check_url(text: &str, at: &str) -> Result<(), ConfigError> {
    let url = Url::parse(text).map_err(|_| ConfigError::new(at, "is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ConfigError::new(
            at,
            "must begin with http:// or https:// and have a host",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(
            at,
            "must not hold credentials; api_key is their place",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::new(at, "must not have a query or a fragment"));
    }
    Ok(())
}

fn check_model(
    model: &ModelConfig,
    providers: &HashSet<&str>,
    at: &str,
) -> Result<(), ConfigError> {
    if model.name.is_empty() {
        return Err(ConfigError::new(format!("{at}.name"), "must not be empty"));
    }
    if model.deployments.is_empty() {
        return Err(ConfigError::new(
            format!("{at}.deployments"),
            "must not be empty",
        ));
    }
    if model.hedge_after_ms == Some(0) {
        return Err(ConfigError::new(
            format!("{at}.hedge_after_ms"),
            "must be at least 1",
        ));
    }
    for (i, deployment) in model.deployments.iter().enumerate() {
        let at = format!("{at}.deployments[{i}]");
        if !providers.contains(deployment.provider.as_str()) {
            return Err(ConfigError::new(
                format!("{at}.provider"),
                "is not the name of a configured provider",
            ));
        }
        if deployment.model.is_empty() {
            return Err(ConfigError::new(format!("{at}.model"), "must not be empty"));
        }
        at_least_one(&format!("{at}.weight"), u64::from(deployment.weight))?;
    }
    Ok(())
}

fn check_timeouts(timeouts: &Timeouts, at: &str) -> Result<(), ConfigError> {
    at_least_one(&format!("{at}.connect_ms"), timeouts.connect_ms)?;
    at_least_one(&format!("{at}.first_token_ms"), timeouts.first_token_ms)?;
    at_least_one(&format!("{at}.idle_ms"), timeouts.idle_ms)?;
    at_least_one(&format!("{at}.total_ms"), timeouts.total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DeploymentConfig, ProviderKind};

    fn good() -> Config {
        Config {
            providers: vec![ProviderConfig::new("a", ProviderKind::Anthropic, "key")],
            models: vec![ModelConfig::new("m", [("a", "claude-opus-5-5")])],
            ..Config::default()
        }
    }

    fn wrong(change: impl FnOnce(&mut Config)) -> String {
        let mut config = good();
        change(&mut config);
        config.validate().unwrap_err().field().to_owned()
    }

    #[test]
    fn a_plain_configuration_and_an_empty_one_are_right() {
        assert_eq!(good().validate(), Ok(()));
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        assert_eq!(
            wrong(|c| c.providers[0].base_url = Some("ftp://x".into())),
            "providers[0].base_url"
        );
        assert_eq!(
            wrong(|c| c.providers[0].base_url = Some("https://u:p@x".into())),
            "providers[0].base_url"
        );
        assert_eq!(
            wrong(|c| c.providers.push(c.providers[0].clone())),
            "providers[1].name"
        );
        assert_eq!(
            wrong(|c| c.models.push(c.models[0].clone())),
            "models[1].name"
        );
        assert_eq!(
            wrong(|c| c.models[0]
                .deployments
                .push(DeploymentConfig::new("b", "x"))),
            "models[0].deployments[1].provider"
        );
        assert_eq!(
            wrong(|c| c.default_model = Some("x".into())),
            "default_model"
        );
        assert_eq!(wrong(|c| c.timeouts.idle_ms = 0), "timeouts.idle_ms");
        assert_eq!(
            wrong(|c| c.retry.budget_ratio = f64::NAN),
            "retry.budget_ratio"
        );
    }

    #[test]
    fn settings_are_read_from_toml_and_unknown_keys_are_refused() {
        let text = "
            default_model = 'm'
            [[providers]]
            name = 'local'
            kind = 'openai'
            base_url = 'http://127.0.0.1:11434/v1'
            auth = 'none'
            [[models]]
            name = 'm'
            strategy = 'cheapest'
            deployments = [{ provider = 'local', model = 'llama' }]
        ";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.validate(), Ok(()));
        assert!(toml::from_str::<Config>("defualt_model = 'm'").is_err());
    }

    #[test]
    fn a_key_is_not_printed() {
        let mut config = good();
        config.providers[0].api_key = "sk-very-secret".into();
        assert!(!format!("{config:?}").contains("very-secret"));
    }
}
