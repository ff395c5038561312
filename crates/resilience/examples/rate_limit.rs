//! A limit for each account, with what response headers need.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use mainstay_resilience::{KeyedRateLimiter, Quota};

fn main() -> Result<(), Box<dyn Error>> {
    // Five in a quarter of an hour, at most three of them at once.
    let quota = Quota::per(Duration::from_secs(900), 5).burst(3);
    let logins = KeyedRateLimiter::builder("login", quota)
        .max_keys(10_000)
        .build()?;
    for account in ["ann", "ann", "ann", "ann", "bob"] {
        match logins.check(&account) {
            Ok(state) => println!(
                "{account}: RateLimit-Limit: {}, RateLimit-Remaining: {}, RateLimit-Reset: {}",
                state.limit,
                state.remaining,
                state.reset_after.as_secs()
            ),
            Err(rejected) => println!("{account}: {rejected}"),
        }
    }
    Ok(())
}
