//! The first administrator's credentials, as `mainstay seed` prints them.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What to log in with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The administrator's e-mail address.
    pub(crate) email: String,
    /// The administrator's password.
    pub(crate) password: String,
}

impl Credentials {
    /// Reads `{"email": …, "password": …}`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("it is no JSON")?;
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
    fn a_seed_that_prints_nothing_useful_is_an_error() {
        assert!(Credentials::parse("").is_err());
        assert!(Credentials::parse("{\"email\":\"a@b.c\"}").is_err());
        assert!(Credentials::parse("{\"email\":\"a@b.c\",\"password\":\"p\"}\n").is_ok());
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
