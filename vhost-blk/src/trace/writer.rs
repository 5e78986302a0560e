//! Writes the trace. A line is buffered until [`Writer::flush`], which the device calls whenever it is about to wait.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Record;

/// Where the trace goes; without a file it goes nowhere and costs nothing.
#[derive(Debug)]
pub struct Writer {
    started: Instant,
    file: Option<Mutex<Sink>>,
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

    /// Adds a line; `record` is not called when nobody reads.
    pub fn write(&self, record: impl FnOnce() -> Record) {
        let Some(sink) = &self.file else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        if !sink.broken {
            let line = serde_json::to_writer(&mut sink.out, &record()).map_err(std::io::Error::from);
            let written = line.and_then(|()| sink.out.write_all(b"\n"));
            sink.check(written);
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

impl Sink {
    fn check(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.broken = true;
            anstream::eprintln!("vhost-blk: cannot write the trace: {error}: the trace ends here, the device goes on");
        }
    }
}
