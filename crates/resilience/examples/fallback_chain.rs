//! Cache, then database, then a default; the answer says where it came from.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, time::Duration};

use mainstay_resilience::{Chain, CircuitBreaker, StepOutcome, timeout};

async fn cache_lookup() -> io::Result<Option<String>> {
    Ok(None)
}

async fn database_query() -> io::Result<Option<String>> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(Some("from the database".into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let breaker = CircuitBreaker::builder("database")
        .consecutive_failures(2)
        .build()?;
    for _ in 0..3 {
        // The second step carries a breaker and a time limit of its own.
        let database = breaker.around(timeout(Duration::from_millis(20), database_query()));
        let answer = Chain::new("greeting")
            .step("cache", cache_lookup())
            .guarded("database", database)
            .default(|| "Hello!".to_owned())
            .run()
            .await?;
        println!("{:?} from {}", answer.value(), answer.source());
        for earlier in answer.earlier() {
            match &earlier.outcome {
                StepOutcome::Failed(error) => println!("  {}: {error}", earlier.step),
                _ => println!("  {}: nothing found", earlier.step),
            }
        }
    }
    Ok(())
}
