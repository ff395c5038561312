//! `cargo xtask tidy`: the architecture, executed.
//!
//! Each rule stands in a file of its own and is a function of plain values, so
//! that its test can show it biting. **To add a rule**, write such a function
//! and a line in [`tidy`].

mod layers;
mod literals;
mod sources;
mod sql;
mod tls;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project;
use crate::report::Failed;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Where: a file with its line, or a crate.
    place: String,
    /// What is wrong and what to do about it.
    message: String,
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Checks every rule and lists all that is broken.
pub(crate) fn tidy() -> Result<()> {
    let root = project::root()?;
    let metadata = project::metadata(&root)?;
    let mut violations = layers::check(&layers::crates(&metadata));
    violations.extend(tls::check(&root)?);
    for path in files(&root)? {
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let name = name.to_string_lossy().into_owned();
        // Images and other files that are no text have nothing to check.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        violations.extend(sources::check_text(&name, &text, &root));
        if name.ends_with(".rs") {
            violations.extend(sources::check_rust(&name, &text));
            violations.extend(sql::check(&name, &text));
        }
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Failed::new(format!("tidy found {} violations", violations.len()), 1).into())
}

/// Every file of the checkout that a person writes.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("cannot read {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            let skipped = [".git", ".mainstay", "target", "node_modules"];
            if kind.is_dir() && !skipped.iter().any(|skip| name == *skip) {
                open.push(entry.path());
            } else if kind.is_file() && name != "Cargo.lock" {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
