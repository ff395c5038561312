//! One TLS stack and one crypto provider: rustls over aws-lc-rs.

use std::path::Path;

use anyhow::Result;

use super::Violation;
use crate::process::capture;
use crate::test::cargo;

/// A second provider makes rustls panic at its first use; a second stack has its own bugs.
const REFUSED: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

/// Checks what is really built on Linux with every feature on. `cargo tree`
/// knows; Cargo.lock and `cargo metadata` also list optional crates that nobody switches on.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let printed = capture(cargo(root).args([
        "tree",
        "--workspace",
        "--all-features",
        "--edges",
        "all",
        "--prefix",
        "none",
        "--target",
        "x86_64-unknown-linux-gnu",
        "--format",
        "{p}",
    ]))?;
    let mut names: Vec<String> = printed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(check_names(&names))
}

fn check_names(names: &[String]) -> Vec<Violation> {
    names
        .iter()
        .filter(|name| REFUSED.contains(&name.as_str()))
        .map(|name| {
            Violation::new(
                "Cargo.lock",
                format!("{name} is built: `cargo tree -i {name} --all-features` shows who wants it; switch that feature off"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_stack_is_refused() {
        let names = ["rustls", "aws-lc-rs", "ring"].map(str::to_owned);
        assert_eq!(check_names(&names).len(), 1);
        assert!(check_names(&names[..2]).is_empty());
    }
}
