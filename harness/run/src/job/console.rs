//! Waiting for what a machine's console is to show.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use machine::Machine;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// How long the console may take to show what the guest's kernel has in its log. Most kernels print before the write
/// to the log returns; those that print from a thread of their own are behind for milliseconds.
const CONSOLE_WITHIN: Duration = Duration::from_secs(20);

/// How much longer it may take because the host had no time for the guest.
const STOLEN_MAX: Duration = Duration::from_secs(600);

/// Where nothing tells of changes, the console is looked at as often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tells of changes of a machine's console.
pub(super) struct ConsoleWatch {
    /// None if the host has no more of them to give: what the console says is waited for all the same.
    changes: Option<OwnedFd>,
    tail: Tail<File>,
}

impl ConsoleWatch {
    pub(super) fn begin(machine: &Machine) -> io::Result<ConsoleWatch> {
        ConsoleWatch::of(&machine.console_path())
    }

    fn of(path: &Path) -> io::Result<ConsoleWatch> {
        // The last descriptor of the process is for the file: changes can be done without.
        let tail = Tail::of(File::open(path)?);
        let changes = changes_of(path).ok();
        Ok(ConsoleWatch { changes, tail })
    }

    /// Waits until a line of the console shows something, or nobody writes it any more, or for as long as that may
    /// take, without what the host takes from the guest meanwhile.
    pub(super) fn until(&mut self, stolen: impl Fn() -> Duration, shown: impl Fn(&str) -> bool) {
        self.within(CONSOLE_WITHIN, stolen, shown);
    }

    fn within(&mut self, within: Duration, stolen: impl Fn() -> Duration, shown: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        let mut closed = false;
        while !self.tail.shows(&shown) && !closed {
            let end = begun + within + stolen().min(STOLEN_MAX);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            closed = await_change(self.changes.as_ref(), left);
        }
    }
}

fn changes_of(path: &Path) -> io::Result<OwnedFd> {
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&changes, path, WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE)?;
    Ok(changes)
}

/// Waits until there may be a change; says whether nobody writes any more.
fn await_change(changes: Option<&OwnedFd>, left: Duration) -> bool {
    let mut polled: Vec<PollFd<'_>> = changes
        .iter()
        .map(|changes| PollFd::new(*changes, PollFlags::IN))
        .collect();
    let left = if polled.is_empty() { left.min(LOOK_EVERY) } else { left };
    let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    let _ = rustix::event::poll(&mut polled, Some(&left));
    let mut closed = false;
    if let Some(changes) = changes {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(changes, &mut buffer);
        while let Ok(event) = events.next() {
            closed |= event.events().contains(inotify::ReadFlags::CLOSE_WRITE);
        }
    }
    closed
}

/// A log that grows, of which each line is looked at once: it may be long, and grow all the while.
struct Tail<R> {
    log: R,
    /// The line that had no end at the last look.
    line: Vec<u8>,
}

impl<R: Read> Tail<R> {
    fn of(log: R) -> Tail<R> {
        Tail { log, line: Vec::new() }
    }

    /// Whether what came since the last look shows something in a line. A line without an end is looked at again.
    fn shows(&mut self, shown: impl Fn(&str) -> bool) -> bool {
        let _ = self.log.read_to_end(&mut self.line);
        let found = shown(&String::from_utf8_lossy(&self.line));
        let ended = self
            .line
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.line.drain(..ended);
        found
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    /// Gives a piece at each look, and then its end.
    struct Pieces(RefCell<VecDeque<&'static [u8]>>);

    impl Read for &Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.borrow_mut().pop_front().unwrap_or_default();
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn the_last_descriptor_is_for_the_console() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        assert!(ConsoleWatch::of(&path).is_err());
        std::fs::write(&path, b"boot\nbegin x\n").expect("a file");
        let limit = getrlimit(Resource::Nofile);
        let few = Rlimit {
            current: Some(64),
            ..limit
        };
        setrlimit(Resource::Nofile, few).expect("a limit");
        let mut others: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        others.pop();
        let watch = ConsoleWatch::of(&path);
        setrlimit(Resource::Nofile, limit).expect("the limit");
        let mut watch = watch.expect("a watch without changes");
        assert!(watch.changes.is_none() && watch.tail.shows(|text| text.contains("begin x")));
    }

    #[test]
    fn a_guest_that_was_stopped_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        for (stopped, heard) in [(Duration::from_secs(3600), true), (Duration::ZERO, false)] {
            std::fs::write(&path, b"boot\n").expect("a file");
            let mut watch = ConsoleWatch::of(&path).expect("a watch");
            let shown = Cell::new(false);
            // It goes on once the time for it is over.
            let stolen = || {
                let mut log = OpenOptions::new().append(true).open(&path).expect("the file");
                log.write_all(b"Power down\n").expect("a line");
                stopped
            };
            watch.within(Duration::ZERO, stolen, |text| {
                shown.set(text.contains("Power down"));
                shown.get()
            });
            assert_eq!(shown.get(), heard, "{stopped:?}");
        }
    }

    #[test]
    fn a_host_without_watches_is_looked_at_again_and_again() {
        let long = Duration::from_secs(600);
        assert!(!await_change(None, long));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("console.log");
        assert!(changes_of(&path).is_err());
        let mut log = File::create(&path).expect("a file");
        let changes = changes_of(&path).expect("a watch");
        log.write_all(b"x").expect("a byte");
        assert!(!await_change(Some(&changes), long));
        drop(log);
        assert!(await_change(Some(&changes), long));
    }

    #[test]
    fn a_line_is_looked_at_until_it_has_ended_and_then_no_more() {
        let pieces: [&[u8]; 7] = [b"boot\nbegin", b"", b" x\nta", b"", b"lk", b"", b""];
        let log = Pieces(RefCell::new(pieces.into()));
        let mut tail = Tail::of(&log);
        let mut looks = Vec::new();
        for _ in 0..4 {
            let seen = RefCell::new(String::new());
            let found = tail.shows(|text| {
                *seen.borrow_mut() = text.to_owned();
                text.contains("begin x")
            });
            looks.push((seen.into_inner(), found));
        }
        let expected = [
            ("boot\nbegin", false),
            ("begin x\nta", true),
            ("talk", false),
            ("talk", false),
        ];
        assert_eq!(looks, expected.map(|(text, found)| (text.to_owned(), found)));
    }
}
