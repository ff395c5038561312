//! Values of a type instead of bytes.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{convert::Infallible, time::Duration};

use mainstay_cache::{Cache, Options, Typed};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Forecast {
    city: String,
    degrees: f32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let forecasts: Typed<(String, u32), Forecast> =
        Cache::builder().build().await?.typed("forecasts");
    let key = ("Vienna".to_owned(), 20_261_123);
    for _ in 0..2 {
        let found = forecasts
            .get_or_load(&key, &Options::ttl(Duration::from_secs(600)), || async {
                Ok::<_, Infallible>(Some(Forecast {
                    city: "Vienna".to_owned(),
                    degrees: 3.5,
                }))
            })
            .await?;
        println!("{:?} from {}", found.value, found.source.as_str());
    }
    Ok(())
}
