//! What the kernel knows about this process, read when it is asked for.

/// Resident memory in bytes and open file descriptors; `None` where `/proc`
/// cannot be read.
pub(super) fn usage() -> (Option<u64>, Option<u64>) {
    let resident = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        })
        .map(|kib| kib * 1024);
    // The listing itself holds one descriptor open.
    let descriptors = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|entries| (entries.count() as u64).saturating_sub(1));
    (resident, descriptors)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_living_process_has_memory_and_descriptors() {
        let (resident, descriptors) = super::usage();
        assert!(resident.unwrap() > 100_000);
        assert!(descriptors.unwrap() >= 2);
    }
}
