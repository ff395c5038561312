//! A real disk that says no: write errors that come and go, a full file
//! system, and the end of the process at any moment.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use mainstay_cache::{Cache, Source as From, Tier};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{LIMIT, builder, clock, eventually, key, options, warm};

const CHILD: &str = "MAINSTAY_CACHE_TEST_CHILD";
const DIR: &str = "MAINSTAY_CACHE_TEST_DIR";

/// This test again, in a process of its own that does not die of a write
/// beyond its file size limit.
pub(crate) fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, test)
        .env(DIR, dir);
    command
}

pub(crate) fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|name| name == test)
}

/// From now on every write to a file fails with an I/O error, or works again.
pub(crate) fn writes_fail(fail: bool) {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: if fail { Some(0) } else { limit.maximum },
            maximum: limit.maximum,
        },
    )
    .unwrap();
}

fn state(cache: &Cache) -> &'static str {
    cache.stats().warm.unwrap().state
}

async fn put(cache: &Cache, name: &str, value: &str) -> mainstay_cache::Invalidated {
    // Longer than the outages that the tests make.
    let options = mainstay_cache::Options::ttl(Duration::from_secs(3600)).jitter(0.0);
    cache.put(&key(name), value.to_owned(), &options).await
}

async fn below_memory(cache: &Cache, name: &str) -> Option<mainstay_cache::Cached> {
    let _ = cache.clear(Some(Tier::Hot)).await;
    cache.get(&key(name)).await
}

/// What the files under `dir` take on the disk, sparse parts not counted.
fn disk_usage(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                disk_usage(&entry.path())
            } else {
                metadata.blocks() * 512
            }
        })
        .sum()
}

#[tokio::test]
async fn the_disk_stays_within_its_bytes_however_much_is_written() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let config = warm(dir.path()).bytes(8 << 20);
    let cache = builder(&clock).warm(config).build().await.unwrap();
    for number in 0..600_u32 {
        let _ = cache
            .put(
                &key(&number.to_string()),
                vec![number as u8; 60_000],
                &options(),
            )
            .await;
        if number % 50 == 0 {
            written(&cache, u64::from(number) / 2).await;
        }
    }
    cache.shutdown(LIMIT).await;
    let (used, written) = (disk_usage(dir.path()), cache.stats().warm.unwrap().writes);
    assert!(
        written > 300,
        "{written} entries were written, several times the disk"
    );
    // Beside the entries there is only the journal, 32 bytes per put.
    assert!(used <= (8 << 20) + (64 << 10), "{used} bytes");
}

