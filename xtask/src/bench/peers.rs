//! Benchmarks beside peers: packages of their own, so that the peers never
//! reach the workspace's dependency graph.

use anyhow::{Result, bail};

use crate::process::capture_output;
use crate::project::Project;
use crate::report::step;
use crate::test::cargo;

/// Runs the package beside a crate and returns what it prints, in Markdown.
pub(super) fn measure(project: &Project, krate: &str) -> Result<String> {
    let manifest = format!("crates/{krate}/peers/Cargo.toml");
    if !project.root.join(&manifest).exists() {
        bail!("there is no {manifest}: the benchmarks beside peers of `{krate}` stand there");
    }
    let target = crate::project::metadata(&project.root)?.target_directory;
    let mut command = cargo(&project.root);
    command
        .args(["run", "--quiet", "--release", "--manifest-path", &manifest])
        .env("CARGO_TARGET_DIR", target.join("peers"));
    step("measure beside peers", || capture_output(&mut command))
}
