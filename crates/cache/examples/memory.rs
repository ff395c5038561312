//! A cache in memory: one load, then hits, until something is invalidated.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{convert::Infallible, time::Duration};

use mainstay_cache::{Cache, Key, Loaded, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder().hot(16 << 20).build().await?;
    let key = Key::new("greetings", ["en", "world"]);
    let options = Options::ttl(Duration::from_secs(60)).tags(["language:en"]);
    for _ in 0..3 {
        let cached = cache
            .get_or_load(&key, &options, || async {
                Ok::<_, Infallible>(Loaded::value("hello, world"))
            })
            .await?;
        println!("{:?} from {}", cached.value, cached.source.as_str());
    }
    cache.invalidate_tags(&["language:en"]).await;
    println!(
        "after the invalidation: {:?}",
        cache.get(&key).await.is_some()
    );
    println!("{:#?}", cache.stats().hot);
    Ok(())
}
