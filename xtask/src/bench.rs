//! `cargo xtask bench`: measurements whose results stand in `docs/benchmarks`.

mod http;
mod load;
mod machine;
mod peers;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::project::Project;

/// What to measure.
#[derive(Subcommand, Debug)]
pub(crate) enum BenchTask {
    /// The request path beside a bare handler: throughput, latency, memory
    Http(http::HttpArgs),
    /// The resilience primitives beside their peers
    Resilience,
    /// The cache beside its peers
    Cache,
}

/// Measures and writes the page.
pub(crate) fn bench(task: &BenchTask) -> Result<()> {
    let project = Project::open()?;
    let (name, page) = match task {
        BenchTask::Http(args) => ("http", http::measure(&project, args)?),
        BenchTask::Resilience => ("resilience", peers::measure(&project, "resilience")?),
        BenchTask::Cache => ("cache", peers::measure(&project, "cache")?),
    };
    let directory = project.root.join("docs/benchmarks");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.md"));
    std::fs::write(&path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{page}");
    eprintln!("written to docs/benchmarks/{name}.md");
    Ok(())
}
