//! What a job left behind, from every place where it left something. What cannot be had is said to be lost, and never
//! taken for empty.

use std::io;
use std::time::Duration;

use evidence::context::{Clocks, Offset};
use evidence::parts::{Earlier, LostPart, Owner, Timed, begin_mark, end_mark};
use evidence::steal::StealPoint;
use guest_wire::{Event, HostMessage};
use machine::Machine;
use vhost_blk_api::control::Command;
use vhost_blk_api::trace::{self, Record};

use super::console::ConsoleWatch;
use crate::watch::{JobSpan, StealMeter};

/// How long after the begin mark the agent may say that the job begins, in microseconds.
const BEGIN_WITHIN_US: u64 = 20_000;

/// Host time that events must span to tell how fast the guest's clock runs, in milliseconds.
const RATE_SPAN_MS: u64 = 200;
/// By how much the rate of a clock that runs like the host's may be measured wrongly.
const RATE_ERROR_PPM: u64 = 200_000;

/// How far a machine's console has been read, and to whom what comes next belongs.
pub struct ConsolePlace {
    read: usize,
    owner: Owner,
    /// What the host takes from the guest, from the first job on.
    meter: Option<StealMeter>,
    /// The job that this is.
    job: Option<JobSpan>,
}

impl ConsolePlace {
    /// That of a machine that has run nothing yet.
    #[must_use]
    pub fn of_boot() -> ConsolePlace {
        ConsolePlace {
            read: 0,
            owner: Owner::Boot,
            meter: None,
            job: None,
        }
    }

