//! Queries through a pipeline, with the server's own limit beside ours.
//!
//! Run with a database:
//! `DATABASE_URL=postgres://user@localhost/db cargo run --example deadpool_postgres`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use mainstay_resilience::{Bulkhead, CircuitBreaker, Pipeline, Retry, Verdict};
use tokio_postgres::{Config, NoTls, error::SqlState};

const SIZE: u32 = 4;

fn pool(config: Config) -> Result<Pool, Box<dyn Error>> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Ok(
        Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(SIZE as usize)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(500)))
            .build()?,
    )
}

fn pipeline() -> Result<Pipeline, Box<dyn Error>> {
    Ok(Pipeline::standard("postgres")
        .deadline(Duration::from_secs(5))
        .retry(Retry::builder().max_attempts(3).build()?)
        .breaker(CircuitBreaker::builder("postgres").build()?)
        // As many as the pool has: nobody waits in two queues.
        .bulkhead(Bulkhead::new(
            "postgres",
            SIZE,
            64,
            Duration::from_millis(500),
        )?)
        .attempt_timeout(Duration::from_secs(1))
        .build()?)
}

/// What an error means: our own SQL says nothing about the server and is not
/// tried again; a lost connection is a failure that may pass.
fn classify<T>(result: Result<&T, &PoolError>) -> Verdict {
    match result {
        Ok(_) => Verdict::success(),
        Err(PoolError::Backend(error)) => match error.code() {
            // The server gave up on its own limit, just before ours.
            Some(code) if *code == SqlState::QUERY_CANCELED => Verdict::failure().permanent(),
            Some(_) => Verdict::ignore(),
            None => Verdict::failure(),
        },
        Err(_) => Verdict::failure(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = env::var("DATABASE_URL") else {
        println!("set DATABASE_URL to a database to try this on");
        return Ok(());
    };
    let mut config: Config = url.parse()?;
    // A little less than the attempt's time: the server gives up first, and the
    // connection stays of use to the next caller.
    config.options("-c statement_timeout=900");
    config.connect_timeout(Duration::from_millis(800));
    let (pool, pipeline) = (pool(config)?, pipeline()?);

    for sql in [
        "select 'hello'",
        "select pg_sleep(30)::text",
        "select nonsense",
    ] {
        let answer = pipeline
            .run_with(classify, |_attempt| async {
                let client = pool.get().await?;
                let row = client.query_one(sql, &[]).await?;
                Ok::<String, PoolError>(row.get(0))
            })
            .await;
        match answer {
            Ok(text) => println!("{sql}: {text}"),
            Err(error) => println!("{sql}: {error}"),
        }
    }
    println!("{:?}", pipeline.snapshot());
    Ok(())
}
