//! The disk tier on real files: restarts, damage, and disks that say no.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use mainstay_cache::{Cache, EncryptionKey, Source as From, TierState};
use mainstay_resilience::ManualClock;

use crate::support::{LIMIT, Source, builder, clock, eventually, key, options, warm};

async fn open(clock: &ManualClock, dir: &Path) -> Cache {
    builder(clock).warm(warm(dir)).build().await.unwrap()
}

fn state(cache: &Cache) -> &'static str {
    cache.stats().warm.unwrap().state
}

/// Everything that a process of its own would forget.
async fn written(cache: &Cache, entries: u64) {
    eventually("everything written", async || {
        cache.stats().warm.unwrap().writes >= entries
    })
    .await;
}

#[tokio::test]
async fn what_was_loaded_survives_a_restart() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let source = Source::default();
    let cache = open(&clock, dir.path()).await;
    assert_eq!(state(&cache), TierState::Up.as_str());
    source.get(&cache, &key("a"), &options()).await;
    cache.shutdown(LIMIT).await;

    clock.advance(Duration::from_secs(10));
    let cache = open(&clock, dir.path()).await;
    let hit = source.get(&cache, &key("a"), &options()).await;
    assert_eq!(
        (hit.source, &hit.value[..]),
        (From::Warm, b"value 1".as_slice())
    );
    assert_eq!(hit.age, Duration::from_secs(10));
    assert!(hit.verified && !hit.stale);
    let again = source.get(&cache, &key("a"), &options()).await;
    assert_eq!(again.source, From::Hot, "and comes into memory");
    assert!(again.verified);
    clock.advance(Duration::from_secs(50));
    assert_eq!(
        source.get(&cache, &key("a"), &options()).await.source,
        From::Loaded
    );
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn what_memory_lets_go_comes_from_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let cache = builder(&clock)
        .hot(256 << 10)
        .warm(warm(dir.path()))
        .build()
        .await
        .unwrap();
    for number in 0..500_u32 {
        let _ = cache
            .put(
                &key(&number.to_string()),
                number.to_le_bytes().repeat(256),
                &options(),
            )
            .await;
    }
    written(&cache, 500).await;
    let mut from_disk = 0;
    for number in 0..500_u32 {
        let hit = cache
            .get(&key(&number.to_string()))
            .await
            .expect("it is in one of them");
        assert_eq!(&hit.value[..], number.to_le_bytes().repeat(256));
        from_disk += usize::from(hit.source == From::Warm);
    }
    assert!(from_disk > 300, "{from_disk} came from the disk");
    assert_eq!(cache.stats().warm.unwrap().errors, 0);
}

#[tokio::test]
async fn what_was_invalidated_stays_away_after_any_number_of_restarts() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let cache = open(&clock, dir.path()).await;
    let source = Source::default();
    let tagged = options().tags(["tag"]);
    source.get(&cache, &key("by key"), &options()).await;
    source.get(&cache, &key("by tag"), &tagged).await;
    source.get(&cache, &key("kept"), &options()).await;
    written(&cache, 3).await;
    assert!(cache.invalidate(&[key("by key")]).await.durable);
    assert!(cache.invalidate_tags(&["tag"]).await.durable);
    for _ in 0..3 {
        cache.shutdown(LIMIT).await;
        let cache = open(&clock, dir.path()).await;
        assert!(cache.get(&key("by key")).await.is_none());
        assert!(cache.get(&key("by tag")).await.is_none());
        assert!(cache.get(&key("kept")).await.is_some());
        cache.shutdown(LIMIT).await;
    }
}

#[tokio::test]
async fn a_replaced_value_does_not_come_back_from_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let cache = open(&clock, dir.path()).await;
    for round in 0..50_u32 {
        let _ = cache.put(&key("a"), round.to_string(), &options()).await;
        let _ = cache.clear(Some(mainstay_cache::Tier::Hot)).await;
        let hit = cache
            .get(&key("a"))
            .await
            .expect("it waits to be written, or is");
        assert_eq!(&hit.value[..], round.to_string().as_bytes());
    }
}

