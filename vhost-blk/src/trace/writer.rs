//! Writes the trace. A line is buffered until [`Writer::flush`], which the device calls whenever it is about to wait.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Record;
use super::tap::{Heard, Taps};

/// Where the trace goes; without a file it goes nowhere and costs nothing.
#[derive(Debug)]
pub struct Writer {
    started: Instant,
    file: Option<Mutex<Sink>>,
    taps: Taps,
}

#[derive(Debug)]
struct Sink {
    out: BufWriter<File>,
    /// A full disk is told once, on stderr; the device goes on, for a guest must not hang for want of a log.
    broken: bool,
}

impl Writer {
    /// Creates the file, emptying an older one; `None` writes nothing.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: Option<&Path>, started: Instant) -> std::io::Result<Writer> {
        let sink = |path| {
            File::create(path).map(|file| {
                Mutex::new(Sink {
                    out: BufWriter::new(file),
                    broken: false,
                })
            })
        };
        Ok(Writer {
            started,
            file: path.map(sink).transpose()?,
            taps: Taps::default(),
        })
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn t_us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the start, now.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.t_us(Instant::now())
    }

    /// Listens to what is written from now on.
    #[must_use]
    pub fn listen(&self) -> Receiver<Heard> {
        self.taps.add()
    }

    /// Adds a line; `record` is not called when nobody reads.
    pub fn write(&self, record: impl FnOnce() -> Record) {
        let heard = self.taps.any();
        let file = self
            .file
            .as_ref()
            .map(|sink| sink.lock().unwrap_or_else(PoisonError::into_inner));
        let mut line = Vec::new();
        match file {
            None if !heard => {}
            Some(mut sink) if !heard => {
                if !sink.broken {
                    let written = line_to(&mut sink.out, &record());
                    sink.check(written);
                }
            }
            // The file's lock stays taken until all are told, so that everybody has the lines in one order.
            sink => {
                // A vector takes everything.
                let _ = line_to(&mut line, &record());
                self.taps.tell(&line);
                if let Some(mut sink) = sink.filter(|sink| !sink.broken) {
                    let written = sink.out.write_all(&line);
                    sink.check(written);
                }
            }
        }
    }

    /// Hands everything to the kernel.
    pub fn flush(&self) {
        let Some(sink) = &self.file else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        if !sink.broken && !sink.out.buffer().is_empty() {
            let flushed = sink.out.flush();
            sink.check(flushed);
        }
    }
}

fn line_to(out: &mut impl Write, record: &Record) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

impl Sink {
    fn check(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.broken = true;
            anstream::eprintln!("vhost-blk: cannot write the trace: {error}: the trace ends here, the device goes on");
        }
    }
}
