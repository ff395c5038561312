//! The string literals of a Rust source, without its comments.

/// A literal and the line it begins on, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// The line.
    pub(super) line: usize,
    /// What stands between the quotes, escapes left as written.
    pub(super) text: String,
}

/// Finds every string literal, raw ones and byte strings included.
pub(super) fn literals(source: &str) -> Vec<Literal> {
    let mut scanner = Scanner {
        rest: source,
        line: 1,
    };
    let mut found = Vec::new();
    while !scanner.rest.is_empty() {
        if scanner.rest.starts_with("//") {
            let end = scanner.rest.find('\n').unwrap_or(scanner.rest.len());
            scanner.advance(end);
        } else if scanner.rest.starts_with("/*") {
            scanner.skip_block_comment();
        } else if let Some(hashes) = scanner.raw_string() {
            found.push(scanner.take_raw(hashes));
        } else if scanner.rest.starts_with('"') {
            found.push(scanner.take_string());
        } else {
            let length = scanner.character_or_word();
            scanner.advance(length);
        }
    }
    found
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn advance(&mut self, length: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at(length);
        self.line += passed.matches('\n').count();
        self.rest = rest;
        passed
    }

    /// Block comments nest.
    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.advance(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.advance(2);
            } else {
                let length = self.rest.chars().next().map_or(0, char::len_utf8);
                self.advance(length);
            }
            if depth == 0 || self.rest.is_empty() {
                return;
            }
        }
    }

    /// The number of hashes of the raw string that begins here, if one does.
    fn raw_string(&self) -> Option<usize> {
        let after = self
            .rest
            .strip_prefix("br")
            .or_else(|| self.rest.strip_prefix("cr"))
            .or_else(|| self.rest.strip_prefix('r'))?;
        let hashes = after.len() - after.trim_start_matches('#').len();
        after[hashes..].starts_with('"').then_some(hashes)
    }

    fn take_raw(&mut self, hashes: usize) -> Literal {
        let line = self.line;
        let opening = self.rest.find('"').map_or(0, |at| at + 1);
        self.advance(opening);
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = self.rest.find(&closing).unwrap_or(self.rest.len());
        let text = self.advance(end).to_owned();
        self.advance(closing.len().min(self.rest.len()));
        Literal { line, text }
    }

    fn take_string(&mut self) -> Literal {
        let line = self.line;
        self.advance(1);
        let mut escaped = false;
        let end = self
            .rest
            .char_indices()
            .find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            })
            .map_or(self.rest.len(), |(at, _)| at);
        let text = self.advance(end).to_owned();
        self.advance(1.min(self.rest.len()));
        Literal { line, text }
    }

    /// The length of what begins here and is no string: a whole word, so that
    /// the `r` of `for"` is not taken for a raw string, or a character literal,
    /// so that `'"'` opens nothing.
    fn character_or_word(&self) -> usize {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        if word > 0 {
            // `b"` and `c"` open strings of their own.
            return word;
        }
        if let Some(after) = self.rest.strip_prefix('\'') {
            if after.starts_with('\\') {
                return after[2.min(after.len())..]
                    .find('\'')
                    .map_or(1, |at| at + 4);
            }
            let mut characters = after.char_indices();
            let _first = characters.next();
            if let Some((at, '\'')) = characters.next() {
                return at + 2;
            }
        }
        self.rest.chars().next().map_or(1, char::len_utf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        literals(source).into_iter().map(|l| l.text).collect()
    }

    #[test]
    fn finds_plain_raw_and_byte_strings() {
        assert_eq!(
            texts(r###"f("a", r"b", r#"c "quoted" d"#, b"e", br##"f"##)"###),
            ["a", "b", "c \"quoted\" d", "e", "f"]
        );
    }

    #[test]
    fn comments_characters_and_lifetimes_open_nothing() {
        let source = "// \"no\"\n/* \"no\" /* \"no\" */ \"no\" */ fn f<'a>(x: &'a str) -> char { '\"' } '\\'' \"yes\"";
        assert_eq!(texts(source), ["yes"]);
    }

    #[test]
    fn escapes_do_not_close() {
        assert_eq!(texts(r#""a \" b" "c\\" "d""#), [r#"a \" b"#, r"c\\", "d"]);
    }

    #[test]
    fn counts_lines_through_everything() {
        let found = literals("\n/*\n*/ \"a\nb\" // c\n\"d\"");
        let lines: Vec<usize> = found.iter().map(|literal| literal.line).collect();
        assert_eq!(lines, [3, 5]);
    }

    #[test]
    fn the_end_may_come_anywhere() {
        for source in ["\"open", "r#\"open", "/* open", "'", "'\\", "\"a\\"] {
            let _no_panic = literals(source);
        }
    }
}
