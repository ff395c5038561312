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
    let busy = machine::load();
    let (name, page) = match task {
        BenchTask::Http(args) => ("http", http::measure(&project, args)?),
        BenchTask::Resilience => ("resilience", peers::measure(&project, "resilience")?),
        BenchTask::Cache => ("cache", peers::measure(&project, "cache")?),
    };
    let page = format!(
        "{page}\n---\n`cargo xtask bench {name}` on {}; the load average before it was {busy}.\n",
        machine::describe()
    );
    let directory = project.root.join("docs/benchmarks");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.md"));
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, place(&stored, &page))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{page}");
    eprintln!("written to docs/benchmarks/{name}.md");
    Ok(())
}

const BEGIN: &str = "<!-- figures: written by the benchmark -->\n";
const END: &str = "<!-- end of figures -->";

/// Puts figures between the marks of a page that explains them, or makes them the whole page.
fn place(stored: &str, figures: &str) -> String {
    let explained = stored.split_once(BEGIN).and_then(|(before, rest)| {
        let (_old, after) = rest.split_once(END)?;
        Some(format!(
            "{before}{BEGIN}\n{}\n\n{END}{after}",
            figures.trim()
        ))
    });
    explained.unwrap_or_else(|| figures.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_figures_and_leave_the_words() {
        let page = format!("# Words\n\n{BEGIN}\nold\n\n{END}\n\nMore words.\n");
        let once = place(&page, "new\n");
        assert!(!once.contains("old"), "{once}");
        assert!(
            once.starts_with("# Words") && once.ends_with("More words.\n"),
            "{once}"
        );
        assert_eq!(place(&once, "new\n"), once);
        assert_eq!(place("", "# Page\n"), "# Page\n");
    }
}
