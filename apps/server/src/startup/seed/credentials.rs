//! The administrator's password, kept where only the server's user can read it.

use crate::startup::{StartError, part};
use aws_lc_rs::rand;
use mainstay_domain::Email;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The administrator's address and password.
pub(super) struct Credentials {
    pub(super) password: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    email: String,
    password: String,
}

impl Credentials {
    /// Reads what an earlier run kept, or makes and keeps a password.
    pub(super) fn of(
        state_dir: &Path,
        email: &Email,
        account_exists: bool,
    ) -> Result<Self, StartError> {
        let path = state_dir.join("administrator.json");
        let refused = |reason: String| StartError::Part {
            part: "seed",
            reason: format!("{}: {reason}", path.display()),
        };
        match fs::read(&path) {
            Ok(bytes) => {
                let stored: Stored =
                    serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
                if stored.email != email.as_str() {
                    return Err(refused(format!(
                        "it holds the password of {}; seed with --email {0}, or move the file away",
                        stored.email
                    )));
                }
                Ok(Self {
                    password: stored.password.into(),
                })
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(error.to_string())),
            Err(_) if account_exists => Err(refused(format!(
                "it is gone, and {} has an account already, whose password stood only there; \
                 seed with another --email",
                email.as_str()
            ))),
            Err(_) => {
                let credentials = Self {
                    password: generate()?,
                };
                credentials
                    .keep(&path, email)
                    .map_err(|error| refused(error.to_string()))?;
                Ok(credentials)
            }
        }
    }

    /// Writes the file whole or not at all.
    fn keep(&self, path: &Path, email: &Email) -> std::io::Result<()> {
        let stored = Stored {
            email: email.as_str().to_owned(),
            password: self.password.expose_secret().to_owned(),
        };
        let unfinished = path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    }
}

/// 128 random bits, in letters that everybody can type.
fn generate() -> Result<SecretString, StartError> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|error| part("password")(&error))?;
    let mut text = String::with_capacity(32);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    #[test]
    fn a_password_is_made_once_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let ada = email("ada@example.org");
        let first = Credentials::of(home.path(), &ada, false).unwrap();
        let second = Credentials::of(home.path(), &ada, true).unwrap();
        assert_eq!(
            first.password.expose_secret(),
            second.password.expose_secret()
        );
        let file = home.path().join("administrator.json");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_lost_or_foreign_password_is_an_error_that_names_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let lost = Credentials::of(home.path(), &email("ada@example.org"), true);
        assert!(lost.err().unwrap().to_string().contains("--email"));
        Credentials::of(home.path(), &email("ada@example.org"), false).unwrap();
        let foreign = Credentials::of(home.path(), &email("bob@example.org"), false);
        assert!(
            foreign
                .err()
                .unwrap()
                .to_string()
                .contains("ada@example.org")
        );
    }
}
