//! Rules about single files: their names, their length, their documentation, the paths in them.

use std::path::Path;

use super::Violation;

/// Names that refuse nothing, so everything would end up there.
const BANNED_NAMES: [&str; 8] = [
    "common", "util", "utils", "core", "shared", "helper", "helpers", "misc",
];

/// A file longer than this is more than one thing.
const MOST_LINES: usize = 800;

/// Checks a Rust source.
pub(super) fn check_rust(path: &str, source: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if let Some(name) = Path::new(path)
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .find(|name| BANNED_NAMES.contains(name))
    {
        violations.push(Violation::new(
            path,
            format!("`{name}` says nothing about what is in it: name the thing itself"),
        ));
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        violations.push(Violation::new(
            path,
            format!("{lines} lines: split it by what its parts are for (at most {MOST_LINES})"),
        ));
    }
    // The name of a test file and of its tests tell what they are about.
    if !path.contains("/tests/") && !is_documented(source) {
        violations.push(Violation::new(
            path,
            "begins without `//!`: say in a sentence what the module is for",
        ));
    }
    violations
}

/// Checks any text file for paths of somebody's machine.
pub(super) fn check_text(path: &str, text: &str, root: &Path) -> Vec<Violation> {
    let checkout = root.to_string_lossy();
    // A checkout directly under the root, such as `/app`, has too plain a name to look for.
    let distinctive = root.components().count() > 2;
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            (distinctive && line.contains(&*checkout)) || HOMES.iter().any(|home| names(line, home))
        })
        .map(|(index, _)| {
            Violation::new(
                format!("{path}:{}", index + 1),
                "names a path of one machine: make it relative to the checkout",
            )
        })
        .collect()
}

/// Where people's own files are.
const HOMES: [&str; 3] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
];

/// Whether the line holds the directory at the beginning of a path, followed by a name.
fn names(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-}/".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || c == '.')
    })
}

/// Whether module documentation comes before everything but attributes and plain comments.
fn is_documented(source: &str) -> bool {
    source
        .lines()
        .map(str::trim)
        .find(|line| {
            let plain = line.starts_with("//") && !line.starts_with("//!");
            let attribute = line.starts_with("#!") && !line.contains("doc = ");
            !line.is_empty() && !plain && !attribute
        })
        .is_some_and(|line| line.starts_with("//!") || line.starts_with("#!["))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_refused() {
        assert_eq!(check_rust("crates/ai/src/utils.rs", "//! A.\n").len(), 1);
        assert_eq!(
            check_rust("crates/ai/tests/common/mod.rs", "//! A.\n").len(),
            1
        );
        assert!(check_rust("crates/ai/src/price.rs", "//! A.\n").is_empty());
    }

    #[test]
    fn long_files_are_refused() {
        let long = format!("//! A.\n{}", "\n".repeat(MOST_LINES));
        assert_eq!(check_rust("crates/ai/src/price.rs", &long).len(), 1);
    }

    #[test]
    fn a_module_says_what_it_is_for() {
        for undocumented in [
            "",
            "use std::fmt;\n//! Late.\n",
            "/// An item.\nfn f() {}\n",
        ] {
            assert_eq!(
                check_rust("crates/ai/src/price.rs", undocumented).len(),
                1,
                "{undocumented}"
            );
        }
        for documented in [
            "//! A.\n",
            "// Licence.\n\n//! A.\n",
            "#![allow(unused)]\n//! A.\n",
            "#![doc = include_str!(\"../README.md\")]\n",
            "#![cfg_attr(feature = \"tokio\", doc = include_str!(\"../README.md\"))]\n",
        ] {
            assert!(
                check_rust("crates/ai/src/price.rs", documented).is_empty(),
                "{documented}"
            );
        }
    }

    #[test]
    fn tests_speak_through_their_names() {
        assert!(check_rust("crates/ai/tests/it/price.rs", "use std::fmt;\n").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        let root = Path::new("/srv/build/mainstay");
        let found = |text: &str| check_text("README.md", text, root).len();
        assert_eq!(found("cd /srv/build/mainstay\n"), 1);
        assert_eq!(found(&format!("see {}jane/notes\n", HOMES[0])), 1);
        assert_eq!(found(&format!("see {}jane/notes\n", HOMES[1])), 1);
        assert_eq!(found(&format!("see {}.cargo\n", HOMES[2])), 1);
        assert_eq!(
            found("GET /api/v1/users/me\nhttps://a.example/home/page\n"),
            0
        );
        assert_eq!(found("cd mainstay && cargo xtask dev\n"), 0);
    }

    #[test]
    fn a_checkout_with_a_plain_name_is_not_looked_for() {
        assert!(check_text("deploy/Containerfile", "WORKDIR /app\n", Path::new("/app")).is_empty());
    }
}