#[tokio::test]
async fn clearing_clears_the_disk_for_good() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let cache = open(&clock, dir.path()).await;
    let _ = cache.put(&key("a"), "value", &options()).await;
    written(&cache, 1).await;
    let _ = cache.clear(None).await;
    assert!(cache.get(&key("a")).await.is_none());
    cache.shutdown(LIMIT).await;
    let cache = open(&clock, dir.path()).await;
    assert!(cache.get(&key("a")).await.is_none());
}

#[tokio::test]
async fn with_a_key_nothing_readable_is_on_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let build = async |key: u8| {
        builder(&clock)
            .warm(warm(dir.path()))
            .encryption(EncryptionKey::new([key; 32]))
            .build()
            .await
            .unwrap()
    };
    let secret = "a secret that nobody may read".repeat(10);
    let cache = build(1).await;
    let _ = cache.put(&key("a"), secret.clone(), &options()).await;
    cache.shutdown(LIMIT).await;
    for file in files(&dir.path().join("store")) {
        let bytes = fs::read(file).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"a secret"));
    }
    let cache = build(2).await;
    assert!(
        cache.get(&key("a")).await.is_none(),
        "another key reads nothing"
    );
    assert_eq!(state(&cache), "up", "which is not the disk's fault");
    cache.shutdown(LIMIT).await;
    let cache = build(1).await;
    assert_eq!(
        &cache.get(&key("a")).await.unwrap().value[..],
        secret.as_bytes()
    );
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Fills a store and returns the values by their number.
async fn filled(clock: &ManualClock, dir: &Path, entries: u32) {
    let cache = open(clock, dir).await;
    for number in 0..entries {
        let _ = cache
            .put(
                &key(&number.to_string()),
                number.to_le_bytes().repeat(256),
                &options(),
            )
            .await;
    }
    cache.shutdown(LIMIT).await;
}

/// Reads all entries back: each is right or a miss. Returns how many are left.
async fn survivors(cache: &Cache, entries: u32) -> u32 {
    let mut left = 0;
    for number in 0..entries {
        if let Some(hit) = cache.get(&key(&number.to_string())).await {
            assert_eq!(
                &hit.value[..],
                number.to_le_bytes().repeat(256),
                "entry {number}"
            );
            left += 1;
        }
    }
    left
}

#[tokio::test]
async fn damaged_files_are_misses_and_no_failure_of_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    filled(&clock, dir.path(), 300).await;
    // A flipped bit in every other page of every data file.
    for file in files(&dir.path().join("store")) {
        if file.file_name().is_some_and(|name| name == "journal") {
            continue;
        }
        let mut bytes = fs::read(&file).unwrap();
        for (index, page) in bytes.chunks_mut(8192).enumerate() {
            let at = 40 + (index * 131) % 900;
            page[at] ^= 1 << (index % 8);
        }
        fs::write(&file, bytes).unwrap();
    }
    let cache = open(&clock, dir.path()).await;
    let left = survivors(&cache, 300).await;
    assert!(left < 300, "some of them were hit");
    assert_eq!(state(&cache), "up");
    let _ = cache.put(&key("new"), "value", &options()).await;
    let _ = cache.clear(Some(mainstay_cache::Tier::Hot)).await;
    assert!(
        cache.get(&key("new")).await.is_some(),
        "the tier still works"
    );
}

#[tokio::test]
async fn files_cut_off_anywhere_are_misses() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    filled(&clock, dir.path(), 300).await;
    for (index, file) in files(&dir.path().join("store")).into_iter().enumerate() {
        if file.file_name().is_some_and(|name| name == "journal") {
            continue;
        }
        let length = fs::metadata(&file).unwrap().len();
        let cut = length * (index as u64 % 7) / 7 + index as u64;
        fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(cut)
            .unwrap();
    }
    let cache = open(&clock, dir.path()).await;
    let left = survivors(&cache, 300).await;
    assert!(left < 300);
    assert_eq!(state(&cache), "up");
}

