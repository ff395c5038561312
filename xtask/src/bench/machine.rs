//! What the numbers were measured on.

use std::fs;
use std::process::Command;

use crate::process::capture;

/// One line about processor, memory, system and compiler.
pub(super) fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
        .map_or_else(
            || "unknown memory".to_owned(),
            |kb| format!("{:.0} GB of memory", kb as f64 / (1024.0 * 1024.0)),
        );
    let system = fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))
                .map(|name| name.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| std::env::consts::OS.to_owned());
    let compiler = capture(Command::new("rustc").arg("--version")).unwrap_or_default();
    format!(
        "{cores} cores of {processor}, {memory}, {system}, {}",
        compiler.trim()
    )
}

/// How many processes wanted a core over the last minute: what else the
/// machine was doing, when asked before a measurement.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The first value of `name : value` in a file of `/proc`.
fn field(path: &str, name: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Resident memory of a process, in MB.
pub(super) fn resident_mb(id: u32) -> Option<f64> {
    let text = field(&format!("/proc/{id}/status"), "VmRSS")?;
    let kb: f64 = text.trim_end_matches(" kB").parse().ok()?;
    Some(kb / 1024.0)
}
