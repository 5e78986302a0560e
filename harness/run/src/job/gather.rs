//! What a job left behind, from every place where it left something. What cannot be had is said to be lost, and never
//! taken for empty.

use std::time::{Duration, Instant};

use evidence::context::{Clocks, Offset};
use evidence::parts::{Earlier, LostPart, Owner, Timed, begin_mark, end_mark};
use guest_wire::Event;
use machine::Machine;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use vhost_blk_api::control::Command;
use vhost_blk_api::trace::{self, Record};

/// How long the console may take to show what the guest's kernel has in its log. Most kernels print before the write
/// to the log returns; those that print from a thread of their own are behind for milliseconds.
const CONSOLE_WITHIN: Duration = Duration::from_secs(20);
/// How long after the begin mark the agent may say that the job begins, in microseconds.
const BEGIN_WITHIN_US: u64 = 20_000;

/// How far a machine's console has been read, and to whom what comes next belongs.
#[derive(Debug)]
pub struct ConsolePlace {
    read: usize,
    owner: Owner,
}

impl ConsolePlace {
    /// That of a machine that has run nothing yet.
    #[must_use]
    pub fn of_boot() -> ConsolePlace {
        ConsolePlace {
            read: 0,
            owner: Owner::Boot,
        }
    }

    /// What the console has since the last look: what came before the case, and the case's own. Without the case's
    /// mark all is its own.
    pub(super) fn take(&mut self, machine: &Machine, case: &str) -> std::io::Result<(Option<Earlier>, String)> {
        let bytes = machine.console_log()?;
        let new = String::from_utf8_lossy(bytes.get(self.read..).unwrap_or_default());
        let owner = std::mem::replace(&mut self.owner, Owner::Case(case.to_owned()));
        self.read = bytes.len();
        Ok(match mark_at(&new, &format!("begin {case}")) {
            Some(at) => {
                let (before, own) = new.split_at(at);
                let earlier = Earlier {
                    owner,
                    text: before.to_owned(),
                };
                (Some(earlier), own.to_owned())
            }
            None => (None, new.into_owned()),
        })
    }
}

/// Where the line of a mark begins.
fn mark_at(log: &str, mark: &str) -> Option<usize> {
    let mark = format!("bioscope: {mark}");
    let mut at = 0;
    for line in log.split_inclusive('\n') {
        if line.trim_end().ends_with(&mark) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Waits until the console shows the mark at which a case ends.
pub(super) fn await_console(machine: &Machine, case: &str) {
    let deadline = Instant::now() + CONSOLE_WITHIN;
    let shown = || {
        let bytes = machine.console_log().unwrap_or_default();
        mark_at(&String::from_utf8_lossy(&bytes), &format!("end {case}")).is_some()
    };
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .and_then(|watch| inotify::add_watch(&watch, machine.console_path(), WatchFlags::MODIFY).map(|_| watch));
    // What is not shown is missed by the judge; here it is only waited for.
    let Ok(watch) = watch else { return };
    while !shown() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let _ = rustix::event::poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&left));
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {}
    }
}

/// The trace from a case's begin mark to its end mark, which is made here.
pub(super) fn trace(machine: &mut Machine, case: &str) -> Result<Vec<Record>, LostPart> {
    // A device that is gone has flushed what it could, and the trace has no end.
    let _ = machine.device().call("mark", &Command::Mark { name: end_mark(case) });
    let _ = machine.device().call("flush-trace", &Command::FlushTrace);
    let lost = |why: String| LostPart {
        part: "trace.jsonl".to_owned(),
        why,
    };
    let records = trace::read(&machine.device().trace).map_err(|error| lost(exit::on_one_line(&error)))?;
    let place = |mark: String| {
        records
            .iter()
            .rposition(|record| matches!(record, Record::Mark { name, .. } if *name == mark))
    };
    let end = place(end_mark(case)).map_or(records.len(), |end| end + 1);
    Ok(place(begin_mark(case)).map_or_else(Vec::new, |start| records.get(start..end).unwrap_or_default().to_vec()))
}

/// What makes the cell's times comparable. `marked` is when the device was told of the begin mark, and when it had
/// done so, in microseconds of host time; the guest's events have their host time themselves.
pub(super) fn clocks(events: &[Timed], trace: &[Record], marked: (u64, u64)) -> Clocks {
    let micros = |ms: u64| i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
    // An event is sent before it arrives, so the least difference is nearest; and it is sent after the job was.
    let difference = |timed: &Timed| micros(timed.host_ms) - micros(timed.uptime_ms);
    let begin = events.iter().find(|timed| timed.event == Event::Begin);
    let guest = events
        .iter()
        .map(difference)
        .min()
        .zip(begin)
        .map(|(add_us, begin)| Offset {
            add_us,
            within_us: u64::try_from(add_us + micros(begin.uptime_ms)).unwrap_or(0) + 1000,
        });
    let first_record = events.iter().find_map(|timed| match &timed.event {
        Event::Log(piece) => piece.records.first(),
        _ => None,
    });
    let log = guest
        .zip(begin)
        .zip(first_record)
        .map(|((guest, begin), record)| Offset {
            add_us: guest.add_us + micros(begin.uptime_ms) - signed(record.time_us),
            within_us: guest.within_us + BEGIN_WITHIN_US,
        });
    let device = trace.iter().find_map(|record| match record {
        Record::Mark { t_us, .. } => Some(Offset {
            add_us: signed(marked.0.midpoint(marked.1)) - signed(*t_us),
            within_us: marked.1.saturating_sub(marked.0) / 2 + 1,
        }),
        _ => None,
    });
    Clocks { guest, log, device }
}

#[cfg(test)]
mod tests {
    use guest_wire::{LogPiece, LogRecord};

    use super::*;

    #[test]
    fn a_mark_is_found_where_its_line_begins() {
        let log = "[ 1.0] boot\r\nx[ 2.0] bioscope: begin a.b\r\n[ 3.0] bioscope: begin a\n";
        assert_eq!(mark_at(log, "begin a.b"), Some(13));
        assert_eq!(mark_at(log, "begin a"), Some(42));
        assert_eq!(mark_at(log, "begin b"), None);
    }

    #[test]
    fn clocks_are_compared_by_what_was_seen_on_both_sides() {
        let timed = |host_ms, uptime_ms, event| Timed {
            host_ms,
            uptime_ms,
            event,
        };
        let piece = Event::Log(LogPiece {
            first: 7,
            last: 7,
            records: vec![LogRecord {
                seq: 7,
                level: 6,
                time_us: 4_998_000,
                text: String::new(),
            }],
        });
        let events = [timed(13, 5_000, Event::Begin), timed(15, 5_009, piece)];
        let trace = [Record::Mark {
            t_us: 100,
            name: "begin-x".to_owned(),
            records: Some(3),
        }];
        let clocks = clocks(&events, &trace, (2_000, 3_000));
        let guest = clocks.guest.unwrap();
        assert_eq!((guest.add_us, guest.within_us), (-4_994_000, 7_000));
        let log = clocks.log.unwrap();
        assert_eq!((log.host_us(4_998_000), log.within_us), (6_000, 27_000));
        assert_eq!(clocks.device.unwrap().host_us(100), 2_500);
    }
}
