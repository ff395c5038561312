//! Hearing what other instances invalidate, without a gap.
//!
//! Invalidations go through a stream, so that an instance that lost its
//! connection goes on where it stopped. When the stream no longer reaches back
//! that far, or is not the same stream any more, the instance drops everything
//! it keeps.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use mainstay_redis::{Error, StreamEntry, StreamReader};

use super::tier::Shared;
use crate::{cache::Inner, key::Fingerprint, stamps::Target, warm::StreamPosition};

/// The longest that the reader waits for news in one go. It bounds how long a
/// dead connection goes unnoticed.
const WAIT: Duration = Duration::from_millis(500);

/// Between two attempts while the server is away.
const PAUSE: Duration = Duration::from_millis(50);

/// Entries that are read in one go.
const BATCH: u64 = 512;

/// Follows the stream for as long as the cache lives.
pub(crate) async fn run(cache: Weak<Inner>, shared: Arc<Shared>) {
    let Ok(mut reader) = shared.redis.stream_reader(WAIT) else {
        return;
    };
    loop {
        let followed = async {
            let mut position = synchronise(&cache, &shared).await?;
            loop {
                position = step(&cache, &shared, &mut reader, position).await?;
            }
        };
        let Err(stop): Result<std::convert::Infallible, Stop> = followed.await;
        shared.synchronised.store(false, Ordering::Release);
        match stop {
            Stop::Gone => return,
            Stop::Away => tokio::time::sleep(PAUSE).await,
        }
    }
}

enum Stop {
    /// The cache was dropped.
    Gone,
    /// The server is away.
    Away,
}

impl From<Error> for Stop {
    fn from(_: Error) -> Self {
        Self::Away
    }
}

/// Reads the table of tags, finds out whether anything was missed, and tells
/// the server what it could not be told. Returns where to go on.
async fn synchronise(cache: &Weak<Inner>, shared: &Arc<Shared>) -> Result<StreamPosition, Stop> {
    // The end of the stream is read before the table: an invalidation between
    // the two is then in the table and read once more from the stream.
    let ends = shared.redis.stream_ends(&shared.stream_key()).await?;
    let before = shared.order.generation();
    if !shared.load_table().await? {
        return Err(Stop::Away);
    }
    let same_table = before == 0 || before == shared.order.generation();
    let ends = ends.and_then(|(oldest, newest)| Some((parse(&oldest)?, parse(&newest)?)));
    let cache = cache.upgrade().ok_or(Stop::Gone)?;
    let newest = ends.map_or((0, 0), |(_, newest)| newest);
    let position = match (cache.followed(), ends) {
        (Some(last), _) if same_table && last == newest => last,
        (Some(last), Some((oldest, newest))) if same_table && oldest <= last && last <= newest => {
            last
        }
        // Nothing was ever followed and nothing is kept from an earlier life.
        (None, _) if !cache.keeps_from_earlier() => newest,
        _ => {
            tracing::warn!(
                "what other instances invalidated may have been missed; everything kept is dropped"
            );
            cache.resynchronise().await;
            newest
        }
    };
    cache.follow(position).await;
    drop(cache);
    flush(shared).await?;
    shared.synchronised.store(true, Ordering::Release);
    Ok(position)
}

/// Tells the server what it could not be told when it happened.
async fn flush(shared: &Shared) -> Result<(), Stop> {
    while !shared.outbox.is_empty() {
        let (keys, targets) = shared.outbox.peek();
        shared.tell_keys(&keys).await?;
        for target in &targets {
            shared.tell_lazily(*target).await?;
        }
        shared.outbox.told(&keys, &targets);
    }
    Ok(())
}

/// Waits for news and applies them.
async fn step(
    cache: &Weak<Inner>,
    shared: &Arc<Shared>,
    reader: &mut StreamReader,
    position: StreamPosition,
) -> Result<StreamPosition, Stop> {
    let after = format!("{}-{}", position.0, position.1);
    let entries = reader
        .read(&shared.stream_key(), &after, BATCH, WAIT)
        .await?;
    let cache = cache.upgrade().ok_or(Stop::Gone)?;
    if cache.is_closed() {
        return Err(Stop::Gone);
    }
    if !shared.outbox.is_empty() {
        flush(shared).await?;
    }
    let Some(last) = entries.last().and_then(|entry| parse(&entry.id)) else {
        return Ok(position);
    };
    let (mut keys, mut targets) = (Vec::new(), Vec::new());
    for entry in &entries {
        let Some(news) = News::of(entry, shared) else {
            continue;
        };
        if let (What::Lazily(target), Some(at)) = (&news.what, news.at) {
            match target {
                Target::Tag(tag) if !news.full => shared.order.tag_invalidated(*tag, at),
                _ => shared.order.all_invalidated(at),
            }
        }
        // What happened here has been done here, and done again it would drop
        // what was loaded since.
        if news.origin != shared.origin {
            match news.what {
                What::Key(key) => keys.push(key),
                What::Lazily(target) => targets.push(target),
            }
        }
    }
    cache.invalidated_elsewhere(keys, targets).await;
    cache.follow(last).await;
    Ok(last)
}

struct News {
    what: What,
    origin: u64,
    at: Option<u64>,
    full: bool,
}

enum What {
    Key(Fingerprint),
    Lazily(Target),
}

impl News {
    fn of(entry: &StreamEntry, shared: &Shared) -> Option<Self> {
        let text = |name| std::str::from_utf8(entry.field(name)?).ok();
        let hexadecimal = |name| u64::from_str_radix(text(name)?, 16).ok();
        let what = match text("k")? {
            "k" => What::Key(shared.named(entry.field("v")?)?),
            "t" => What::Lazily(Target::Tag(hexadecimal("v")?)),
            _ => What::Lazily(Target::All),
        };
        Some(Self {
            what,
            origin: hexadecimal("o")?,
            at: text("s").and_then(|at| at.parse().ok()),
            full: text("f") == Some("1"),
        })
    }
}

fn parse(id: &str) -> Option<StreamPosition> {
    let (millis, sequence) = id.split_once('-')?;
    Some((millis.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_two_numbers() {
        assert_eq!(parse("1700000000000-3"), Some((1_700_000_000_000, 3)));
        assert_eq!(parse("nonsense"), None);
    }
}
