//! The cache beside its peers: one process, one run, a table in Markdown.
//!
//! `cargo run --release` in this directory; `-- quick` for a short run.

mod hits;
mod ratio;
mod warm;
mod workload;

fn main() {
    let quick = std::env::args().any(|arg| arg == "quick");
    let repetitions = if quick { 3 } else { 7 };
    println!("# Cache benchmarks\n");
    println!("{}\n", workload::machine());
    println!(
        "{} entries of {} bytes; median of {repetitions} interleaved repetitions. Nanoseconds of CPU time per \
         operation and thread.\n",
        workload::ENTRIES,
        workload::VALUE
    );
    hits::run(repetitions);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(hits::flights());
    runtime.block_on(warm::run());
    runtime.block_on(ratio::run());
}
