//! Cutting a text into stretches that can be judged on their own.
//!
//! A *span* is a stretch that may hold one finding or several: a word, or
//! groups of digits with single separators between them. The end of a span is
//! decided by the text alone, never by how it was cut into pieces, and a span
//! is judged only when its end is known. That is the whole argument why a
//! streamed and a whole text come out the same.
//!
//! Memory is bounded: a span of numbers is judged piece by piece, and a word
//! longer than [`MAX_WORD`] counts as a finding, since it cannot be examined.

use crate::{
    detect::{self, Kind},
    guard::Output,
    normal::{ascii_form, is_invisible},
};

/// The longest word that is examined, in bytes. A signed token with many
/// claims fits; what is longer is data, and nobody can say whose.
const MAX_WORD: usize = 4096;
/// The longest series of numbers that is held, in bytes.
const MAX_SERIES: usize = 512;
/// No finding made of several groups is longer, in bytes, separators included.
const MAX_GROUPED: usize = 128;
/// How much of the text before a span is kept for its context.
const CONTEXT: usize = 48;
/// What key blocks begin with.
const PEM_BEGIN: &str = "-----BEGIN";
/// The longest header line of a key block that is waited for, in bytes.
const MAX_PEM_HEADER: usize = 80;
/// The most separators between two groups of digits.
const MAX_JOINERS: usize = 3;

/// Where released text and findings go.
type Sink<'a> = dyn FnMut(Output<'_>) + 'a;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Collects the current span.
    Span,
    /// Drops the rest of a word that is too long.
    Overlong,
    /// Holds `-----BEGIN` and what follows on its line.
    PemHeader(String),
    /// Drops the body of a private key; holds its last characters.
    PemBody(String),
}

#[derive(Debug)]
pub(crate) struct Scanner {
    mode: Mode,
    /// The current span, with the separators after it that may still join it
    /// to what follows.
    held: String,
    /// Where in `held` those separators begin.
    tail: usize,
    /// How many there are.
    joiners: usize,
    /// Where in `held` the first separator between two groups stands.
    first_joiner: Option<usize>,
    /// The end of what was read before the span.
    context: Vec<u8>,
}

