//! Server-sent events, parsed incrementally over raw bytes.
//!
//! The network cuts a stream anywhere: inside a character, between `\r` and
//! `\n`, inside a field name. Nothing is decoded before its line is whole, so
//! no cut can damage a character. Fields, comments, multi-line data and the
//! byte order mark follow the WHATWG event stream rules, with two differences
//! that honesty asks for: text that is not UTF-8 is an error instead of
//! replacement characters, and an event has a size limit.

use std::collections::VecDeque;
use std::fmt;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event:` field; empty when the sender named none.
    pub event: String,
    /// The `data:` lines, joined by `\n`.
    pub data: String,
    /// The last `id:` field seen so far; empty when there was none.
    pub id: String,
}

/// Why a stream cannot be parsed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseError {
    /// One event is larger than the limit.
    TooLarge,
    /// A line is not UTF-8.
    NotUtf8,
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "an event is larger than the limit",
            Self::NotUtf8 => "an event is not UTF-8",
        })
    }
}

impl std::error::Error for SseError {}

/// An incremental parser: [`feed`](Self::feed) it bytes as they come, take the
/// events with [`next_event`](Self::next_event). What is left unfinished at the
/// end of the stream is not an event.
///
/// ```
/// use mainstay_ai::sse::SseParser;
///
/// let mut parser = SseParser::new(1024);
/// parser.feed(b"data: caf\xc3")?;
/// parser.feed(b"\xa9\r\n\r\n")?;
/// assert_eq!(parser.next_event().map(|event| event.data), Some("café".to_owned()));
/// # Ok::<(), mainstay_ai::sse::SseError>(())
/// ```
#[derive(Debug)]
pub struct SseParser {
    line: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    id: String,
    after_cr: bool,
    first_line: bool,
    limit: usize,
    ready: VecDeque<SseEvent>,
}

impl SseParser {
    /// `limit` bounds the bytes of one event that are held before its end is
    /// seen. Events that are ready but not taken are bounded by what one
    /// [`feed`](Self::feed) was given.
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            event: String::new(),
            data: String::new(),
            has_data: false,
            id: String::new(),
            after_cr: false,
            first_line: true,
            limit,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// See [`SseError`]. Events that were finished before the error can still
    /// be taken; feeding more bytes after an error is pointless.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), SseError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                return self.hold(bytes);
            };
            self.hold(&bytes[..end])?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.end_of_line()?;
        }
        Ok(())
    }

    /// The next finished event, oldest first.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        let held = self.line.len() + self.data.len() + self.event.len() + self.id.len();
        if held + bytes.len() > self.limit {
            return Err(SseError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let mut text = std::str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        if std::mem::take(&mut self.first_line) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            self.dispatch();
        } else {
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            self.field(field, value.strip_prefix(' ').unwrap_or(value));
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A comment has an empty field name; `retry` and unknown fields
            // mean nothing to a client that never reconnects by itself.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(SseEvent {
                event,
                data,
                id: self.id.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Result<Vec<(String, String)>, SseError> {
        let mut parser = SseParser::new(4096);
        for chunk in chunks {
            parser.feed(chunk)?;
        }
        Ok(std::iter::from_fn(|| parser.next_event())
            .map(|event| (event.event, event.data))
            .collect())
    }

    fn data_of(bytes: &[u8]) -> Vec<String> {
        parse(&[bytes])
            .unwrap()
            .into_iter()
            .map(|(_, data)| data)
            .collect()
    }

    /// The rules written a second time, over the whole text at once.
    fn oracle(text: &str) -> Vec<(String, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut events = Vec::new();
        let (mut name, mut data) = (String::new(), Vec::<String>::new());
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.pop(); // without a line end it is no line
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    events.push((name.clone(), data.join("\n")));
                }
                name.clear();
                data.clear();
                continue;
            }
            let (field, value) = match line.find(':') {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (line, ""),
            };
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value.to_owned()),
                "event" => value.clone_into(&mut name),
                _ => {}
            }
        }
        events
    }

    #[test]
    fn the_three_line_ends_mean_the_same() {
        for text in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
        ] {
            assert_eq!(data_of(text.as_bytes()), ["a", "b"], "{text:?}");
        }
    }

    #[test]
    fn comments_and_unknown_fields_are_no_events() {
        assert!(data_of(b": keep-alive\n\nretry: 10\nnonsense\n\n").is_empty());
    }

    #[test]
    fn data_lines_are_joined_and_one_space_is_stripped() {
        assert_eq!(data_of(b"data:  a\ndata:b\ndata\n\n"), [" a\nb\n"]);
    }

    #[test]
    fn an_empty_data_line_is_an_event_with_empty_data() {
        assert_eq!(data_of(b"data\n\n"), [""]);
    }

    #[test]
    fn an_event_name_without_data_does_not_leak_into_the_next_event() {
        assert_eq!(
            parse(&[b"event: lost\n\ndata: a\n\n"]).unwrap(),
            [(String::new(), "a".to_owned())]
        );
    }

    #[test]
    fn an_unfinished_event_is_no_event() {
        assert!(data_of(b"data: cut off\n").is_empty());
    }

    #[test]
    fn an_event_that_never_ends_is_refused_instead_of_held() {
        let mut parser = SseParser::new(100);
        assert_eq!(parser.feed(&[b'x'; 101]), Err(SseError::TooLarge));
        let mut parser = SseParser::new(100);
        let lines = b"data: 0123456789\n".repeat(20);
        assert_eq!(parser.feed(&lines), Err(SseError::TooLarge));
    }

    #[test]
    fn a_long_stream_of_small_events_is_never_too_large() {
        let mut parser = SseParser::new(64);
        for _ in 0..1000 {
            parser.feed(b"id: 7\ndata: 0123456789\n\n").unwrap();
        }
        assert_eq!(std::iter::from_fn(|| parser.next_event()).count(), 1000);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error_not_a_replacement_character() {
        assert_eq!(parse(&[b"data: \xff\n\n"]), Err(SseError::NotUtf8));
    }

    /// Texts made of the pieces that matter, so that rare meetings are common.
    fn stream_text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "data",
            "event",
            "id",
            "retry",
            ":",
            ": ",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\r\n\r\n",
            "x",
            "é",
            "漢",
            "🦀",
            "{\"a\":1}",
            "\u{feff}",
            "data: ok\n\n",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_cut_into_two_gives_the_same_events(text in stream_text()) {
            let expected = oracle(&text);
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                prop_assert_eq!(&parse(&[head, tail]).unwrap(), &expected, "cut at {}", cut);
            }
        }

        #[test]
        fn byte_by_byte_gives_the_same_events(text in stream_text()) {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            prop_assert_eq!(parse(&chunks).unwrap(), oracle(&text));
        }

        #[test]
        fn no_bytes_make_it_panic_or_hold_more_than_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut parser = SseParser::new(64);
            let _ = parser.feed(&bytes);
            prop_assert!(parser.line.len() + parser.data.len() + parser.event.len() + parser.id.len() <= 64 + 64);
        }
    }
}
