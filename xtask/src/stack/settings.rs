//! The settings file of the development server.

use std::path::Path;

use anyhow::Result;
use toml::{Table, Value};

use crate::servers::postgres::write_private;

/// What differs from machine to machine.
pub(crate) struct Values<'a> {
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// Where the server keeps its keys and its warm cache.
    pub(crate) state: &'a Path,
    /// The address of Postgres, password included.
    pub(crate) database: &'a str,
    /// The address of Redis, password included.
    pub(crate) redis: &'a str,
    /// The address of the scripted AI, when it is to answer.
    pub(crate) scripted_ai: Option<&'a str>,
}

/// Writes the file, readable by its owner only, since the addresses carry passwords.
pub(crate) fn write(path: &Path, values: &Values<'_>) -> Result<()> {
    write_private(path, &render(values).to_string())
}

fn render(values: &Values<'_>) -> Table {
    let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
    let mut sections: Vec<(&str, Vec<(&str, Value)>)> = vec![
        (
            "server",
            vec![
                ("host", "127.0.0.1".into()),
                ("port", i64::from(values.port).into()),
                ("state_dir", text(values.state)),
            ],
        ),
        ("database", vec![("url", values.database.into())]),
        ("redis", vec![("url", values.redis.into())]),
        ("cache", vec![("dir", text(&values.state.join("cache")))]),
        // Anybody may register on loopback; elsewhere the default asks for an invitation.
        ("auth", vec![("registration", "open".into())]),
    ];
    if let Some(address) = values.scripted_ai {
        sections.push(("ai", scripted(address)));
    }
    sections
        .into_iter()
        .map(|(name, keys)| (name.to_owned(), table(keys)))
        .collect()
}

/// The scripted AI as the only provider. Standing in the file it wins over the
/// vendors' variables, so a developer's real key is not spent.
fn scripted(address: &str) -> Vec<(&'static str, Value)> {
    let provider = table(vec![
        ("name", "anthropic".into()),
        ("kind", "anthropic".into()),
        ("base_url", address.into()),
        ("api_key", "scripted".into()),
    ]);
    let deployment = table(vec![
        ("provider", "anthropic".into()),
        ("model", "claude-sonnet-5-5".into()),
    ]);
    let model = table(vec![
        ("name", "claude-sonnet-5-5".into()),
        ("deployments", Value::Array(vec![deployment])),
    ]);
    vec![
        ("default_model", "claude-sonnet-5-5".into()),
        ("providers", Value::Array(vec![provider])),
        ("models", Value::Array(vec![model])),
    ]
}

fn table(keys: Vec<(&str, Value)>) -> Value {
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value));
    Value::Table(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn passwords_stay_with_the_owner_and_odd_paths_stay_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mainstay.toml");
        let state = home.path().join("a \"quoted\" place");
        write(
            &path,
            &Values {
                port: 8123,
                state: &state,
                database: "postgres://u:p@127.0.0.1:1/d",
                redis: "redis://default:p@127.0.0.1:2",
                scripted_ai: Some("http://127.0.0.1:3"),
            },
        )
        .unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(read["server"]["port"].as_integer(), Some(8123));
        assert_eq!(
            read["server"]["state_dir"].as_str(),
            Some(state.to_str().unwrap())
        );
        assert_eq!(
            read["database"]["url"].as_str(),
            Some("postgres://u:p@127.0.0.1:1/d")
        );
        assert_eq!(
            read["ai"]["providers"][0]["base_url"].as_str(),
            Some("http://127.0.0.1:3")
        );
    }
}
