//! Pictures from other hosts in an answer.
//!
//! A client that renders markdown fetches `![…](https://…)` by itself, and
//! whoever got a model to write it reads the address: that is how injected
//! instructions carry data out. Without its `!` the same text is a link, which
//! nobody follows but a person. Code is left alone, so that `vec![1, 2]` stays
//! what it is. Reference-style pictures and raw HTML are not looked at;
//! clients must not render HTML out of answers.

/// How much may stand between `![` and the address, in bytes. What is longer
/// is treated as a picture, since it may be one.
const LONGEST: usize = 4096;
/// How much of a line is kept to see whether it opens or closes a code block.
const LINE: usize = 256;

/// Finds pictures in a text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// From `!` on, while it may be a picture.
    held: String,
    state: State,
    /// The beginning of the current line.
    line: String,
    /// The mark that closes the current code block.
    fence: Option<(char, usize)>,
    /// Whether a backtick of this paragraph waits for its partner.
    in_code: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `!`.
    Mark,
    /// After `![`.
    Open,
    /// After `![…]`.
    Closed,
    /// After `![…](`, so many characters into the address.
    Address(usize),
}

impl Images {
    /// Passes text on. `decide` is asked at each picture whether it becomes a link.
    pub(crate) fn push(&mut self, text: &str, out: &mut String, decide: &mut dyn FnMut() -> bool) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let plain = match self.state {
                State::Text => rest
                    .bytes()
                    .take_while(|b| !matches!(b, b'!' | b'`' | b'\n'))
                    .count(),
                _ => 0,
            };
            let (now, later) = rest.split_at(if plain > 0 { plain } else { c.len_utf8() });
            if plain > 0 {
                self.pass(now, out);
            } else {
                self.step(c, out, decide);
            }
            rest = later;
        }
    }

    /// Passes on what cannot begin a picture or end a line.
    fn pass(&mut self, text: &str, out: &mut String) {
        let room = LINE.saturating_sub(self.line.len());
        let kept = text.floor_char_boundary(room);
        self.line.push_str(text.get(..kept).unwrap_or_default());
        out.push_str(text);
    }

    /// Passes on what was held.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.release(out);
    }

    fn step(&mut self, c: char, out: &mut String, decide: &mut dyn FnMut() -> bool) {
        if c == '\n' {
            self.end_line(out);
        } else if self.line.len() + c.len_utf8() <= LINE {
            self.line.push(c);
        }
        if self.fence.is_some() {
            return out.push(c);
        }
        let ends_code = c == '`' && self.in_code;
        if c == '`' {
            self.in_code = !self.in_code;
        }
        match (self.state, c) {
            (State::Text, '!') => self.state = State::Mark,
            (State::Text, _) => return out.push(c),
            (State::Mark, '[') => self.state = State::Open,
            (State::Mark, '!') => self.hold_anew(out),
            (State::Mark, _) => {
                self.release(out);
                return out.push(c);
            }
            // It was code after all.
            _ if ends_code => {
                self.release(out);
                return out.push(c);
            }
            (_, ']') => self.state = State::Closed,
            (State::Closed, '(') => self.state = State::Address(0),
            (State::Address(0), ' ' | '<' | '\n' | '\t') => {}
            (State::Address(at), c) if is_remote(at, c) => {
                self.state = State::Address(at + 1);
            }
            _ => self.state = State::Open,
        }
        self.held.push(c);
        if self.state == State::Address(2) || self.held.len() > LONGEST {
            if decide() {
                self.held = self.held.replace("![", "[");
            }
            self.release(out);
        }
    }

    /// Looks at the line that ends: it may open or close a code block, and an
    /// empty one ends the paragraph and all that was open in it.
    fn end_line(&mut self, out: &mut String) {
        let line = std::mem::take(&mut self.line);
        let content = line.trim_start_matches(' ');
        let is_indented = line.len() - content.len() > 3;
        let mark = content.chars().next().filter(|c| matches!(c, '`' | '~'));
        let length = mark.map_or(0, |mark| content.chars().take_while(|c| *c == mark).count());
        let rest = content.get(length..).unwrap_or_default();
        match (self.fence, mark) {
            (Some((open, least)), Some(mark)) => {
                let closes = mark == open && length >= least && rest.trim().is_empty();
                if closes && !is_indented {
                    self.fence = None;
                }
            }
            (None, Some(mark))
                if length >= 3 && !is_indented && (mark == '~' || !rest.contains('`')) =>
            {
                self.release(out);
                self.fence = Some((mark, length));
                self.in_code = false;
            }
            (None, None) if content.trim().is_empty() => {
                self.release(out);
                self.in_code = false;
            }
            _ => {}
        }
    }

    fn hold_anew(&mut self, out: &mut String) {
        self.release(out);
        self.state = State::Mark;
    }

    fn release(&mut self, out: &mut String) {
        out.push_str(&self.held);
        self.held.clear();
        self.state = State::Text;
    }
}

