//! The scripted AI upstream of the testkit: by hand, and behind `dev` and the benchmarks.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::process::{Service, Signal, guarded, run_ok};
use crate::project::{self, Project};
use crate::report::step;
use crate::servers::free_port;
use crate::test::cargo;

/// How to run it.
#[derive(Args, Debug)]
pub(crate) struct UpstreamArgs {
    /// Arguments for the program itself; `-- --help` shows them
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs the upstream in the foreground.
pub(crate) fn upstream(args: &UpstreamArgs) -> Result<()> {
    let root = project::root()?;
    run_ok(
        cargo(&root)
            .args(["run", "--quiet", "--package", "mainstay-testkit"])
            .args(["--bin", "mainstay-upstream", "--"])
            .args(&args.arguments),
    )
}

/// A scripted upstream that runs in the background; stopped when dropped.
pub(crate) struct Upstream {
    _service: Service,
    address: String,
}

impl Upstream {
    /// Builds and starts it on a free port.
    pub(crate) fn start(project: &Project, log: &Path) -> Result<Self> {
        step("build the scripted AI", || {
            run_ok(cargo(&project.root).args([
                "build",
                "--package",
                "mainstay-testkit",
                "--bin",
                "mainstay-upstream",
            ]))
        })?;
        let target = project::metadata(&project.root)?.target_directory;
        let port = free_port()?;
        let mut command = guarded(target.join("debug/mainstay-upstream"), Signal::TERM);
        command.args(["--port", &port.to_string()]);
        let mut service = Service::start(
            "the scripted AI",
            command,
            Some(log),
            Signal::TERM,
            Duration::from_secs(5),
        )?;
        service.wait_until(Duration::from_secs(20), || {
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        })?;
        Ok(Self {
            _service: service,
            address: format!("http://127.0.0.1:{port}"),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}
