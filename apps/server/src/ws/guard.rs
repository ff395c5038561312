//! Refuses WebSocket frames that are too large at their header.
//!
//! actix-ws collects a whole frame before it compares its size with the limit,
//! so that one peer that announces four gigabytes can make the process hold
//! them. This stands before it, follows the frame headers as the bytes pass,
//! and stops the stream before the first byte of an oversized frame's payload.

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// Whether the guard has stopped the stream.
pub(super) type Oversized = Rc<Cell<bool>>;

/// A payload whose frames announce at most `limit` bytes each.
pub(super) struct Guarded<S> {
    inner: S,
    frames: Frames,
    oversized: Oversized,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, limit: u64) -> (Self, Oversized) {
        let oversized = Oversized::default();
        let guarded = Self {
            inner,
            frames: Frames::new(limit),
            oversized: Rc::clone(&oversized),
        };
        (guarded, oversized)
    }
}

impl<S> Stream for Guarded<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.oversized.get() {
            return Poll::Ready(None);
        }
        match std::task::ready!(Pin::new(&mut this.inner).poll_next(cx)) {
            Some(Ok(mut bytes)) => match this.frames.follow(&bytes) {
                Ok(()) => Poll::Ready(Some(Ok(bytes))),
                Err(Oversize { before }) => {
                    this.oversized.set(true);
                    // What came before the bad frame is still handed on.
                    bytes.truncate(before);
                    Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
                }
            },
            other => Poll::Ready(other),
        }
    }
}

/// An oversized frame begins; so many bytes of the chunk stand before it.
#[derive(Debug, PartialEq, Eq)]
struct Oversize {
    before: usize,
}

/// Follows frame boundaries through chunks that are cut anywhere.
#[derive(Debug)]
struct Frames {
    limit: u64,
    /// The header as far as it has arrived: at most 14 bytes.
    header: [u8; 14],
    have: usize,
    /// Bytes of the present payload that are still to come.
    payload: u64,
}

impl Frames {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            header: [0; 14],
            have: 0,
            payload: 0,
        }
    }

    fn follow(&mut self, chunk: &[u8]) -> Result<(), Oversize> {
        let mut at = 0;
        let mut frame_begins = 0;
        while at < chunk.len() {
            if self.payload > 0 {
                let passes = usize::try_from(self.payload)
                    .unwrap_or(usize::MAX)
                    .min(chunk.len() - at);
                self.payload -= passes as u64;
                at += passes;
                continue;
            }
            if self.have == 0 {
                frame_begins = at;
            }
            self.header[self.have] = chunk[at];
            self.have += 1;
            at += 1;
            if let Some(length) = self.length() {
                if length > self.limit {
                    return Err(Oversize {
                        before: frame_begins,
                    });
                }
                self.payload = length;
                self.have = 0;
            }
        }
        Ok(())
    }

    /// The payload's length once the whole header is there.
    fn length(&self) -> Option<u64> {
        if self.have < 2 {
            return None;
        }
        let short = self.header[1] & 0x7f;
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 + extended + mask {
            return None;
        }
        let mut length = u64::from(short);
        if extended > 0 {
            length = self.header[2..2 + extended]
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked text frame header for `length` bytes.
    fn header(length: u64) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes
    }

    fn frame(length: u64) -> Vec<u8> {
        let mut bytes = header(length);
        bytes.resize(bytes.len() + length as usize, 7);
        bytes
    }

    #[test]
    fn frames_within_the_limit_pass_however_they_are_cut() {
        let mut bytes = Vec::new();
        for length in [0, 1, 125, 126, 1_000, 65_535, 65_536] {
            bytes.extend(frame(length));
        }
        for size in [1, 2, 3, 7, 13, 1_000, bytes.len()] {
            let mut frames = Frames::new(65_536);
            for chunk in bytes.chunks(size) {
                assert_eq!(frames.follow(chunk), Ok(()), "cut at {size}");
            }
            assert_eq!((frames.payload, frames.have), (0, 0), "cut at {size}");
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_at_its_header() {
        for length in [65_537, 4 << 30, u64::MAX] {
            let mut bytes = frame(10);
            let before = bytes.len();
            bytes.extend(header(length));
            assert_eq!(
                Frames::new(65_536).follow(&bytes),
                Err(Oversize { before }),
                "{length}"
            );
            let mut frames = Frames::new(65_536);
            let refused = bytes.chunks(1).any(|byte| frames.follow(byte).is_err());
            assert!(refused, "{length}");
        }
    }

    #[actix_web::test]
    async fn the_stream_ends_and_says_why() {
        use futures_util::StreamExt as _;
        let good = Bytes::from(frame(3));
        let mut bad = frame(2);
        bad.extend(header(1 << 40));
        let chunks: Vec<Result<Bytes, PayloadError>> =
            vec![Ok(good.clone()), Ok(Bytes::from(bad)), Ok(good.clone())];
        let (mut guarded, oversized) = Guarded::new(futures_util::stream::iter(chunks), 1_000);
        assert_eq!(guarded.next().await.unwrap().unwrap(), good);
        assert_eq!(guarded.next().await.unwrap().unwrap(), frame(2));
        assert!(oversized.get());
        assert!(guarded.next().await.is_none());
    }
}
