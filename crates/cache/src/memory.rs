//! How much memory there is to be had.

use std::fs;

/// Whether `bytes` more would leave at least a tenth of the memory free that
/// the machine and the container allow. Where nobody tells, they would not.
pub(crate) fn allows(bytes: usize) -> bool {
    let Some((total, available)) = machine() else {
        return false;
    };
    let (total, available) = match container() {
        Some((limit, free)) if limit < total => (limit, available.min(free)),
        _ => (total, available),
    };
    available.saturating_sub(bytes as u64) >= total / 10
}

/// Total and available bytes of the machine.
fn machine() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

/// The limit of the control group and what is left of it.
fn container() -> Option<(u64, u64)> {
    let number = |path: &str| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
    let limit = number("/sys/fs/cgroup/memory.max")?;
    let used = number("/sys/fs/cgroup/memory.current")?;
    Some((limit, limit.saturating_sub(used)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_fits_always_and_everything_never() {
        if super::machine().is_some() {
            assert!(!super::allows(usize::MAX));
        }
    }
}
