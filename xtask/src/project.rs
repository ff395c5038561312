//! Where things lie: the checkout, its private state and cargo's target directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::servers::account::Account;

/// The least free space that a run of the servers needs, in bytes.
const LEAST_FREE: u64 = 512 * 1024 * 1024;

/// The checkout and the places that belong to it.
pub(crate) struct Project {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Where private servers and downloaded tools live: `.mainstay`, or a
    /// directory of its own when another user could not reach into the checkout.
    pub(crate) state: PathBuf,
    /// The user that the servers run as, when this process is root.
    pub(crate) account: Option<Account>,
}

impl Project {
    /// Finds the checkout and prepares its state directory.
    pub(crate) fn open() -> Result<Self> {
        let root = root()?;
        let account = Account::for_servers()?;
        let state = match &account {
            Some(account) if !others_may_enter(&root) => relocated(&root, account)?,
            _ => root.join(".mainstay"),
        };
        ensure_directory(&state)?;
        Ok(Self {
            root,
            state,
            account,
        })
    }

    /// A directory below the state directory, created when missing.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.state.join(name);
        ensure_directory(&path)?;
        Ok(path)
    }

    /// Fails when the disk that holds the state is nearly full, before a
    /// half-written database cluster makes the same point less clearly.
    pub(crate) fn check_space(&self) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.state)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < LEAST_FREE {
            bail!(
                "only {} MB are free under {} and {} MB are needed: free some space and run the command again",
                free / (1024 * 1024),
                self.state.display(),
                LEAST_FREE / (1024 * 1024)
            );
        }
        Ok(())
    }
}

/// The workspace root: where this crate was built from, so that the commands work in any folder.
pub(crate) fn root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest
        .parent()
        .context("xtask has no parent directory")?
        .to_owned();
    if !root.join("Cargo.toml").exists() {
        bail!(
            "{} holds no Cargo.toml: run this with `cargo xtask` inside the checkout",
            root.display()
        );
    }
    Ok(root)
}

/// What cargo knows about the workspace, without looking at the network.
pub(crate) fn metadata(root: &Path) -> Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .context("cargo metadata failed")
}

/// Creates a directory that other users may pass through but not change.
pub(crate) fn ensure_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    // Whatever the umask says: a server that runs as another user must get through.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot set the permissions of {}", path.display()))
}

/// Narrows a directory to its owner.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot set the permissions of {}", path.display()))
}

/// Whether every directory from the root down to `path` lets other users pass.
fn others_may_enter(path: &Path) -> bool {
    path.ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
}

/// A private directory in the system's temp directory, one per checkout.
fn relocated(root: &Path, account: &Account) -> Result<PathBuf> {
    let persistent = Path::new("/var/tmp");
    let base = if persistent.is_dir() {
        persistent.to_owned()
    } else {
        std::env::temp_dir()
    };
    let path = base.join(format!("mainstay-{:016x}", fingerprint(root)));
    if let Ok(meta) = fs::symlink_metadata(&path)
        && (!meta.is_dir() || meta.uid() != 0)
    {
        bail!(
            "{} belongs to somebody else; remove it and run the command again",
            path.display()
        );
    }
    eprintln!(
        "{} cannot be entered by user {}, so the private servers live in {}",
        root.display(),
        account.name,
        path.display()
    );
    Ok(path)
}

/// FNV-1a: only has to tell two checkouts on one machine apart, in the same way every time.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
