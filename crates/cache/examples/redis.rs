//! Two instances that share a Redis: what one loads the other finds, and what
//! one invalidates the other forgets.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{convert::Infallible, time::Duration};

use mainstay_cache::{Cache, Key, Loaded, Options};
use mainstay_redis::{Config, Redis};
use mainstay_resilience::system_clock;

async fn instance(url: &str) -> Result<Cache, Box<dyn std::error::Error>> {
    let redis = Redis::connect(Config::new(url), system_clock())?;
    if !redis.wait_until_available(Duration::from_secs(2)).await {
        println!("Redis is away; the instance works alone until it is back");
    }
    Ok(Cache::builder().shared(redis, "example").build().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let (one, other) = (instance(&url).await?, instance(&url).await?);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (key, options) = (
        Key::new("numbers", ["pi"]),
        Options::ttl(Duration::from_secs(60)),
    );
    for (name, cache) in [("one", &one), ("other", &other)] {
        let found = cache
            .get_or_load(&key, &options, || async {
                Ok::<_, Infallible>(Loaded::value("3.14159"))
            })
            .await?;
        println!("{name}: {:?} from {}", found.value, found.source.as_str());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let told = one.invalidate(std::slice::from_ref(&key)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!(
        "told: {}, the other still has it: {}",
        told.shared,
        other.get(&key).await.is_some()
    );
    Ok(())
}
