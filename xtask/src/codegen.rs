//! `cargo xtask codegen`: files that the server prints and the repository keeps.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::{capture, run_ok};
use crate::project;
use crate::report::Failed;
use crate::test::cargo;

/// Each kept file with the arguments of `mainstay` that print it.
const GENERATED: [(&str, &[&str]); 1] = [("docs/openapi.json", &["openapi"])];

/// Writes the files, or with `check` only compares them.
pub(crate) fn codegen(check: bool) -> Result<()> {
    let root = project::root()?;
    // With every feature, as the tests build it, so that nothing is built twice.
    run_ok(cargo(&root).args([
        "build",
        "--quiet",
        "--workspace",
        "--all-features",
        "--bin",
        "mainstay",
    ]))?;
    let target = project::metadata(&root)?.target_directory;
    let program = target.join("debug/mainstay");
    let mut stale = Vec::new();
    for (path, arguments) in GENERATED {
        let printed = capture(
            std::process::Command::new(&program)
                .args(arguments)
                .current_dir(&root),
        )?;
        let path = root.join(path);
        if !same(&path, &printed) {
            stale.push(path.strip_prefix(&root)?.display().to_string());
            if !check {
                fs::write(&path, &printed)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    match (check, stale.is_empty()) {
        (_, true) => Ok(()),
        (false, _) => {
            eprintln!("written: {}", stale.join(", "));
            Ok(())
        }
        (true, _) => Err(Failed::new(
            format!(
                "{} no longer tell what the server does: run `cargo xtask codegen` and commit",
                stale.join(", ")
            ),
            1,
        )
        .into()),
    }
}

fn same(path: &Path, printed: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|kept| kept == printed)
}
