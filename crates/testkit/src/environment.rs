//! What `cargo xtask test` tells the tests about this machine.

use std::env;
use std::fmt;
use std::path::PathBuf;

/// Why a test server could not be had. Made to be unwrapped: its `Debug` is its message.
pub struct SetupError(String);

impl SetupError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn wrap(what: &str, cause: impl fmt::Display) -> Self {
        Self(format!("{what}: {cause}"))
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

/// The value of a variable that `cargo xtask test` sets.
pub(crate) fn variable(name: &str) -> Result<String, SetupError> {
    env::var(name).map_err(|_| {
        SetupError::new(format!(
            "{name} is not set, so there is no test server to talk to: run `cargo xtask test`, \
             or `cargo xtask db start` in another terminal and paste the lines it prints"
        ))
    })
}

/// Where servers of single tests keep their files.
pub(crate) fn directory() -> PathBuf {
    env::var_os("MAINSTAY_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from)
}

/// The user and group that servers run as when the tests run as root.
pub(crate) fn run_as() -> Result<Option<(u32, u32)>, SetupError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let text = variable("MAINSTAY_TEST_RUN_AS")?;
    parse_ids(&text).map(Some).ok_or_else(|| {
        SetupError::new(format!(
            "MAINSTAY_TEST_RUN_AS must be `uid:gid`, but is `{text}`"
        ))
    })
}

fn parse_ids(text: &str) -> Option<(u32, u32)> {
    let (uid, gid) = text.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_says_which_command_sets_it() {
        let error = variable("MAINSTAY_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(format!("{error:?}").contains("cargo xtask test"));
    }

    #[test]
    fn reads_user_and_group() {
        assert_eq!(parse_ids("101:104"), Some((101, 104)));
        assert_eq!(parse_ids("postgres"), None);
    }
}