/// What a character can be to a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a word or number.
    Word,
    /// May stand between two groups of digits.
    Joiner,
    /// Ends every span.
    Break,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Span,
            held: String::new(),
            tail: 0,
            joiners: 0,
            first_joiner: None,
            context: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, piece: &str, sink: &mut Sink<'_>) {
        let mut rest = piece;
        while let Some(c) = rest.chars().next() {
            let plain = self.plain_run(rest);
            if plain > 0 {
                let (word, after) = rest.split_at(plain);
                self.held.push_str(word);
                self.tail = self.held.len();
                rest = after;
            } else {
                self.step(c, sink);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }

    /// How many bytes of `text` can be added to the span at once, because each
    /// of them would only be added: the steps below, in a hurry.
    fn plain_run(&self, text: &str) -> usize {
        if self.mode != Mode::Span || self.joiners > 0 {
            return 0;
        }
        let room = MAX_SERIES.saturating_sub(self.held.len());
        text.bytes()
            .take(room)
            .take_while(|b| IS_PLAIN.get(usize::from(*b)) == Some(&true))
            .count()
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) {
        // A header that never ended is ordinary text, and reading it again can
        // meet another one; each time less is left.
        loop {
            if self.mode == Mode::Span {
                self.end_span(sink);
            }
            let Mode::PemHeader(line) = &mut self.mode else {
                return;
            };
            let line = std::mem::take(line);
            self.no_key(&line, sink);
        }
    }

    fn step(&mut self, c: char, sink: &mut Sink<'_>) {
        match &mut self.mode {
            Mode::Span => self.step_in_span(c, sink),
            Mode::Overlong => {
                if class(c) == Class::Word {
                    sink(Output::More(Kind::Overlong, c.encode_utf8(&mut [0; 4])));
                } else {
                    self.mode = Mode::Span;
                    self.step_in_span(c, sink);
                }
            }
            Mode::PemHeader(line) => {
                line.push(c);
                if line.ends_with("PRIVATE KEY-----") {
                    let line = std::mem::take(line);
                    sink(Output::Found(Kind::Secret, &line));
                    self.mode = Mode::PemBody(String::new());
                } else if c == '\n' || line.len() > MAX_PEM_HEADER {
                    let line = std::mem::take(line);
                    self.no_key(&line, sink);
                }
            }
            Mode::PemBody(last) => {
                last.push(c);
                sink(Output::More(Kind::Secret, c.encode_utf8(&mut [0; 4])));
                if last.contains("-----END") && last.ends_with("KEY-----") {
                    self.mode = Mode::Span;
                } else if last.chars().count() > MAX_PEM_HEADER {
                    last.remove(0);
                }
            }
        }
    }

    fn step_in_span(&mut self, c: char, sink: &mut Sink<'_>) {
        match class(c) {
            Class::Word => {
                if self.joiners > 0 && !self.joins(c) {
                    self.end_span(sink);
                    if self.mode != Mode::Span {
                        return self.step(c, sink);
                    }
                }
                if self.joiners > 0 && self.tail > 0 && self.first_joiner.is_none() {
                    self.first_joiner = Some(self.tail);
                }
                self.held.push(c);
                self.tail = self.held.len();
                self.joiners = 0;
                if self.held.len() > MAX_SERIES {
                    self.bound(sink);
                }
            }
            Class::Joiner => {
                if !self.may_continue() {
                    self.end_span(sink);
                    if self.mode != Mode::Span {
                        return self.step(c, sink);
                    }
                }
                // A parenthesis can also stand before the first group.
                if !self.held.is_empty() || c == '(' {
                    self.held.push(c);
                    self.joiners += 1;
                } else {
                    self.release(c.encode_utf8(&mut [0; 4]), sink);
                }
            }
            Class::Break => {
                self.end_span(sink);
                if self.mode != Mode::Span {
                    return self.step(c, sink);
                }
                self.release(c.encode_utf8(&mut [0; 4]), sink);
            }
        }
    }

    /// Whether a separator may follow what is held without ending the span.
    fn may_continue(&self) -> bool {
        if self.joiners > 0 {
            return self.joiners < MAX_JOINERS;
        }
        match last_visible(&self.held) {
            Some(c) if c.is_ascii_digit() => true,
            Some(c) if c.is_ascii_alphanumeric() => detect::is_open_iban(&self.held),
            _ => false,
        }
    }

    /// Whether `c` goes on with the span after its separators.
    fn joins(&self, c: char) -> bool {
        match ascii_form(c) {
            Some('0'..='9' | '+') => true,
            Some(letter) if letter.is_ascii_alphabetic() => {
                detect::is_open_iban(self.held.get(..self.tail).unwrap_or_default())
            }
            // A dash between spaces, as in `020 7946 - 0958`.
            Some('-') => self.tail > 0,
            _ => is_invisible(c),
        }
    }

    /// Judges the span and releases it, then the separators after it.
    fn end_span(&mut self, sink: &mut Sink<'_>) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let (span, separators) = held.split_at(self.tail);
        if let Some(before) = span.strip_suffix(PEM_BEGIN) {
            self.judge(before, before.len(), sink);
            self.mode = Mode::PemHeader(format!("{PEM_BEGIN}{separators}"));
        } else {
            self.judge(span, span.len(), sink);
            self.release(separators, sink);
        }
        self.reuse(held, String::new());
    }

    /// Reads a line again that looked like the header of a key block.
    fn no_key(&mut self, line: &str, sink: &mut Sink<'_>) {
        self.mode = Mode::Span;
        self.release(PEM_BEGIN, sink);
        self.push(line.strip_prefix(PEM_BEGIN).unwrap_or_default(), sink);
    }

    /// Keeps the span within its bounds.
    fn bound(&mut self, sink: &mut Sink<'_>) {
        if let Some(first) = self.first_joiner {
            let cut = series_cut(&self.held).unwrap_or(first);
            let held = std::mem::take(&mut self.held);
            let done = self.judge(&held, cut, sink);
            let rest = held.get(done..).unwrap_or_default().to_owned();
            self.reuse(held, rest);
        } else if self.held.len() > MAX_WORD {
            let held = std::mem::take(&mut self.held);
            sink(Output::Found(Kind::Overlong, &held));
            self.mode = Mode::Overlong;
            self.reuse(held, String::new());
        }
    }

    /// Goes on with `rest` as the held text; `held` lends its memory.
    fn reuse(&mut self, mut held: String, rest: String) {
        held.clear();
        held.push_str(&rest);
        self.held = held;
        self.tail = self.held.len();
        self.joiners = 0;
        let is_joiner = |(at, c): &(usize, char)| *at > 0 && class(*c) == Class::Joiner;
        self.first_joiner = self.held.char_indices().find(is_joiner).map(|(at, _)| at);
    }

    /// Releases the beginning of `text` up to `until`, or up to the end of a
    /// finding that begins before it; tells how far it got.
    fn judge(&mut self, text: &str, until: usize, sink: &mut Sink<'_>) -> usize {
        let mut done = 0;
        for finding in detect::scan(text, &self.context) {
            if finding.range.start >= until {
                break;
            }
            let before = text.get(done..finding.range.start).unwrap_or_default();
            if !before.is_empty() {
                sink(Output::Text(before));
            }
            let found = text.get(finding.range.clone()).unwrap_or_default();
            sink(Output::Found(finding.kind, found));
            done = finding.range.end;
        }
        if done < until {
            sink(Output::Text(text.get(done..until).unwrap_or_default()));
            done = until;
        }
        self.remember(text.get(..done).unwrap_or_default());
        done
    }

    fn release(&mut self, text: &str, sink: &mut Sink<'_>) {
        if !text.is_empty() {
            sink(Output::Text(text));
            self.remember(text);
        }
    }

    fn remember(&mut self, text: &str) {
        let text = text.as_bytes();
        let tail = text.get(text.len().saturating_sub(CONTEXT)..);
        if self.context.len() > 8 * CONTEXT {
            self.context.drain(..self.context.len() - CONTEXT);
        }
        self.context.extend_from_slice(tail.unwrap_or_default());
    }
}

