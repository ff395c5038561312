//! Who asks for what, and how time is counted.

use std::time::Duration;

pub const ENTRIES: usize = 100_000;
pub const VALUE: usize = 1024;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub fn uniform(seed: u64, length: usize, entries: usize) -> Vec<usize> {
    let mut random = Random(seed);
    (0..length)
        .map(|_| (random.next() % entries as u64) as usize)
        .collect()
}

/// Zipf with the exponent 0.99, ranks scattered over the entries.
pub fn zipf(seed: u64, length: usize, entries: usize) -> Vec<usize> {
    let mut sums = Vec::with_capacity(entries);
    let mut sum = 0.0;
    for rank in 1..=entries {
        sum += 1.0 / (rank as f64).powf(0.99);
        sums.push(sum);
    }
    let mut random = Random(seed);
    (0..length)
        .map(|_| {
            let point = random.share() * sum;
            let rank = sums.partition_point(|reached| *reached < point);
            // A fixed permutation, so that neighbours in rank are none in memory.
            (rank * 48_271 + 11) % entries
        })
        .collect()
}

/// CPU time of this thread.
pub fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    Duration::from_nanos(nanos)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "Machine: {model}, {cores} cores, load {load} at the start. Command: `cargo run --release` in `crates/cache/peers`."
    )
}
