//! An answer that survives a reload: `cargo run -p mainstay-realtime --example reload`.
//!
//! A writer produces an answer word by word. A reader shows it, "reloads" in
//! the middle, and comes back with the number of the last event that it saw. A
//! second reader joins late. Both end up with the same text, written once.
#![allow(clippy::print_stdout, reason = "an example is there to be read")]

use mainstay_realtime::{Read, RunEvent, RunReader, RunWriter, Runs, RunsConfig};
use mainstay_resilience::system_clock;
use std::{error::Error, time::Duration};

#[derive(Debug, Clone)]
enum Piece {
    Delta(&'static str),
    Done,
}

impl RunEvent for Piece {
    fn size(&self) -> usize {
        match self {
            Self::Delta(text) => text.len() + 16,
            Self::Done => 16,
        }
    }
}

const ANSWER: [&str; 6] = ["Streams ", "that ", "survive ", "a ", "reload", "."];

async fn write(mut writer: RunWriter<&'static str, Piece>) -> Result<(), Box<dyn Error>> {
    for word in ANSWER {
        tokio::time::sleep(Duration::from_millis(50)).await;
        writer.append(Piece::Delta(word))?;
    }
    writer.finish(Piece::Done);
    Ok(())
}

/// Shows what comes until the end or until `enough` words were seen.
async fn show(name: &str, mut reader: RunReader<Piece>, enough: usize) -> u64 {
    let mut seen = 0;
    while seen < enough {
        match reader.next().await {
            Some(Read::Event { seq, event }) => println!("{name}: {seq} {event:?}"),
            Some(Read::Abandoned) => println!("{name}: the writer went away"),
            None => break,
        }
        seen += 1;
    }
    reader.position()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let runs = Runs::new(RunsConfig::default(), system_clock());
    let writer = runs.start("answer-1")?;
    let attach = |after| runs.attach(&"answer-1", after).ok_or("the run is unknown");

    let first_tab = async {
        let position = show("first tab", attach(None)?, 3).await;
        println!("first tab: reloads after event {position}");
        show("first tab", attach(Some(position))?, usize::MAX).await;
        Ok::<_, Box<dyn Error>>(())
    };
    let second_tab = async {
        tokio::time::sleep(Duration::from_millis(220)).await;
        show("second tab", attach(None)?, usize::MAX).await;
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::try_join!(write(writer), first_tab, second_tab)?;
    Ok(())
}
