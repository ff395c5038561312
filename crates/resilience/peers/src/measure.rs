//! Samples and medians.

use std::{
    fs,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::rows::Row;

/// Nanoseconds for each call.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    pub one: Vec<f64>,
    pub two: Vec<f64>,
    pub thrown_away: usize,
}

/// About how long a sample takes: short enough to be left alone by the
/// scheduler, long enough for the clock.
const SAMPLE: Duration = Duration::from_micros(250);

struct Timed {
    start: Instant,
    end: Instant,
    interrupted: bool,
}

pub fn measure(rows: &[Row], rounds: usize, runtime: &tokio::runtime::Handle) -> Vec<Figures> {
    let _entered = runtime.enter();
    let calls: Vec<u64> = rows.iter().map(calibrate).collect();
    let mut figures = vec![Figures::default(); rows.len()];
    for _ in 0..rounds {
        for (index, row) in rows.iter().enumerate() {
            let (calls, figures) = (calls[index], &mut figures[index]);
            let one = timed(row, calls);
            if one.interrupted {
                figures.thrown_away += 1;
            } else {
                figures.one.push(per_call(&one, calls));
            }
            match together(row, calls, runtime) {
                Some(two) => figures.two.push(two),
                None => figures.thrown_away += 1,
            }
        }
    }
    figures
}

fn calibrate(row: &Row) -> u64 {
    (row.run)(1000);
    let mut calls = 100;
    loop {
        let start = Instant::now();
        (row.run)(calls);
        let took = start.elapsed();
        if took > SAMPLE / 2 {
            let wanted = calls as f64 * SAMPLE.as_secs_f64() / took.as_secs_f64();
            return (wanted as u64).max(10);
        }
        calls *= 2;
    }
}

fn timed(row: &Row, calls: u64) -> Timed {
    let before = interruptions();
    let start = Instant::now();
    (row.run)(calls);
    let end = Instant::now();
    Timed {
        start,
        end,
        interrupted: interruptions() != before,
    }
}

/// Times this thread was taken off its processor against its will.
fn interruptions() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find(|line| line.starts_with("nonvoluntary_ctxt_switches"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn per_call(timed: &Timed, calls: u64) -> f64 {
    (timed.end - timed.start).as_nanos() as f64 / calls as f64
}

/// The mean of two threads that ran at the same time; nothing when they did
/// not, or were interrupted.
fn together(row: &Row, calls: u64, runtime: &tokio::runtime::Handle) -> Option<f64> {
    let barrier = Barrier::new(2);
    let arrived = AtomicUsize::new(0);
    let work = || {
        let _entered = runtime.enter();
        barrier.wait();
        // Threads leave a barrier one after the other; from here they spin.
        arrived.fetch_add(1, Ordering::SeqCst);
        let patience = Instant::now();
        while arrived.load(Ordering::SeqCst) < 2 && patience.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        timed(row, calls)
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mine = work();
        (mine, other.join())
    });
    let second = second.ok()?;
    let overlap = first
        .end
        .min(second.end)
        .saturating_duration_since(first.start.max(second.start));
    let longest = (first.end - first.start).max(second.end - second.start);
    let overlapped = overlap.as_secs_f64() > 0.9 * longest.as_secs_f64();
    if first.interrupted || second.interrupted || !overlapped {
        return None;
    }
    Some((per_call(&first, calls) + per_call(&second, calls)) / 2.0)
}

/// The middle one.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
