//! Under load the least important work goes first.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use mainstay_resilience::{Priority, Shedder};

fn main() -> Result<(), Box<dyn Error>> {
    let shedder = Shedder::builder("api", 100).build()?;
    for pressure in [0.0, 0.6, 0.8, 0.9, 0.97] {
        // Memory in use, the delay of a queue, whatever tells of trouble.
        shedder.set_pressure(pressure);
        let served: Vec<_> = [
            Priority::Background,
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Critical,
        ]
        .into_iter()
        .filter(|priority| shedder.try_acquire(*priority).is_ok())
        .collect();
        println!("pressure {pressure}: {served:?}");
    }
    Ok(())
}
