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
    if !shared.load_table().await? {
        return Err(Stop::Away);
    }
    let (generation, newest) = (shared.order.generation(), shared.order.seen());
    let cache = cache.upgrade().ok_or(Stop::Gone)?;
    let position = match cache.followed() {
        Some((followed, last)) if followed == generation && last <= newest => {
            // From here the stream tells whether it still reaches back so far.
            (generation, last)
        }
        // Nothing was ever followed and nothing is kept from an earlier life.
        None if !cache.keeps_from_earlier() => (generation, newest),
        _ => {
            tracing::warn!(
                "what other instances invalidated may have been missed; everything kept is dropped"
            );
            cache.resynchronise().await;
            (generation, newest)
        }
    };
    let position = catch_up(&cache, shared, position, newest).await?;
    drop(cache);
    shared.flush().await?;
    shared.synchronised.store(true, Ordering::Release);
    Ok(position)
}

/// Applies what the stream holds after `position` up to `newest`. When it does
/// not hold all of it, everything kept is dropped.
async fn catch_up(
    cache: &Arc<Inner>,
    shared: &Arc<Shared>,
    mut position: StreamPosition,
    newest: u64,
) -> Result<StreamPosition, Stop> {
    while position.1 < newest {
        let after = format!("{}-1", position.1);
        let entries = shared
            .redis
            .stream_read(&shared.stream_key(), &after, BATCH)
            .await?;
        let next = entries.first().and_then(place);
        if next != Some(position.1 + 1) {
            tracing::warn!("the stream of invalidations has a gap; everything kept is dropped");
            cache.resynchronise().await;
            position.1 = newest;
            break;
        }
        position = apply(cache, shared, &entries, position).await;
    }
    cache.follow(position).await;
    Ok(position)
}

/// Waits for news and applies them.
async fn step(
    cache: &Weak<Inner>,
    shared: &Arc<Shared>,
    reader: &mut StreamReader,
    position: StreamPosition,
) -> Result<StreamPosition, Stop> {
    let after = format!("{}-1", position.1);
    let entries = reader
        .read(&shared.stream_key(), &after, BATCH, WAIT)
        .await?;
    let cache = cache.upgrade().ok_or(Stop::Gone)?;
    if cache.is_closed() {
        return Err(Stop::Gone);
    }
    shared.flush().await?;
    if entries.is_empty() {
        // Silence may also mean that the server lost the stream or the table.
        let (generation, newest) = shared.head().await?;
        if generation != position.0 {
            return Err(Stop::Away);
        }
        return catch_up(&cache, shared, position, newest).await;
    }
    if entries.first().and_then(place) != Some(position.1 + 1) {
        let newest = entries.last().and_then(place).unwrap_or(position.1);
        return catch_up(&cache, shared, position, newest).await;
    }
    let position = apply(&cache, shared, &entries, position).await;
    cache.follow(position).await;
    Ok(position)
}

/// Applies entries that follow on `position`.
async fn apply(
    cache: &Arc<Inner>,
    shared: &Arc<Shared>,
    entries: &[StreamEntry],
    position: StreamPosition,
) -> StreamPosition {
    let (mut keys, mut targets) = (Vec::new(), Vec::new());
    let mut last = position;
    for entry in entries {
        let Some(at) = place(entry) else { continue };
        last.1 = at;
        let Some(news) = News::of(entry, shared) else {
            continue;
        };
        match &news.what {
            What::Key(_) if !news.full => shared.order.reached(at),
            What::Lazily(Target::Tag(tag)) if !news.full => shared.order.tag_invalidated(*tag, at),
            _ => shared.order.all_invalidated(at),
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
    last
}

/// The place of an entry in the order: the first half of its id.
fn place(entry: &StreamEntry) -> Option<u64> {
    entry.id.split_once('-')?.0.parse().ok()
}

struct News {
    what: What,
    origin: u64,
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
            full: text("f") == Some("1"),
        })
    }
}
