//! What of the console the kernel said: anybody in the guest may write to `/dev/kmsg`.
//!
//! The console does not tell whose words a line has, but the guest's own reading of the log does. A line is a program's
//! if the guest has a program's record of that very microsecond with that very text, and none of the kernel's. So
//! nothing that a program writes takes a line of the kernel's away.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use guest_wire::{Event, LineDigest, LogDigest, LogPiece, printable};

use super::EvidenceBundle;

/// What the guest's own init says in the log.
const OURS: &str = "bioscope:";

impl EvidenceBundle {
    /// The console without what programs wrote to the kernel's log, as far as the guest read that; the lines stay.
    #[must_use]
    pub fn kernel_log(&self) -> Cow<'_, str> {
        let programs = Programs::of(&self.events.iter().filter_map(|timed| match &timed.event {
            Event::Log(piece) => Some(piece),
            _ => None,
        }));
        if programs.said.is_empty() {
            return Cow::Borrowed(&self.console);
        }
        let kept = self.console.split_inclusive('\n').flat_map(|line| {
            let (text, end) = line.split_at(line.trim_end_matches(['\n', '\r']).len());
            [programs.cut(text), end]
        });
        Cow::Owned(kept.collect())
    }
}

/// What only programs said: what prints of each line, by its time in microseconds.
struct Programs {
    said: HashMap<u64, HashSet<String>>,
}

impl Programs {
    fn of<'a>(pieces: &(impl Iterator<Item = &'a LogPiece> + Clone)) -> Programs {
        let lines = |of_kernel: bool| {
            let records = pieces.clone().flat_map(|piece| &piece.records);
            records
                .filter(move |record| (record.facility == 0) == of_kernel)
                .flat_map(|record| record.text.lines().map(|line| (record.time_us, line)))
        };
        let mut said: HashMap<u64, HashSet<String>> = HashMap::new();
        for (time_us, line) in lines(false).filter(|(_, line)| !line.starts_with(OURS)) {
            said.entry(time_us).or_default().insert(printable(line));
        }
        if said.is_empty() {
            return Programs { said };
        }
        for (time_us, line) in lines(true) {
            if let Some(said) = said.get_mut(&time_us) {
                said.remove(&printable(line));
            }
        }
        // Of these nobody knows whose they are.
        let digests: HashSet<LineDigest> = pieces
            .clone()
            .flat_map(|piece| piece.digests.iter().flat_map(|digest| digest.lines.iter().copied()))
            .collect();
        for said in said.values_mut() {
            said.retain(|line| !LogDigest::of(0, line).lines.iter().any(|line| digests.contains(line)));
        }
        Programs { said }
    }

    /// A line of the console up to where a program's words begin in it.
    fn cut<'a>(&self, line: &'a str) -> &'a str {
        let is_theirs = |at: &usize| {
            let after = stamp(&line[*at..]);
            let said = after.and_then(|(time_us, text)| Some((self.said.get(&time_us)?, text)));
            said.is_some_and(|(said, text)| {
                said.contains(&printable(text)) || said.contains(&printable(uncalled(text)))
            })
        };
        let mut stamps = line.match_indices('[').map(|(at, _)| at);
        stamps.find(is_theirs).map_or(line, |at| &line[..at])
    }
}

/// Takes `[    5.140900]` off: the time in microseconds, and the rest.
fn stamp(text: &str) -> Option<(u64, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = inner.trim_start().split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(micros) || micros.len() != 6 {
        return None;
    }
    let (seconds, micros): (u64, u64) = (seconds.parse().ok()?, micros.parse().ok()?);
    Some((seconds.checked_mul(1_000_000)?.checked_add(micros)?, rest))
}

/// The text behind the mark of a thread or a CPU, if there is one: `[   T12] `.
fn uncalled(text: &str) -> &str {
    let mark = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let is_mark = |inner: &str| {
        let number = inner.trim_start().strip_prefix(['T', 'C']);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    mark.filter(|(inner, _)| is_mark(inner)).map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::ProgramKind;
    use crate::testing::Sketch;
    use guest_wire::LogRecord;

    fn record(seq: u64, facility: u32, time_us: u64, text: &str) -> LogRecord {
        LogRecord {
            seq,
            level: 4,
            facility,
            time_us,
            text: text.to_owned(),
        }
    }

    /// What is left of a console, with these records and digests.
    fn left(console: &str, records: &[LogRecord], digests: &[&str]) -> String {
        let mut bundle = Sketch::healthy(ProgramKind::Exec).bundle();
        bundle.console = console.to_owned();
        let logs = bundle.events.iter_mut().filter_map(|timed| match &mut timed.event {
            Event::Log(piece) => Some(piece),
            _ => None,
        });
        for piece in logs {
            piece.records = records.to_vec();
            piece.digests = digests.iter().map(|text| LogDigest::of(4, text)).collect();
        }
        bundle.kernel_log().into_owned()
    }

    #[test]
    fn what_programs_write_to_the_log_is_not_the_kernels() {
        let console = "[    5.000001] WARNING: one\r\n\
            tty[   12.000002][   T12] WARNING: caf\u{e9}\twords\r\n\
            [   12.000002][   T12]  second line\r\n\
            [   12.000003] bioscope: end x\r\n\
            [   12.000004] last";
        let theirs = record(2, 1, 12_000_002, "WARNING: caf\u{fffd} words\n second line");
        let ours = record(3, 1, 12_000_003, "bioscope: end x");
        let last = record(4, 3, 12_000_004, "last");
        let kernels = record(1, 0, 5_000_001, "WARNING: one");
        assert_eq!(
            left(console, &[kernels.clone(), theirs, ours, last], &[]),
            "[    5.000001] WARNING: one\r\ntty\r\n\r\n[   12.000003] bioscope: end x\r\n"
        );
        assert_eq!(left(console, &[kernels], &[]), console);
    }

    #[test]
    fn no_program_takes_the_kernels_words_away() {
        let console = "[    5.000001] WARNING: one\r\n[    5.000001] WARNING: one\r\n";
        for (records, digests) in [
            // At another time, with other words, or less or more of them.
            (vec![record(1, 1, 5_000_000, "WARNING: one")], &[][..]),
            (vec![record(1, 1, 5_000_001, "ING: one")], &[]),
            (vec![record(1, 1, 5_000_001, "[    5.000001] WARNING: one")], &[]),
            (
                vec![
                    record(1, 1, 5_000_001, "WARNING: one\nmore"),
                    record(2, 0, 5_000_001, "WARNING: one"),
                ],
                &[],
            ),
            // The kernel said the same in that moment, or may have.
            (
                vec![
                    record(1, 1, 5_000_001, "WARNING: one"),
                    record(2, 0, 5_000_001, "WARNING: one"),
                ],
                &[],
            ),
            (vec![record(1, 1, 5_000_001, "WARNING: one")], &["WARNING: one"]),
        ] {
            assert_eq!(left(console, &records, digests), console, "{records:?}");
        }
    }
}
