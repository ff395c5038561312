//! The attribute macros.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mainstay_resilience::{Error, Pipeline, Retry, resilient, timeout};

use crate::support::ms;

static FLAKY: LazyLock<Pipeline> = LazyLock::new(|| {
    Pipeline::standard("flaky")
        .retry(Retry::builder().max_attempts(3).build().unwrap())
        .build()
        .unwrap()
});

/// Documentation and attributes of the function stay where they are.
#[timeout("100ms")]
async fn wait(milliseconds: u64, answer: &str) -> Result<usize, Error<&'static str>> {
    if milliseconds == 0 {
        Err("zero")?;
    }
    tokio::time::sleep(ms(milliseconds)).await;
    Ok(answer.len())
}

#[tokio::test(start_paused = true)]
async fn a_function_has_a_time_limit() {
    assert_eq!(wait(99, "four").await, Ok(4));
    assert_eq!(wait(0, "").await, Err(Error::Inner("zero")));
    let error = wait(101, "").await.unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { by, after } if by == "wait" && *after == Duration::from_millis(100))
    );
}

#[resilient(FLAKY)]
async fn flaky<'a>(
    calls: &AtomicU32,
    mut text: String,
    _more: &'a str,
) -> Result<String, Error<u32>> {
    let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
    if call < 3 {
        return Err(call.into());
    }
    text.push('!');
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn a_function_is_tried_again_with_its_own_arguments() {
    let calls = AtomicU32::new(0);
    assert_eq!(flaky(&calls, "text".into(), "").await, Ok("text!".into()));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

struct Client {
    calls: AtomicU32,
}

impl Client {
    /// Each attempt has a second of its own.
    #[resilient(FLAKY)]
    #[timeout("1s")]
    async fn fetch(&self, id: u32) -> Result<u32, Error<&'static str>> {
        match self.calls.fetch_add(1, Ordering::SeqCst) {
            0 => std::future::pending().await,
            _ => Ok(id),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_too_with_both_and_in_a_spawned_task() {
    let task = tokio::spawn(async {
        let client = Client {
            calls: AtomicU32::new(0),
        };
        client.fetch(7).await
    });
    assert_eq!(task.await.unwrap(), Ok(7));
}

/// All attempts together have a second.
#[timeout("1s")]
#[resilient(FLAKY)]
async fn hang(attempts: &AtomicU32) -> Result<(), Error<&'static str>> {
    attempts.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn the_first_attribute_goes_outermost() {
    let attempts = AtomicU32::new(0);
    assert!(hang(&attempts).await.unwrap_err().is_timeout());
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}
