//! The load generator: oha, installed as a tool, never linked.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::nextest::install;
use crate::process::{capture, capture_output};
use crate::project::Project;
use crate::report::step;

/// What one run measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Answers per second.
    pub(super) rate: f64,
    /// Median latency in milliseconds.
    pub(super) p50: f64,
    /// 99th percentile of the latency in milliseconds.
    pub(super) p99: f64,
}

/// One endpoint under load.
pub(super) struct Target<'a> {
    /// The whole address.
    pub(super) url: &'a str,
    /// The bearer token.
    pub(super) token: &'a str,
    /// The body that is posted again and again.
    pub(super) body: &'a str,
}

/// The program, ready to run.
pub(super) struct Generator {
    program: PathBuf,
}

impl Generator {
    /// Finds oha on PATH or among our tools, installing it there when it is missing.
    pub(super) fn find_or_install(project: &Project) -> Result<Self> {
        let ours = project.root.join(".mainstay/tools/bin/oha");
        for program in [PathBuf::from("oha"), ours.clone()] {
            if capture(Command::new(&program).arg("--version")).is_ok() {
                return Ok(Self { program });
            }
        }
        let installed = step(
            "install the load generator oha into .mainstay/tools",
            || install(&project.root, "oha"),
        )?;
        if !installed {
            bail!("oha could not be installed; run `cargo install --locked oha` and try again");
        }
        Ok(Self { program: ours })
    }

    /// As many requests as come back, over this many connections, for this many seconds.
    pub(super) fn saturate(
        &self,
        target: &Target<'_>,
        connections: u32,
        seconds: u32,
    ) -> Result<Measured> {
        self.run(target, connections, seconds, &[])
    }

    /// A fixed rate. Latency is counted from when a request was due, so a
    /// stalled server cannot hide behind requests that were never sent.
    pub(super) fn at_rate(
        &self,
        target: &Target<'_>,
        connections: u32,
        seconds: u32,
        rate: f64,
    ) -> Result<Measured> {
        let rate = format!("{rate:.0}");
        self.run(
            target,
            connections,
            seconds,
            &["-q", &rate, "--latency-correction"],
        )
    }

    fn run(
        &self,
        target: &Target<'_>,
        connections: u32,
        seconds: u32,
        further: &[&str],
    ) -> Result<Measured> {
        let mut command = self.command(target, connections);
        command
            .args(["-z", &format!("{seconds}s"), "-w", "-d", target.body])
            .args(further)
            .arg(target.url);
        parse(&capture_output(&mut command)?)
    }

    fn command(&self, target: &Target<'_>, connections: u32) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--no-tui", "--output-format", "json", "-m", "POST"])
            // Both sides send plain bytes, so that the ratio is not about gzip.
            .args(["--disable-compression", "-c", &connections.to_string()])
            .args(["-H", &format!("Authorization: Bearer {}", target.token)])
            .args(["-H", "Content-Type: application/json"]);
        command
    }
}

/// Reads oha's JSON; anything but successful answers spoils a measurement.
fn parse(text: &str) -> Result<Measured> {
    let report: Value = serde_json::from_str(text).context("oha printed no JSON")?;
    let others: Vec<String> = report["statusCodeDistribution"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(status, _)| !status.starts_with('2'))
        .map(|(status, count)| format!("{count} times {status}"))
        .chain(
            report["errorDistribution"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(error, count)| format!("{count} times {error}")),
        )
        .collect();
    if !others.is_empty() {
        bail!("the load met more than successes: {}", others.join(", "));
    }
    let number = |value: &Value, name: &str| {
        value
            .as_f64()
            .with_context(|| format!("oha reported no {name}"))
    };
    Ok(Measured {
        rate: number(&report["summary"]["requestsPerSec"], "rate")?,
        p50: number(&report["latencyPercentiles"]["p50"], "p50")? * 1000.0,
        p99: number(&report["latencyPercentiles"]["p99"], "p99")? * 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_in_milliseconds() {
        let text = r#"{"summary":{"requestsPerSec":1234.5},
            "latencyPercentiles":{"p50":0.001,"p99":0.0042},
            "statusCodeDistribution":{"200":10},"errorDistribution":{}}"#;
        let measured = parse(text).unwrap();
        assert_eq!(measured.rate, 1234.5);
        assert_eq!(measured.p99, 4.2);
    }

    #[test]
    fn refusals_spoil_a_measurement() {
        let text = r#"{"summary":{"requestsPerSec":9.0},"latencyPercentiles":{"p50":1,"p99":1},
            "statusCodeDistribution":{"200":10,"429":3},"errorDistribution":{}}"#;
        assert!(parse(text).unwrap_err().to_string().contains("429"));
    }
}
