//! Log lines leave through a thread of their own, so that a terminal or a
//! collector that stops reading never stops a request.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    time::Duration,
};

/// Lines that may wait; more are dropped and counted.
const WAITING: usize = 8_192;

enum Job {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Takes whole lines and never blocks.
#[derive(Debug, Clone)]
pub struct LogWriter {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

/// Writes what still waits when it is dropped.
#[derive(Debug)]
pub struct WriterGuard {
    jobs: SyncSender<Job>,
}

impl LogWriter {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<(Self, WriterGuard)> {
        let (jobs, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || drain(&waiting, sink, &lost))?;
        let guard = WriterGuard { jobs: jobs.clone() };
        Ok((Self { jobs, dropped }, guard))
    }

    /// Hands over one line; drops and counts it when too many wait.
    pub fn line(&self, line: Vec<u8>) {
        if self.jobs.try_send(Job::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// For the text format, whose formatter writes whole lines.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drain(waiting: &Receiver<Job>, mut sink: impl Write, dropped: &AtomicU64) {
    while let Ok(job) = waiting.recv() {
        // A sink that is gone, such as a closed pipe, must not end the process.
        match job {
            Job::Line(line) => {
                let _ = sink.write_all(&line);
            }
            Job::Flush(done) => {
                let _ = sink.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                sink,
                r#"{{"level":"WARNING","target":"mainstay","message":"log lines were dropped because the sink is slow","count":{lost}}}"#
            );
        }
    }
    let _ = sink.flush();
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        let (done, flushed) = channel();
        if self.jobs.try_send(Job::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(Duration::from_secs(1));
        }
    }
}