/// Where a long series of numbers can be cut: at a separator so far from its
/// end that every finding that begins before it can be seen whole. `None` when
/// the first separator comes later; what stands before that is one word.
fn series_cut(held: &str) -> Option<usize> {
    let seen = held.floor_char_boundary(held.len().saturating_sub(MAX_GROUPED));
    held.get(..seen)?
        .rfind(|c| class(c) == Class::Joiner)
        .filter(|at| *at > 0)
}

fn last_visible(text: &str) -> Option<char> {
    text.chars()
        .rev()
        .find(|c| !is_invisible(*c))
        .and_then(ascii_form)
}

/// The ASCII bytes of words.
const IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'.' | b'_' | b'%' | b'+' | b'-' | b'@' | b':' | b'/' | b'=' | b'~' | b'\''
            );
        byte += 1;
    }
    table
};

fn class(c: char) -> Class {
    if c.is_ascii() {
        return match c {
            ' ' | '\t' | '(' | ')' => Class::Joiner,
            _ if IS_PLAIN.get(c as usize) == Some(&true) => Class::Word,
            _ => Class::Break,
        };
    }
    if is_invisible(c) {
        return Class::Word;
    }
    match ascii_form(c) {
        Some(form) => class(form),
        None if is_unspaced_script(c) => Class::Break,
        None if c.is_alphanumeric() => Class::Word,
        None => Class::Break,
    }
}

/// Scripts that are written without spaces: each of their characters is a
/// word, or a whole paragraph would be held back as one.
const fn is_unspaced_script(c: char) -> bool {
    matches!(c,
        '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{2E80}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE4F}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}
