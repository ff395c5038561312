//! `cargo xtask codegen`: pages that are generated from the code and kept in `docs/`.
//!
//! The server's own tests compare them on every run and know how to write
//! them, so there is one truth about what is generated and how.

use anyhow::Result;

use crate::process::run;
use crate::project;
use crate::report::Failed;
use crate::test::cargo;

/// Writes the pages, or with `check` only compares them.
pub(crate) fn codegen(check: bool) -> Result<()> {
    let root = project::root()?;
    let mut command = cargo(&root);
    command.args(["test", "--quiet", "--package", "mainstay-server"]);
    command.args(["--all-features", "--test", "it", "generated::"]);
    if check {
        command.env_remove("MAINSTAY_REGENERATE");
    } else {
        command.env("MAINSTAY_REGENERATE", "1");
    }
    if run(&mut command)?.success() {
        return Ok(());
    }
    let what = if check {
        "a page under docs/ is out of date: run `cargo xtask codegen` and commit what it changes"
    } else {
        "the pages could not be generated"
    };
    Err(Failed::new(what, 1).into())
}
