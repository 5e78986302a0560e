//! Writes the trace. Lines are collected until [`Writer::flush`], which the device calls whenever it is about to wait,
//! or until there are many.
//!
//! A file that takes no more (a full disk) neither stops the device nor is passed over: lines wait in memory up to a
//! bound, those after it are lost and counted, and once the file takes lines again it says how many are missing there.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vhost_blk_api::trace::Record;

use super::line;
use super::tap::{Listener, Taps};

/// Bytes that are written at once.
const PIECE_BYTES: usize = 128 << 10;
/// Bytes that wait at most for a file that takes none.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// While lines are lost: one in so many tries the file again.
const TRY_AGAIN: u64 = 4096;

/// Where the trace goes; without a file it goes nowhere and costs nothing.
#[derive(Debug)]
pub struct Writer {
    started: Instant,
    file: Option<Mutex<Sink<File>>>,
    taps: Taps,
}

#[derive(Debug)]
struct Sink<W> {
    out: W,
    /// Lines that are not written yet; the first may lack its beginning, which is written.
    waiting: Vec<u8>,
    /// Whether the last try failed.
    failing: bool,
    /// Lines that were lost since the last one that was kept.
    missed: u64,
    /// Lines that were lost.
    lost: u64,
    /// Lines that were to be written, the lost ones included.
    told: u64,
}

impl Writer {
    /// Creates the file, emptying an older one; `None` writes nothing.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: Option<&Path>, started: Instant) -> std::io::Result<Writer> {
        let file = path.map(File::create).transpose()?;
        Ok(Writer {
            started,
            file: file.map(|file| Mutex::new(Sink::new(file))),
            taps: Taps::default(),
        })
    }

    /// Microseconds since the start.
    #[must_use]
    pub(crate) fn t_us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the start, now.
    #[must_use]
    pub(crate) fn now_us(&self) -> u64 {
        self.t_us(Instant::now())
    }

    /// Listens to what is written from now on.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub(crate) fn listen(&self) -> std::io::Result<Listener<'_>> {
        self.taps.add()
    }

    /// Lines that the file did not take.
    #[must_use]
    pub(crate) fn lost(&self) -> u64 {
        let Some(sink) = &self.file else { return 0 };
        sink.lock().unwrap_or_else(PoisonError::into_inner).lost
    }

    /// Adds a line; `record` is not called when nobody reads.
    pub(crate) fn write(&self, record: impl FnOnce() -> Record) {
        let heard = self.taps.any();
        if self.file.is_none() && !heard {
            return;
        }
        let sink = self
            .file
            .as_ref()
            .map(|sink| sink.lock().unwrap_or_else(PoisonError::into_inner));
        let mut record = record();
        if let (Record::Mark { records, .. }, Some(sink)) = (&mut record, &sink) {
            *records = Some(sink.told);
        }
        // The file's lock stays taken until all are told, so that everybody has the lines in one order.
        if heard {
            let mut line = Vec::new();
            if line::write(&mut line, &record).is_ok() {
                self.taps.tell(&line);
            }
        }
        if let Some(mut sink) = sink {
            sink.add(&record, || self.now_us());
        }
    }

    /// Hands everything to the kernel.
    pub(crate) fn flush(&self) {
        let Some(sink) = &self.file else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.flush(|| self.now_us());
    }

    /// The same, for the last time: returns how many lines the file lacks, those included for which it has no room now.
    #[must_use]
    pub(crate) fn end(&self) -> u64 {
        self.flush();
        let Some(sink) = &self.file else { return 0 };
        let sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = sink.waiting.iter().filter(|byte| **byte == b'\n').count();
        sink.lost.saturating_add(waiting as u64)
    }
}

impl<W: Write> Sink<W> {
    fn new(out: W) -> Sink<W> {
        Sink {
            out,
            waiting: Vec::with_capacity(2 * PIECE_BYTES),
            failing: false,
            missed: 0,
            lost: 0,
            told: 0,
        }
    }

    fn add(&mut self, record: &Record, now_us: impl FnOnce() -> u64) {
        self.told += 1;
        let full = self.waiting.len() >= WAITING_BYTES_MAX;
        if if full {
            self.missed.is_multiple_of(TRY_AGAIN)
        } else {
            self.waiting.len() >= PIECE_BYTES && !self.failing
        } {
            self.flush(now_us);
        }
        let length = self.waiting.len();
        if length >= WAITING_BYTES_MAX || line::write(&mut self.waiting, record).is_err() {
            self.waiting.truncate(length);
            self.missed += 1;
            self.lost += 1;
        }
    }

    fn flush(&mut self, now_us: impl FnOnce() -> u64) {
        if self.drain() && self.missed > 0 {
            let missed = Record::Missed {
                t_us: now_us(),
                lines: std::mem::take(&mut self.missed),
            };
            // A vector takes everything.
            let _ = line::write(&mut self.waiting, &missed);
            self.drain();
        }
    }

    /// Writes what waits, as far as it goes; whether that was all.
    fn drain(&mut self) -> bool {
        let mut written = 0;
        let mut problem = None;
        while let Some(rest) = self.waiting.get(written..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => {
                    problem = Some(ErrorKind::WriteZero.into());
                    break;
                }
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            }
        }
        self.waiting.drain(..written);
        if let Some(error) = &problem
            && !self.failing
        {
            crate::say!(
                "cannot write the trace: {error}: the device goes on, lines that are lost are counted in `stats`"
            );
        }
        self.failing = problem.is_some();
        problem.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with room for so many bytes.
    #[derive(Default)]
    struct Narrow {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn mark(number: u64) -> Record {
        Record::Mark {
            t_us: number,
            name: "m".repeat(200),
            records: None,
            disk_bytes: None,
        }
    }

    #[test]
    fn lines_that_find_no_room_are_counted_and_the_file_says_where_they_are_missing() {
        let mut sink = Sink::new(Narrow {
            room: 1000,
            ..Narrow::default()
        });
        for number in 0..20_000 {
            sink.add(&mark(number), || 0);
        }
        sink.flush(|| 0);
        assert!(sink.failing);
        assert!(sink.waiting.len() < WAITING_BYTES_MAX + 1000, "memory is bounded");
        let lost = sink.lost;
        assert!(lost > 0);
        sink.out.room = usize::MAX;
        sink.flush(|| 7);
        sink.add(&mark(20_000), || 0);
        sink.flush(|| 8);
        let text = String::from_utf8(sink.out.bytes).expect("text");
        let records: Vec<Record> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("whole lines"))
            .collect();
        let kept = records.len() - 2;
        assert_eq!(kept as u64 + lost, 20_000);
        assert_eq!(records[kept], Record::Missed { t_us: 7, lines: lost });
        assert!(matches!(records[kept - 1], Record::Mark { t_us, .. } if t_us == kept as u64 - 1));
        assert!(matches!(records[kept + 1], Record::Mark { t_us: 20_000, .. }));
    }

    #[test]
    fn nothing_is_lost_while_the_file_takes_it() {
        let mut sink = Sink::new(Vec::new());
        for number in 0..50_000 {
            sink.add(&mark(number), || 0);
        }
        sink.flush(|| 0);
        assert_eq!(sink.lost, 0);
        assert_eq!(sink.out.iter().filter(|byte| **byte == b'\n').count(), 50_000);
    }
}