#[tokio::test]
async fn a_store_with_a_damaged_journal_is_set_aside_for_a_week() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    filled(&clock, dir.path(), 10).await;
    let journal = dir.path().join("store/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[40] ^= 4;
    fs::write(&journal, bytes).unwrap();
    let cache = open(&clock, dir.path()).await;
    assert_eq!(state(&cache), "up");
    assert_eq!(
        survivors(&cache, 10).await,
        0,
        "without its journal nothing is believed"
    );
    let aside = dir.path().join("aside-1800000000");
    assert!(aside.join("journal").exists());
    cache.shutdown(LIMIT).await;
    clock.advance(Duration::from_secs(6 * 24 * 3600));
    open(&clock, dir.path()).await.shutdown(LIMIT).await;
    assert!(aside.exists());
    clock.advance(Duration::from_secs(24 * 3600));
    open(&clock, dir.path()).await.shutdown(LIMIT).await;
    assert!(!aside.exists());
}

#[tokio::test]
async fn foreign_files_in_the_directory_do_no_harm() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = dir.path().join("store");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("journal"), "somebody's diary").unwrap();
    fs::write(
        store.join("foyer-storage-direct-fs-00000000"),
        vec![0xAB; 100_000],
    )
    .unwrap();
    let cache = open(&clock, dir.path()).await;
    assert_eq!(state(&cache), "up");
    let _ = cache.put(&key("a"), "value", &options()).await;
    let _ = cache.clear(Some(mainstay_cache::Tier::Hot)).await;
    assert!(cache.get(&key("a")).await.is_some());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_leaves_a_cache_in_memory_that_heals() {
    let (root, clock) = (tempfile::tempdir().unwrap(), clock());
    let in_the_way = root.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let dir = in_the_way.join("cache");
    let cache = open(&clock, &dir).await;
    assert_eq!(state(&cache), "tripped");
    let source = Source::default();
    source.get(&cache, &key("a"), &options()).await;
    assert_eq!(
        source.get(&cache, &key("a"), &options()).await.source,
        From::Hot
    );

    fs::remove_file(&in_the_way).unwrap();
    cache.maintain().await;
    assert_eq!(state(&cache), "tripped", "it is left alone for a while");
    clock.advance(Duration::from_secs(60));
    cache.maintain().await;
    assert_eq!(state(&cache), "up");
    let _ = cache.put(&key("b"), "value", &options()).await;
    written(&cache, 1).await;
}

#[tokio::test]
async fn a_disk_given_up_doubles_the_memory_until_it_is_back() {
    let (root, clock) = (tempfile::tempdir().unwrap(), clock());
    let in_the_way = root.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let cache = open(&clock, &in_the_way.join("cache")).await;
    for _ in 0..9 {
        assert_eq!(state(&cache), "tripped");
        clock.advance(Duration::from_secs(60));
        cache.maintain().await;
    }
    assert_eq!(state(&cache), "memory_only");
    assert_eq!(cache.stats().hot.capacity, Some(8 << 20));
    assert_eq!(
        cache.stats().warm.unwrap().retry_after,
        Some(Duration::from_secs(300))
    );
    fs::remove_file(&in_the_way).unwrap();
    clock.advance(Duration::from_secs(300));
    cache.maintain().await;
    assert_eq!(state(&cache), "up");
    assert_eq!(cache.stats().hot.capacity, Some(4 << 20));
}

#[tokio::test]
async fn a_directory_in_use_by_another_cache_is_left_alone() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = open(&clock, dir.path()).await;
    let second = open(&clock, dir.path()).await;
    assert_eq!((state(&first), state(&second)), ("up", "tripped"));
    first.shutdown(LIMIT).await;
    clock.advance(Duration::from_secs(60));
    second.maintain().await;
    assert_eq!(state(&second), "up");
}

/// Opening a pipe that nobody reads blocks for ever, as a dead network disk
/// does.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pipe = dir.path().join("probe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let mut config = warm(dir.path());
    config.write_timeout = Duration::from_millis(200);
    let building = builder(&clock).warm(config).build();
    let cache = tokio::time::timeout(LIMIT, building)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state(&cache), "tripped");
    Source::default().get(&cache, &key("a"), &options()).await;
    // A trial that hangs is not joined by others.
    clock.advance(Duration::from_secs(60));
    cache.maintain().await;
    assert_eq!(state(&cache), "tripped");
    // The disk answers again.
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe)
    });
    eventually("the trial's end", async || reader.is_finished()).await;
    let _ = fs::remove_file(&pipe);
    eventually("the tier's return", async || {
        clock.advance(Duration::from_secs(60));
        cache.maintain().await;
        state(&cache) == "up"
    })
    .await;
}
