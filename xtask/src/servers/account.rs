//! The user that servers run as when this process is root, which initdb refuses to be.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A user without rights, taken from `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The login name.
    pub(crate) name: String,
    /// The user id.
    pub(crate) uid: u32,
    /// The group id.
    pub(crate) gid: u32,
}

impl Account {
    /// `None` unless this process is root; then `postgres` if there is such a user, else `nobody`.
    pub(crate) fn for_servers() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        match find(&passwd, "postgres").or_else(|| find(&passwd, "nobody")) {
            Some(account) => Ok(Some(account)),
            None => bail!(
                "Postgres refuses to run as root and there is no user `postgres` or `nobody`: run `useradd --system postgres`, or run this as another user"
            ),
        }
    }
}

/// The account that files of an earlier run belong to, else `account`. Which
/// users exist changes, for instance when the Postgres package is installed.
pub(crate) fn keep_owner(files: &Path, account: Option<&Account>) -> Option<Account> {
    let account = account?;
    let owner = std::fs::metadata(files)
        .ok()
        .filter(|meta| meta.uid() != 0)
        .map(|meta| Account {
            name: format!("with id {}", meta.uid()),
            uid: meta.uid(),
            gid: meta.gid(),
        });
    Some(owner.unwrap_or_else(|| account.clone()))
}

/// Makes `command` run as `account`, when there is one.
pub(crate) fn run_as<'a>(command: &'a mut Command, account: Option<&Account>) -> &'a mut Command {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
        command.env("HOME", "/nonexistent");
    }
    command
}

/// Gives a path to `account`, when there is one.
pub(crate) fn give(path: &Path, account: Option<&Account>) -> Result<()> {
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give {} to user {}", path.display(), account.name))?;
    }
    Ok(())
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_user_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      nobody2:x:7:8::/:/bin/false\n\
                      nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(
            find(passwd, "nobody"),
            Some(Account {
                name: "nobody".to_owned(),
                uid: 65534,
                gid: 65533
            })
        );
        assert_eq!(find(passwd, "postgres"), None);
    }

    #[test]
    fn without_earlier_files_and_without_root_nothing_changes() {
        let account = Account {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        let missing = Path::new("/no/such/cluster");
        assert_eq!(keep_owner(missing, Some(&account)), Some(account));
        assert_eq!(keep_owner(missing, None), None);
    }
}