async fn written(cache: &Cache, entries: u64) {
    eventually("everything written", async || {
        cache.stats().warm.unwrap().writes >= entries
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_refuses_writes_is_left_alone_and_used_again_within_35_seconds_of_its_repair() {
    const NAME: &str = "faults::a_disk_that_refuses_writes_is_left_alone_and_used_again_within_35_seconds_of_its_repair";
    if !is_child(NAME) {
        let dir = tempfile::tempdir().unwrap();
        assert!(child(NAME, dir.path()).status().unwrap().success());
        return;
    }
    let (dir, clock) = (PathBuf::from(std::env::var_os(DIR).unwrap()), clock());
    let mut config = warm(&dir);
    config.trip = Duration::from_secs(30);
    let open = async || builder(&clock).warm(config.clone()).build().await.unwrap();
    let cache = open().await;
    put(&cache, "old", "v1").await;
    put(&cache, "untouched", "whole").await;
    put(&cache, "invalidated", "v1").await;
    written(&cache, 3).await;

    writes_fail(true);
    let put_meanwhile = put(&cache, "old", "v2").await;
    assert!(!put_meanwhile.durable, "and says so");
    eventually("the breaker", async || state(&cache) == "tripped").await;
    let _ = cache.invalidate(&[key("invalidated")]).await;
    // Memory goes on, and what it lets go is a miss, never the old value.
    assert_eq!(&cache.get_hot(&key("old")).unwrap().value[..], b"v2");
    put(&cache, "new", "value").await;
    assert!(cache.get_hot(&key("new")).is_some());
    assert!(below_memory(&cache, "old").await.is_none());
    clock.advance(Duration::from_secs(31));
    cache.maintain().await;
    assert_eq!(state(&cache), "tripped", "it is as sick as before");

    writes_fail(false);
    clock.advance(Duration::from_secs(31));
    // No later on the tier's clock: only what was taken out of use may still
    // be closing.
    eventually("the tier's return within 35 s of the repair", async || {
        cache.maintain().await;
        state(&cache) == "up"
    })
    .await;
    assert!(
        below_memory(&cache, "old").await.is_none(),
        "v1 is on the disk, and stays there"
    );
    assert!(below_memory(&cache, "invalidated").await.is_none());
    assert_eq!(
        below_memory(&cache, "untouched").await.unwrap().source,
        From::Warm
    );
    let writes = cache.stats().warm.unwrap().writes;
    assert!(put(&cache, "new", "value").await.durable);
    written(&cache, writes + 1).await;
    assert_eq!(
        below_memory(&cache, "new").await.unwrap().source,
        From::Warm
    );

    cache.shutdown(LIMIT).await;
    let cache = open().await;
    for name in ["old", "invalidated"] {
        assert!(cache.get(&key(name)).await.is_none(), "{name} came back");
    }
    assert!(cache.get(&key("untouched")).await.is_some());
    assert!(cache.get(&key("new")).await.is_some());
}

#[tokio::test]
async fn a_full_file_system_costs_nothing_but_the_disk_tier() {
    // A file system of its own, where this process may mount one.
    let mount = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(mount.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!(
            "not allowed to mount a file system: the test of refused writes stands for this one"
        );
        return;
    }
    let unmount = Unmount(mount.path().to_owned());
    let clock = clock();
    // More than there is room for: the files are sparse until they are not.
    let config = warm(&mount.path().join("cache")).bytes(64 << 20);
    let cache = builder(&clock).warm(config).build().await.unwrap();
    assert_eq!(state(&cache), "up");
    put(&cache, "first", "v1").await;
    written(&cache, 1).await;
    let mut number = 0_u32;
    eventually("the disk is full", async || {
        for _ in 0..16 {
            number += 1;
            let _ = cache
                .put(
                    &key(&number.to_string()),
                    vec![7; 200_000],
                    &options().warm(true),
                )
                .await;
        }
        state(&cache) != "up"
    })
    .await;
    put(&cache, "first", "v2").await;
    assert_eq!(&cache.get_hot(&key("first")).unwrap().value[..], b"v2");
    assert!(below_memory(&cache, "first").await.is_none());

    // Room is made: the tier comes back by itself, if need be with new files.
    let fillers = std::fs::read_dir(mount.path().join("cache/store")).unwrap();
    for file in fillers.flatten().skip(8) {
        let _ = std::fs::OpenOptions::new()
            .write(true)
            .open(file.path())
            .and_then(|file| file.set_len(0));
    }
    eventually("the tier's return", async || {
        clock.advance(Duration::from_secs(60));
        cache.maintain().await;
        state(&cache) == "up"
    })
    .await;
    assert!(below_memory(&cache, "first").await.is_none());
    let writes = cache.stats().warm.unwrap().writes;
    put(&cache, "again", "value").await;
    written(&cache, writes + 1).await;
    cache.shutdown(LIMIT).await;
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a process writes until it is killed: values that say what they are.
fn value(name: u32, round: u32) -> Vec<u8> {
    format!("{name}/{round};")
        .repeat(100 + (round as usize * 37) % 900)
        .into_bytes()
}

#[tokio::test]
async fn killed_at_any_moment_the_disk_gives_back_what_is_whole_and_not_outdated() {
    const NAME: &str =
        "faults::killed_at_any_moment_the_disk_gives_back_what_is_whole_and_not_outdated";
    const NAMES: u32 = 40;
    if is_child(NAME) {
        let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
        let cache = builder(&clock()).warm(warm(&dir)).build().await.unwrap();
        assert_eq!(state(&cache), "up");
        let base: u32 = std::env::var("MAINSTAY_CACHE_TEST_ROUND")
            .unwrap()
            .parse()
            .unwrap();
        for round in base.. {
            for name in 0..NAMES {
                if (name + round) % 5 == 0 {
                    assert!(cache.invalidate(&[key(&name.to_string())]).await.durable);
                    println!("\ngone {name} {round}");
                } else {
                    assert!(
                        cache
                            .put(&key(&name.to_string()), value(name, round), &options())
                            .await
                            .durable
                    );
                    println!("\nput {name} {round}");
                }
            }
        }
        return;
    }
    let kills = if std::env::var_os("MAINSTAY_LONG").is_some() {
        50
    } else {
        6
    };
    let dir = tempfile::tempdir().unwrap();
    // The oldest round that may still be served, by name.
    let mut oldest = vec![0_u32; NAMES as usize];
    let (mut base, mut found) = (1, 0);
    for kill in 0..kills {
        let mut process = child(NAME, dir.path())
            .env("MAINSTAY_CACHE_TEST_ROUND", base.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let enough = 100 + (kill * 397) % 1500;
        let mut acknowledged = 0;
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [what @ ("gone" | "put"), name, round] = words[..] else {
                continue;
            };
            let (name, round): (usize, u32) = (name.parse().unwrap(), round.parse().unwrap());
            oldest[name] = if what == "gone" { round + 1 } else { round };
            base = base.max(round + 1);
            acknowledged += 1;
            if acknowledged == enough {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(acknowledged >= enough, "the process ended by itself");

        let cache = builder(&clock())
            .warm(warm(dir.path()))
            .build()
            .await
            .unwrap();
        assert_eq!(state(&cache), "up", "kill {kill}");
        for name in 0..NAMES {
            if let Some(hit) = cache.get(&key(&name.to_string())).await {
                let text = std::str::from_utf8(&hit.value).unwrap();
                let first = text.split(';').next().unwrap();
                let round: u32 = first.split_once('/').unwrap().1.parse().unwrap();
                assert_eq!(
                    hit.value[..],
                    value(name, round)[..],
                    "kill {kill}: a torn value"
                );
                let least = oldest[name as usize];
                assert!(
                    round >= least,
                    "kill {kill}: {name} of round {round}, though {least} was acknowledged"
                );
                found += 1;
            }
        }
        cache.shutdown(LIMIT).await;
    }
    assert!(found > kills * 5, "and something is left: {found}");
}
