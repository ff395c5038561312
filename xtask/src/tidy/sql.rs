//! No SQL outside `persistence` and `testkit`.

use super::Violation;
use super::literals::literals;

/// Where SQL is at home. Integration tests may look into the database from
/// outside, an example may show an embedder's own, and this file's tests must
/// show what they look for.
fn is_home(path: &str) -> bool {
    path.starts_with("crates/persistence/")
        || path.starts_with("crates/testkit/")
        || path.contains("/tests/")
        || path.contains("/examples/")
        || path == "xtask/src/tidy/sql.rs"
}

/// Finds string literals that are SQL statements.
pub(super) fn check(path: &str, source: &str) -> Vec<Violation> {
    if is_home(path) {
        return Vec::new();
    }
    literals(source)
        .into_iter()
        .filter(|literal| is_statement(&literal.text))
        .map(|literal| {
            Violation::new(
                format!("{path}:{}", literal.line),
                "SQL belongs into crates/persistence: add a method to a repository there",
            )
        })
        .collect()
}

/// Whether a text begins like a statement. Either case counts when all of the
/// keyword is in it; `Select a model` is a sentence.
fn is_statement(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().take(400).collect();
    let begins = |keywords: &[&str]| {
        words.len() > keywords.len()
            && (words.iter().zip(keywords).all(|(word, key)| word == key)
                || words
                    .iter()
                    .zip(keywords)
                    .all(|(word, key)| **word == key.to_lowercase()))
    };
    let has = |keyword: &str| {
        words
            .iter()
            .any(|word| *word == keyword || **word == keyword.to_lowercase())
    };
    begins(&["SELECT"]) && (has("FROM") || text.starts_with("SELECT "))
        || begins(&["INSERT", "INTO"])
        || begins(&["DELETE", "FROM"])
        || begins(&["UPDATE"]) && has("SET")
        || begins(&["CREATE", "TABLE"])
        || begins(&["ALTER", "TABLE"])
        || begins(&["DROP", "TABLE"])
        || begins(&["WITH"]) && has("AS") && has("SELECT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_wherever_they_do_not_belong() {
        for statement in [
            "SELECT id FROM users WHERE id = $1",
            "SELECT 1",
            "select id from users",
            "\n    INSERT INTO users (id) VALUES ($1)",
            "UPDATE users SET name = $1",
            "DELETE FROM users",
            "CREATE TABLE t (n int)",
            "WITH old AS (SELECT 1) SELECT * FROM old",
        ] {
            let source = format!("fn f() {{ run(\"{statement}\"); }}");
            let found = check("crates/orchestrator/src/ask.rs", &source);
            assert_eq!(found.len(), 1, "{statement}");
            assert!(check("crates/persistence/src/users.rs", &source).is_empty());
            assert!(check("apps/server/tests/it/users.rs", &source).is_empty());
            assert!(check("crates/cache/examples/table.rs", &source).is_empty());
        }
    }

    #[test]
    fn sentences_and_comments_are_no_statements() {
        let source = "// SELECT id FROM users\nf(\"Select a model from the list\", \"update the settings\", \"with a select few\");";
        assert!(check("apps/server/src/main.rs", source).is_empty());
    }
}