    /// Bytes of the console that somebody has.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read as u64
    }

    /// Measures what the host takes from the guest.
    pub(super) fn meter(&mut self, machine: &Machine) -> &StealMeter {
        self.meter
            .get_or_insert_with(|| StealMeter::start(machine.vitals_reader()))
    }

    /// What the host took since the last job, in that job's time.
    fn stolen_since(&self) -> Vec<StealPoint> {
        let known = self.meter.as_ref().zip(self.job);
        known.map_or_else(Vec::new, |(meter, job)| meter.after(job))
    }

    /// What is left of a job that began there, once its console was read. It goes on to that job.
    pub(super) fn take(
        &mut self,
        read: impl FnOnce() -> io::Result<Vec<u8>>,
        case: &str,
        begun: StealPoint,
    ) -> ConsoleTaken {
        let text = read().and_then(|console| self.text(&console, case));
        // What the host took until then may explain what the console says.
        let ended = self.meter.as_ref().map(|meter| meter.end_of(begun));
        let (steal, job) = ended.unzip();
        let since_before = self.stolen_since();
        self.job = job;
        ConsoleTaken {
            text,
            steal: steal.unwrap_or_default(),
            since_before,
        }
    }

    /// What the console has since the last look: what came before the case, and the case's own. Without the case's
    /// mark all is its own.
    fn text(&mut self, console: &[u8], case: &str) -> io::Result<(Option<Earlier>, String)> {
        let new = String::from_utf8_lossy(unread(console, self.read)?);
        let owner = std::mem::replace(&mut self.owner, Owner::Case(case.to_owned()));
        self.read = console.len();
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

/// The console since a job before, and what the host took from the guest.
pub(super) struct ConsoleTaken {
    /// What came before the case, and the case's own.
    pub(super) text: io::Result<(Option<Earlier>, String)>,
    /// What the host took until then, in the job's time.
    pub(super) steal: Vec<StealPoint>,
    /// What it took since the job before, in that job's time.
    pub(super) since_before: Vec<StealPoint>,
}

/// What a console has beyond what was read of it before. One that is shorter than that was cut, and what it says now is
/// not what came after.
fn unread(console: &[u8], read: usize) -> io::Result<&[u8]> {
    console.get(read..).ok_or_else(|| {
        let bytes = console.len();
        io::Error::other(format!("it has {bytes} bytes, and {read} of them were read before"))
    })
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

/// Waits until the console shows a mark; `stolen` is what the host takes from the guest meanwhile.
pub(super) fn await_console(machine: &Machine, mark: &str, stolen: impl Fn() -> Duration) {
    let shown = |text: &str| mark_at(text, mark).is_some();
    // What is not shown is missed by the judge; here it is only waited for.
    if let Ok(mut watch) = ConsoleWatch::begin(machine) {
        watch.until(stolen, shown);
    }
}

/// Has the guest power off, and gives back what the console says until then that no job has, with what the host took
/// meanwhile.
pub(crate) fn power_off(machine: &mut Machine, console: &ConsolePlace) -> (io::Result<String>, Vec<StealPoint>) {
    let stolen = console.meter.as_ref().map(StealMeter::stolen_meanwhile);
    let stolen = || stolen.as_ref().map_or(Duration::ZERO, |stolen| stolen());
    let last_words = last_words(machine, console.read, stolen);
    (last_words, console.stolen_since())
}

/// Has the guest power off, and gives back what the console says until then beyond what was read of it. Without anybody
/// to wait for them there are no last words, which is not the same as none that were said.
fn last_words(machine: &mut Machine, read: usize, stolen: impl Fn() -> Duration) -> io::Result<String> {
    let mut watch = ConsoleWatch::begin(machine)?;
    // A guest that ended by itself has said what it had to say, and closes no file any more.
    if machine.qemu_end().is_none() && machine.line().send(&HostMessage::PowerOff).is_ok() {
        watch.until(stolen, |text| after_power_off(text).is_some());
    }
    let console = machine.console_log()?;
    let rest = String::from_utf8_lossy(unread(&console, read)?);
    // What comes behind it is said of an agent that has nowhere to go back to.
    let end = after_power_off(&rest).unwrap_or(rest.len());
    Ok(rest.get(..end).unwrap_or_default().to_owned())
}

/// Where the line ends by which the kernel says that it has done all that comes before the power goes off.
fn after_power_off(log: &str) -> Option<usize> {
    let mut at = 0;
    log.split_inclusive('\n').find_map(|line| {
        at += line.len();
        line.trim_end().ends_with("reboot: Power down").then_some(at)
    })
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
    let begin = events.iter().find(|timed| timed.event == Event::Begin);
    let rate_ppm = rate_ppm(events);
    let guest = begin.map(|begin| {
        // An event is sent before it arrives, so the least delay is nearest.
        let mut offsets = events.iter().map(|timed| {
            let (clock_us, host_us) = (timed.uptime_ms.saturating_mul(1000), timed.host_ms.saturating_mul(1000));
            Offset::at(rate_ppm, clock_us, host_us, 0).add_us
        });
        // The job was sent at 0, so that is the least there can be.
        let arrived_us = begin.host_ms * 1000;
        let offset = Offset::at(
            rate_ppm,
            begin.uptime_ms.saturating_mul(1000),
            arrived_us,
            arrived_us + 1000,
        );
        let add_us = offsets
            .next()
            .map_or(offset.add_us, |first| offsets.fold(first, i64::min));
        Offset { add_us, ..offset }
    });
    let first_record = events.iter().find_map(|timed| match &timed.event {
        Event::Log(piece) => piece.records.first(),
        _ => None,
    });
    let log = guest.zip(begin).zip(first_record).map(|((guest, begin), record)| {
        let host_us = u64::try_from(guest.host_us(begin.uptime_ms.saturating_mul(1000))).unwrap_or(0);
        Offset::at(rate_ppm, record.time_us, host_us, guest.within_us + BEGIN_WITHIN_US)
    });
    let device = trace.iter().find_map(|record| match record {
        Record::Mark { t_us, .. } => {
            let within_us = marked.1.saturating_sub(marked.0) / 2 + 1;
            Some(Offset::at(None, *t_us, marked.0.midpoint(marked.1), within_us))
        }
        _ => None,
    });
    Clocks { guest, log, device }
}

/// How fast the guest's clock runs, if that can be told and is not as fast as the host's.
fn rate_ppm(events: &[Timed]) -> Option<u64> {
    let (first, last) = (events.first()?, events.last()?);
    let host_ms = last.host_ms.saturating_sub(first.host_ms);
    let rate_ppm = last.uptime_ms.saturating_sub(first.uptime_ms).saturating_mul(1_000_000) / host_ms.max(1);
    // What is nearer to the host's rate is the delay of the events.
    (host_ms >= RATE_SPAN_MS && rate_ppm.abs_diff(1_000_000) > RATE_ERROR_PPM).then_some(rate_ppm)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use guest_wire::{LogPiece, LogRecord};
    use machine::Vitals;

    use super::*;

    #[test]
    fn a_mark_is_found_where_its_line_begins() {
        let log = "[ 1.0] boot\r\nx[ 2.0] bioscope: begin a.b\r\n[ 3.0] bioscope: begin a\n";
        assert_eq!(mark_at(log, "begin a.b"), Some(13));
        assert_eq!(mark_at(log, "begin a"), Some(42));
        assert_eq!(mark_at(log, "begin b"), None);
    }

    #[test]
    fn a_console_that_was_cut_is_not_one_that_says_nothing() {
        assert_eq!(unread(b"boot\nsaid", 5).unwrap(), b"said");
        assert_eq!(unread(b"boot\n", 5).unwrap(), b"");
        let cut = unread(b"bo", 5).unwrap_err().to_string();
        assert_eq!(cut, "it has 2 bytes, and 5 of them were read before");
    }

    #[test]
    fn what_the_host_took_until_the_console_was_read_belongs_to_it() {
        let wait_ms = Arc::new(AtomicU64::new(0));
        let vitals = Arc::clone(&wait_ms);
        let meter = StealMeter::start(move || Vitals {
            wait_ms: vitals.load(Ordering::Relaxed),
            ..Vitals::default()
        });
        let mut place = ConsolePlace {
            meter: Some(meter),
            ..ConsolePlace::of_boot()
        };
        let mut take = |ms, says: &str| {
            // As of a guest that waits for the host while its job is over for the harness.
            let read = || {
                wait_ms.fetch_add(ms, Ordering::Relaxed);
                Ok(says.as_bytes().to_vec())
            };
            let taken = place.take(read, "a", StealPoint::default());
            (taken.text.unwrap().1, taken.steal.last().map(|point| point.stolen_ms))
        };
        assert_eq!(take(7_000, "x"), ("x".to_owned(), Some(7_000)));
        assert_eq!(take(500, "xy"), ("y".to_owned(), Some(7_500)));
    }

    #[test]
    fn what_comes_after_the_power_went_off_is_left_out() {
        let log = "[ 3.0] bioscope: reboot: Power down?\n[ 4.0] reboot: Power down\r\n[ 4.1] bioscope: agent ended\n";
        let end = after_power_off(log).unwrap();
        assert!(log[..end].ends_with("reboot: Power down\r\n"));
        assert_eq!(after_power_off("[ 4.0] reboot: Power do"), None);
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
                facility: 0,
                time_us: 4_998_000,
                text: String::new(),
            }],
            digests: Vec::new(),
            overran: false,
        });
        let events = [timed(13, 5_000, Event::Begin), timed(15, 5_009, piece)];
        let trace = [Record::Mark {
            t_us: 100,
            name: "begin-x".to_owned(),
            records: Some(3),
            disk_bytes: None,
        }];
        let clocks = clocks(&events, &trace, (2_000, 3_000));
        let guest = clocks.guest.unwrap();
        assert_eq!((guest.add_us, guest.within_us), (-4_994_000, 14_000));
        let log = clocks.log.unwrap();
        assert_eq!((log.host_us(4_998_000), log.within_us), (6_000, 34_000));
        assert_eq!(clocks.device.unwrap().host_us(100), 2_500);
    }

    #[test]
    fn a_guest_may_say_any_time() {
        let event = |host_ms, uptime_ms| Timed {
            host_ms,
            uptime_ms,
            event: Event::Begin,
        };
        for uptimes in [[0, u64::MAX], [u64::MAX, 0], [u64::MAX; 2]] {
            let events = [event(1, uptimes[0]), event(1_000, uptimes[1])];
            assert!(clocks(&events, &[], (0, 0)).guest.is_some());
        }
    }

    #[test]
    fn a_guest_whose_time_runs_too_fast_is_known() {
        // As a guest of 6.12 did that had measured its TSC while the host was busy.
        let event = |host_ms, uptime_ms| Timed {
            host_ms,
            uptime_ms,
            event: Event::Begin,
        };
        let guest = clocks(&[event(132, 40_040), event(4_643, 98_177)], &[], (0, 0))
            .guest
            .unwrap();
        assert_eq!(guest.rate_ppm, 12_887_829);
        assert!((4_642_000..=4_643_000).contains(&guest.host_us(98_177_000)));
        assert_eq!(
            clocks(&[event(100, 5_000), event(1_100, 6_010)], &[], (0, 0))
                .guest
                .unwrap()
                .rate_ppm,
            1_000_000
        );
    }
}
