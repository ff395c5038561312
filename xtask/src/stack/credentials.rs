//! The first administrator's credentials: made once by `mainstay seed`, kept for later runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::servers::postgres::write_private;

/// What to log in with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The administrator's e-mail address.
    pub(crate) email: String,
    /// The administrator's password.
    pub(crate) password: String,
}

impl Credentials {
    /// Reads what an earlier run kept, or runs `seed` and keeps what it printed.
    ///
    /// Only the hash of a password reaches the database, so the file is the
    /// only place that can show it again.
    pub(crate) fn load_or_seed(
        state: &Path,
        seed: impl FnOnce() -> Result<String>,
    ) -> Result<Self> {
        let path = state.join("credentials.json");
        if let Ok(text) = fs::read_to_string(&path) {
            return Self::parse(&text).with_context(|| {
                format!("{} is damaged; start anew with --fresh", path.display())
            });
        }
        let printed = seed()?;
        let credentials = Self::parse(&printed).context(
            "`mainstay seed` printed no credentials; start anew with `cargo xtask dev --fresh`",
        )?;
        write_private(
            &path,
            &json!({"email": credentials.email, "password": credentials.password}).to_string(),
        )?;
        Ok(credentials)
    }

    /// Reads `{"email": …, "password": …}` from the last line that is JSON, so that log lines before it do no harm.
    fn parse(text: &str) -> Result<Self> {
        let whole = serde_json::from_str::<Value>(text).ok();
        let value = whole
            .or_else(|| {
                text.lines()
                    .rev()
                    .find_map(|line| serde_json::from_str::<Value>(line).ok())
            })
            .context("no JSON found")?;
        let field = |name: &str| -> Result<String> {
            value
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no field `{name}`"))
        };
        Ok(Self {
            email: field("email")?,
            password: field("password")?,
        })
    }

    /// One command that logs in and asks: a token in it would have expired by the time it is pasted.
    pub(crate) fn curl(&self, address: &str) -> String {
        let login = json!({"email": self.email, "password": self.password});
        let question = json!({"prompt": "What is Mainstay and what happens when the AI is down?"});
        let json = "-H 'Content-Type: application/json'";
        format!(
            "curl -sS {address}/api/v1/ai/execute {json} -H \"Authorization: Bearer \
             $(curl -sS {address}/api/v1/auth/login {json} -d '{login}' \
             | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\" -d '{question}'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seeded_once_is_shown_again_without_seeding() {
        let state = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_seed(state.path(), || {
            Ok("{\"level\":\"info\"}\n{\"email\":\"a@b.c\",\"password\":\"p\"}\n".to_owned())
        })
        .unwrap();
        let second = Credentials::load_or_seed(state.path(), || anyhow::bail!("seeded twice"));
        assert_eq!(second.unwrap(), first);
    }

    #[test]
    fn a_seed_that_prints_nothing_useful_is_an_error_and_keeps_nothing() {
        let state = tempfile::tempdir().unwrap();
        assert!(Credentials::load_or_seed(state.path(), || Ok(String::new())).is_err());
        assert!(!state.path().join("credentials.json").exists());
    }

    #[test]
    fn the_curl_is_one_line_that_a_shell_can_parse() {
        let credentials = Credentials {
            email: "admin@example.org".to_owned(),
            password: "p-1".to_owned(),
        };
        let curl = credentials.curl("http://127.0.0.1:1");
        assert_eq!(curl.lines().count(), 1);
        let status = std::process::Command::new("sh")
            .args(["-n", "-c", &curl])
            .status()
            .unwrap();
        assert!(status.success());
    }
}