/// Whether `c` goes on with the beginning of an address on another host:
/// `http:`, `https:`, `ftp:` or `//`, of which two letters decide.
fn is_remote(at: usize, c: char) -> bool {
    match at {
        0 => matches!(c, 'h' | 'H' | 'f' | 'F' | '/' | '\\'),
        _ => matches!(c, 't' | 'T' | '/' | '\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, usize) {
        let (mut images, mut out, mut found) = (Images::default(), String::new(), 0);
        for piece in pieces {
            images.push(piece, &mut out, &mut || {
                found += 1;
                true
            });
        }
        images.finish(&mut out);
        (out, found)
    }

    #[test]
    fn a_picture_becomes_a_link() {
        for (text, expected) in [
            ("![](http://e.example?q=1)", "[](http://e.example?q=1)"),
            (
                "a ![x y](HTTPS://e.example) b",
                "a [x y](HTTPS://e.example) b",
            ),
            ("![a](<https://e.example>)", "[a](<https://e.example>)"),
            ("![a]( //e.example/x)", "[a]( //e.example/x)"),
            (
                "![a [b] c](http://e.example)",
                "[a [b] c](http://e.example)",
            ),
            (
                "![a \\] c](http://e.example)",
                "[a \\] c](http://e.example)",
            ),
            ("![a ![b](http://e.example)", "[a [b](http://e.example)"),
            (
                "![a ![b](x)](http://e.example)",
                "[a [b](x)](http://e.example)",
            ),
            ("![a\nb](http://e.example)", "[a\nb](http://e.example)"),
            ("`![a](http://e.example)", "`[a](http://e.example)"),
            ("x![a](http://e.example)", "x[a](http://e.example)"),
            (
                "    ```\n![a](http://e.example)",
                "    ```\n[a](http://e.example)",
            ),
            (
                "```\n```\n![a](http://e.example)",
                "```\n```\n[a](http://e.example)",
            ),
        ] {
            assert_eq!(passed([text]), (expected.to_owned(), 1), "{text}");
        }
        let endless = format!("![{}", "a".repeat(5000));
        assert_eq!(passed([endless.as_str()]).0, endless[1..]);
    }

    #[test]
    fn code_and_everything_else_stays() {
        for text in [
            "use `vec![1, 2]` here, [or](http://x)",
            "```rust\nlet x = vec![1][0](http);\n```\n",
            "if (![1, 2].includes(x)) {}\n\n[link](http://x)",
            "Hello!",
            "wow! [link](https://example.org)",
            "![diagram](data:image/png;base64,AAAA)",
            "![local](images/x.png)",
            "![",
            "!",
            "![a](h",
        ] {
            assert_eq!(passed([text]), (text.to_owned(), 0), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(text in "[!\\[\\]()htp/ a`\n]{0,40}", cut in 0..40_usize) {
            let cut = cut.min(text.len());
            prop_assert_eq!(passed([&text[..cut], &text[cut..]]), passed([text.as_str()]));
        }
    }
}
