//! Memory and an encrypted disk tier: run it twice, and the second run finds
//! what the first one loaded.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{convert::Infallible, time::Duration};

use mainstay_cache::{Cache, EncryptionKey, Key, Loaded, Options, WarmConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("mainstay-cache-example");
    let cache = Cache::builder()
        .hot(16 << 20)
        .warm(WarmConfig::new(&dir).bytes(64 << 20))
        // A real key is random and comes from where secrets are kept.
        .encryption(EncryptionKey::new([42; 32]))
        .build()
        .await?;
    let answer = cache
        .get_or_load(
            &Key::new("answers", ["everything"]),
            &Options::ttl(Duration::from_secs(3600)),
            || async {
                println!("loading, which takes a while");
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Infallible>(Loaded::value("42"))
            },
        )
        .await?;
    println!(
        "{:?} from {}, {:.1} s old, checksum verified: {}",
        answer.value,
        answer.source.as_str(),
        answer.age.as_secs_f64(),
        answer.verified
    );
    // Makes sure that the disk has everything.
    cache.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
