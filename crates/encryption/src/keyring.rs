//! The keyring: the versioned keys that wrap data keys, and the root that
//! purposes derive their keys from.

use crate::{
    data_key::{cipher, random},
    error::{KeyError, Kind},
};
use aws_lc_rs::{aead::LessSafeKey, hkdf};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::{Zeroize, Zeroizing};

/// The top of all keys, read from a file or an environment variable and never
/// from the database.
///
/// Its text form is JSON: `{"format": 1, "root": "…", "current": 2,
/// "keys": {"1": "…", "2": "…"}}`, each secret 32 bytes in base64. `keys` wrap
/// data keys; `current` wraps new ones. `root` never changes: blind indexes,
/// the password pepper and other derived keys come from it.
pub struct Keyring {
    root: Zeroizing<[u8; 32]>,
    current: u32,
    keys: BTreeMap<u32, (Zeroizing<[u8; 32]>, LessSafeKey)>,
}

/// The text form. Its strings are wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    root: String,
    current: u32,
    keys: BTreeMap<u32, String>,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.root.zeroize();
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl Keyring {
    /// A new keyring with a random root and one random key, number 1.
    ///
    /// # Errors
    /// `is_unavailable()` when the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut keyring = Self {
            root: random()?,
            current: 0,
            keys: BTreeMap::new(),
        };
        keyring.rotate()?;
        Ok(keyring)
    }

    /// Adds a random key and makes it the one that wraps new data keys. The
    /// former keys stay, so that what they wrapped still opens. Returns its number.
    ///
    /// # Errors
    /// `is_unavailable()` when the system gives no randomness.
    pub fn rotate(&mut self) -> Result<u32, KeyError> {
        let bytes = random::<32>()?;
        let key = cipher(&bytes)?;
        self.current = self.keys.keys().next_back().map_or(1, |last| last + 1);
        self.keys.insert(self.current, (bytes, key));
        Ok(self.current)
    }

    /// Drops a former key, once nothing is wrapped by it any more.
    ///
    /// # Errors
    /// `is_config()` when it is the current key or not in the ring.
    pub fn retire(&mut self, id: u32) -> Result<(), KeyError> {
        if id == self.current || self.keys.remove(&id).is_none() {
            return Err(KeyError::new(
                Kind::Config,
                format!("key {id} is the current key or unknown, so it cannot be retired"),
            ));
        }
        Ok(())
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// `is_config()` when it is malformed; the message says where, without secrets.
    pub fn from_text(text: &SecretString) -> Result<Self, KeyError> {
        let written: Written = serde_json::from_str(text.expose_secret()).map_err(|error| {
            // The parser's own message could repeat a secret; its place cannot.
            KeyError::new(
                Kind::Config,
                format!(
                    "the keyring is not a keyring of format 1 (line {}, column {})",
                    error.line(),
                    error.column()
                ),
            )
        })?;
        if written.format != 1 {
            return Err(KeyError::new(
                Kind::Config,
                format!("the keyring's format {} is unknown", written.format),
            ));
        }
        let mut keys = BTreeMap::new();
        for (id, text) in &written.keys {
            if *id == 0 || *id > i32::MAX.unsigned_abs() {
                return Err(KeyError::new(Kind::Config, "keys are numbered from 1"));
            }
            let bytes = secret(text, &format!("key {id}"))?;
            let key = cipher(&bytes)?;
            keys.insert(*id, (bytes, key));
        }
        if !keys.contains_key(&written.current) {
            return Err(KeyError::new(
                Kind::Config,
                format!("the keyring lacks its current key {}", written.current),
            ));
        }
        Ok(Self {
            root: secret(&written.root, "the root")?,
            current: written.current,
            keys,
        })
    }

    /// The text form, to be kept where the database's backups are not.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let written = Written {
            format: 1,
            root: STANDARD.encode(self.root.as_slice()),
            current: self.current,
            keys: self
                .keys
                .iter()
                .map(|(id, (bytes, _))| (*id, STANDARD.encode(bytes.as_slice())))
                .collect(),
        };
        // Maps of numbers to strings always become JSON.
        serde_json::to_string(&written).unwrap_or_default().into()
    }

    /// Reads a keyring file.
    ///
    /// # Errors
    /// `is_config()` when the file is missing, readable by others, or malformed.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |error: io::Error| {
            KeyError::new(
                Kind::Config,
                format!("the keyring file {} cannot be read", path.display()),
            )
            .caused(error)
        };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::new(
                Kind::Config,
                format!(
                    "the keyring file {} is open to other users; run chmod 600 on it",
                    path.display()
                ),
            ));
        }
        Self::from_text(&fs::read_to_string(path).map_err(unreadable)?.into())
    }

    /// Reads a keyring file, or writes a new one where there is none; for
    /// development and first starts. When two processes start at once, both end
    /// up with the same keyring.
    ///
    /// # Errors
    /// As [`Keyring::from_file`], and when the file cannot be written.
    pub fn from_file_or_generate(path: &Path) -> Result<Self, KeyError> {
        if !path.exists() {
            let keyring = Self::generate()?;
            match keyring.write(path, Replace::No) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(path, error)),
                Ok(()) => {}
            }
        }
        Self::from_file(path)
    }

    /// Writes the keyring to a file that only its owner can read, replacing the
    /// former one in a single step.
    ///
    /// # Errors
    /// `is_config()` when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        self.write(path, Replace::Yes)
            .map_err(|error| unwritable(path, error))
    }

    /// Writes beside the target and moves it there when it is whole and on disk.
    fn write(&self, path: &Path, replace: Replace) -> io::Result<()> {
        let name = random::<8>().map_err(io::Error::other)?;
        let name = u64::from_be_bytes(*name);
        let beside = path.with_extension(format!("{name:016x}.new"));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(self.to_text().expose_secret().as_bytes())?;
            file.sync_all()?;
            match replace {
                Replace::Yes => fs::rename(&beside, path),
                // A hard link refuses to replace what another process has just written.
                Replace::No => fs::hard_link(&beside, path),
            }
        })();
        let _ = fs::remove_file(&beside);
        written
    }

    /// The key of `purpose`, 32 bytes by HKDF-SHA-256 from the root. The same
    /// purpose gives the same key for the life of the deployment.
    ///
    /// # Errors
    /// `is_config()` never happens with 32 bytes; it is there instead of a panic.
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"mainstay.keyring.v1")
            .extract(self.root.as_slice())
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(key.as_mut_slice()))
            .map_err(|_| KeyError::new(Kind::Config, "the key could not be derived"))?;
        Ok(key)
    }

    /// The number of the key that wraps new data keys.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.current
    }

    pub(crate) fn key(&self, id: u32) -> Option<&LessSafeKey> {
        self.keys.get(&id).map(|(_, key)| key)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.current)
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

enum Replace {
    Yes,
    No,
}

fn unwritable(path: &Path, error: io::Error) -> KeyError {
    KeyError::new(
        Kind::Config,
        format!("the keyring file {} cannot be written", path.display()),
    )
    .caused(error)
}

fn secret(text: &str, what: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let decoded = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
    let mut bytes = Zeroizing::new([0; 32]);
    if decoded.len() != bytes.len() {
        return Err(KeyError::new(
            Kind::Config,
            format!("{what} of the keyring is not 32 bytes in base64"),
        ));
    }
    bytes.copy_from_slice(&decoded);
    Ok(bytes)
}
