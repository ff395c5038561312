//! The figures as a page.

use std::{fmt::Write, fs, io, path::Path};

use crate::{
    measure::{Figures, median},
    rows::{NO_OP, Row, TIMEOUT},
};

const BEGIN: &str = "<!-- figures: written by the benchmark -->";
const END: &str = "<!-- end of figures -->";

pub fn markdown(rows: &[Row], figures: &[Figures]) -> String {
    let one = |name: &str| {
        let index = rows.iter().position(|row| row.name == name)?;
        median(&figures.get(index)?.one)
    };
    let (no_op, timeout) = (one(NO_OP).unwrap_or(1.0), one(TIMEOUT).unwrap_or(1.0));
    let mut text = String::new();
    let mut group = "";
    for (row, figures) in rows.iter().zip(figures) {
        if row.group != group {
            group = row.group;
            let _ = write!(
                text,
                "\n### {group}\n\n\
                 | | 1 thread, ns | 2 threads, ns | 2 / 1 | × async no-op | × tokio timeout |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: |\n"
            );
        }
        let (Some(one), Some(two)) = (median(&figures.one), median(&figures.two)) else {
            let _ = writeln!(
                text,
                "| {} | too few undisturbed samples | | | | |",
                row.name
            );
            continue;
        };
        let _ = writeln!(
            text,
            "| {} | {one:.1} | {two:.1} | {:.2} | {:.1} | {:.2} |",
            row.name,
            two / one,
            one / no_op,
            one / timeout,
        );
    }
    let kept: usize = figures.iter().map(|f| f.one.len() + f.two.len()).sum();
    let thrown: usize = figures.iter().map(|f| f.thrown_away).sum();
    let _ = writeln!(
        text,
        "\n{kept} samples kept, {thrown} disturbed ones thrown away."
    );
    text
}

/// Exchanges the figures in a page and leaves the rest of it alone.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let page = fs::read_to_string(path)?;
    let (Some(begin), Some(end)) = (page.find(BEGIN), page.find(END)) else {
        return Err(io::Error::other(format!(
            "{} has no place for figures",
            path.display()
        )));
    };
    let head = &page[..begin + BEGIN.len()];
    fs::write(path, format!("{head}\n{text}\n{}", &page[end..]))
}
