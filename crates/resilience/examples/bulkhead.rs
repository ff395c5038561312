//! Two calls at once, one in the queue, and the fourth is refused.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, time::Duration};

use mainstay_resilience::Bulkhead;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bulkhead = Bulkhead::new("reports", 2, 1, Duration::from_secs(1))?;
    let report = |number: u32| {
        let bulkhead = bulkhead.clone();
        async move {
            let result = bulkhead
                .run(async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, io::Error>(())
                })
                .await;
            match result {
                Ok(()) => println!("report {number}: done"),
                Err(error) => println!("report {number}: {error}"),
            }
        }
    };
    tokio::join!(report(1), report(2), report(3), report(4));
    println!("{:?}", bulkhead.snapshot());
    Ok(())
}
