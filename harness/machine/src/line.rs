//! The host's end of the second serial port (`ttyS1`), over which the guest's program and the harness speak.
//!
//! A thread reads, and every line is kept in a log as it came, before anybody interprets it: evidence must not depend
//! on our being able to read it. What a line means is up to who is on the other end: [`agent`](crate::agent) for the
//! tests'.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a guest that stopped reading may block the harness.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a line; the longest that our agent sends is a part of its kernel's log, of half a megabyte. Of a longer one
/// this much arrives, which nobody understands.
const LINE_MAX: u64 = 4 << 20;
/// Lines that may wait to be read; then the guest waits.
const LINES_MAX: usize = 1024;
/// Lines that are read one after another although the time for them is over. So many may wait, here and in QEMU; what
/// still comes then will not end.
const LATE_MAX: usize = 16 * LINES_MAX;

/// What arrives from the guest.
#[derive(Debug)]
pub enum Arrival {
    /// A line, with its end.
    Text(String),
    /// QEMU closed the line: it is gone or going.
    Closed,
}

/// The line to a guest's program.
pub struct Line {
    writer: UnixStream,
    arrivals: Receiver<String>,
    /// How many lines in a row were asked for after their time.
    late: usize,
}

impl Line {
    /// Begins to read, and to keep what arrives in `log`.
    pub(crate) fn open(stream: UnixStream, log: File) -> io::Result<Line> {
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        let reader = BufReader::new(stream.try_clone()?);
        let (sender, arrivals) = sync_channel(LINES_MAX);
        // It ends with QEMU, or when nobody listens any more.
        thread::Builder::new()
            .name("line".into())
            .spawn(move || forward(reader, log, &sender))?;
        Ok(Line {
            writer: stream,
            arrivals,
            late: 0,
        })
    }

    /// The next line from the guest, or `None` at `deadline`. What waits is read after that, too, but not for ever.
    pub fn next_text(&mut self, deadline: Instant) -> Option<Arrival> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.late = if left.is_zero() { self.late + 1 } else { 0 };
        if self.late > LATE_MAX {
            self.late = 0;
            return None;
        }
        match self.arrivals.recv_timeout(left) {
            Ok(text) => Some(Arrival::Text(text)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Arrival::Closed),
        }
    }

    /// Sends a text, which brings its line end along.
    ///
    /// # Errors
    /// QEMU went away, or the guest stopped reading.
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())
    }
}

fn forward(mut reader: BufReader<UnixStream>, mut log: File, sender: &SyncSender<String>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _ = log.write_all(&line);
        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
        // The rest of a line that is too long. QEMU is still there, so the end of the line is not that of the talk.
        while line.len() as u64 == LINE_MAX && !line.ends_with(b"\n") {
            line.clear();
            match reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_in_order_and_in_the_log_until_the_other_end_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut line = Line::open(ours, File::create(&log).unwrap()).unwrap();
        assert!(line.next_text(Instant::now()).is_none());
        theirs.write_all(b"one\ntw\xff\n").unwrap();
        line.send_text("order\n").unwrap();
        let mut order = String::new();
        BufReader::new(theirs.try_clone().unwrap())
            .read_line(&mut order)
            .unwrap();
        assert_eq!(order, "order\n");
        theirs.shutdown(std::net::Shutdown::Both).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut texts = Vec::new();
        while let Some(Arrival::Text(text)) = line.next_text(deadline) {
            texts.push(text);
        }
        assert_eq!(texts, ["one\n", "tw\u{fffd}\n"]);
        assert!(matches!(line.next_text(deadline), Some(Arrival::Closed)));
        assert_eq!(std::fs::read(&log).unwrap(), b"one\ntw\xff\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_a_guest_that_nobody_listens_to_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut line = Line::open(ours, File::create(dir.path().join("log")).unwrap()).unwrap();
        let talks = thread::spawn(move || {
            let mut theirs = &theirs;
            for _ in 0..4 * LINES_MAX {
                theirs.write_all(b"word\n")?;
            }
            // Longer than any line.
            io::copy(&mut io::repeat(b'x').take(2 * LINE_MAX + 7), &mut theirs)?;
            theirs.write_all(b"\nlast\n")
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut lengths = Vec::new();
        while let Some(Arrival::Text(text)) = line.next_text(deadline) {
            lengths.push(text.len() as u64);
        }
        assert_eq!(lengths.len(), 4 * LINES_MAX + 2);
        assert_eq!(lengths.last_chunk(), Some(&[LINE_MAX, 5]));
        drop(line);
        let _ = talks.join().unwrap();
    }

    #[test]
    fn what_waits_is_read_after_its_time_but_not_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut line = Line::open(ours, File::create(dir.path().join("log")).unwrap()).unwrap();
        let (past, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        for _ in 0..LATE_MAX {
            theirs.write_all(b"word\n").unwrap();
            while line.next_text(past).is_none() {
                thread::yield_now();
                line.late -= 1;
            }
        }
        theirs.write_all(b"word\n").unwrap();
        assert!(line.next_text(past).is_none());
        assert!(line.next_text(later).is_some());
        assert_eq!(line.late, 0);
    }
}
