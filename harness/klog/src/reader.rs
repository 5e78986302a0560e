//! The reader: takes a log as it comes and says what reports are in it.

use std::collections::BTreeMap;

use crate::line::{self, Caller, Line};
use crate::open::Open;
use crate::repeat::Repeats;
use crate::row::{Extent, Row};
use crate::table::Index;
use crate::{KernelReport, Kind, pattern};

/// Bytes of a line that are looked at together; what follows is looked at as if it were a further line.
pub(crate) const LINE_MAX: usize = 4096;
/// Bytes at the end of such a part in which a message may have begun that goes on behind it.
const BEGUN_MAX: usize = 1024;
/// Reports of a kind that are kept unless asked otherwise; one that comes in a loop must not hide another kind.
pub const OF_A_KIND_MAX: usize = 200;
/// Callers whose reports are followed at once.
const CALLERS_MAX: usize = 64;
/// What our own init says in the log, which quotes what programs say.
const OURS: &str = "bioscope:";

/// The last report of a caller.
struct Context {
    caller: Caller,
    open: Open,
    /// A report of one line that came while the lines of the other were still coming.
    aside: Option<Open>,
}

/// A report that is still open: its context, and which of the two it is.
#[derive(Clone, Copy)]
struct Spot {
    context: usize,
    is_aside: bool,
}

/// Reads a log as it comes, in memory that does not grow with it.
pub struct Reader {
    index: &'static Index,
    contexts: Vec<Context>,
    reports: Vec<KernelReport>,
    of_kind: BTreeMap<Kind, usize>,
    of_kind_max: usize,
    left_out: u64,
    /// The line that is not complete yet.
    partial: Vec<u8>,
    /// Whether a part of that line has been looked at.
    is_within: bool,
    /// What it says of its messages, if it is a record.
    record: Option<Line<'static>>,
    /// Whether what follows in that line is a quotation.
    is_quoted: bool,
    number: usize,
    stamped: bool,
    repeats: Repeats,
    /// Comparisons with rows of the table, for the test that there are few.
    compared: u64,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// At the beginning of a log, to keep the first 200 reports of a kind.
    #[must_use]
    pub fn new() -> Reader {
        Reader::keeping(OF_A_KIND_MAX)
    }

    /// At the beginning of a log, to keep this many reports of a kind. [`Reader::left_out`] counts the others.
    #[must_use]
    pub fn keeping(of_kind_max: usize) -> Reader {
        Reader {
            index: Index::get(),
            contexts: Vec::new(),
            reports: Vec::new(),
            of_kind: BTreeMap::new(),
            of_kind_max,
            left_out: 0,
            partial: Vec::new(),
            is_within: false,
            record: None,
            is_quoted: false,
            number: 0,
            stamped: false,
            repeats: Repeats::default(),
            compared: 0,
        }
    }

    /// Takes a piece of a log, cut anywhere.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            self.line(head);
        }
        self.keep(rest);
    }

    fn keep(&mut self, piece: &[u8]) {
        let mut rest = piece;
        loop {
            let room = LINE_MAX.saturating_sub(self.partial.len()).min(rest.len());
            let (head, tail) = rest.split_at(room);
            self.partial.extend_from_slice(head);
            if tail.is_empty() {
                return;
            }
            rest = tail;
            let late = self.partial.len().saturating_sub(BEGUN_MAX);
            let tail = self.partial.get(late..).unwrap_or_default();
            let begun = line::last_head(tail);
            let begun = begun.max(self.is_in_record().then(|| line::last_end_in_record(tail)).flatten());
            let at = begun.map_or(self.partial.len(), |begun| late + begun);
            let begun = self.partial.split_off(at);
            let part = std::mem::replace(&mut self.partial, begun);
            self.part(&part);
        }
    }

    /// Whether the line that is not complete yet is a record.
    fn is_in_record(&self) -> bool {
        match self.is_within {
            true => self.record.is_some(),
            false => line::record_head(&line::clean(&self.partial)).is_some(),
        }
    }

    /// Takes a whole line, or the end of one, without its line end.
    pub fn line(&mut self, line: &[u8]) {
        if self.partial.is_empty() && line.len() <= LINE_MAX {
            self.part(line);
        } else {
            self.keep(line);
            let part = std::mem::take(&mut self.partial);
            self.part(&part);
            self.partial = part;
            self.partial.clear();
        }
        self.is_within = false;
        self.is_quoted = false;
    }

    /// Takes a part of a line.
    fn part(&mut self, part: &[u8]) {
        if self.is_quoted {
            return;
        }
        let text = line::clean(part);
        if !self.is_within {
            self.is_within = true;
            self.number += 1;
            self.record = line::record_head(&text);
        }
        match self.record {
            None => self.messages(&text),
            Some(_) => text.split(line::END_IN_RECORD).for_each(|line| self.messages(line)),
        }
    }

    /// Takes what has no end of a line.
    fn messages(&mut self, text: &str) {
        let mut rest = text;
        while !self.is_quoted {
            let next = line::next_message(rest);
            let (first, more) = match next.and_then(|at| rest.split_at_checked(at)) {
                Some((first, more)) => (first, Some(more)),
                None => (rest, None),
            };
            let mut parsed = line::parse(first);
            if let Some(record) = self.record.filter(|_| parsed.time_us.is_none()) {
                parsed = Line {
                    text: parsed.text,
                    ..record
                };
            } else if parsed.text.starts_with(OURS) {
                // What follows is a quotation.
                self.is_quoted = true;
                self.stamped |= parsed.time_us.is_some();
                return;
            }
            // What a host puts before the kernel's time stamps is no line of a report.
            let is_prefix = more.is_some() && parsed.time_us.is_none() && !parsed.text.contains("+0x");
            if !is_prefix || self.opening(&parsed).is_some() {
                self.message(&parsed);
            }
            match more {
                Some(more) => rest = more,
                None => return,
            }
        }
    }

    /// Ends the log, and gives all its reports in the order of their lines.
    #[must_use]
    pub fn finish(&mut self) -> Vec<KernelReport> {
        if !self.partial.is_empty() {
            self.line(b"");
        }
        for context in std::mem::take(&mut self.contexts) {
            self.close_context(context);
        }
        let mut reports = std::mem::take(&mut self.reports);
        reports.sort_by_key(|report| report.line);
        reports
    }

    /// Reports that were left out so far, because there were many of their kind.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn message(&mut self, line: &Line<'_>) {
        self.stamped |= line.time_us.is_some();
        if line.text.is_empty() {
            return;
        }
        self.repeats.see(line);
        if let Some(row) = self.opening(line) {
            if !self.repeats.has_opened(line) {
                self.open(row, line);
            }
        } else if self.repeats.quotes(line) {
            // A program prints the log again.
        } else if let Some(context) = self.context(line.caller) {
            let number = self.number;
            let open = &mut self.contexts[context].open;
            if open.wants(number) {
                open.take(line.text, number);
            }
        }
    }

    fn opening(&mut self, line: &Line<'_>) -> Option<&'static Row> {
        let trusted = line.is_of_kernel || line.caller != Caller::Unknown || !self.stamped;
        let rows = self.index.candidates(line.text);
        let found = rows.iter().position(|row| {
            pattern::matches(row.pattern, line.text)
                && !row.except.iter().any(|except| pattern::matches(except, line.text))
                && (trusted || !row.loose)
        });
        let compared = found.map_or(rows.len(), |at| at + 1);
        self.compared += u64::try_from(compared).unwrap_or(u64::MAX);
        found.map(|at| rows[at])
    }

    fn context(&self, caller: Caller) -> Option<usize> {
        self.contexts.iter().position(|context| context.caller == caller)
    }

    fn open(&mut self, row: &'static Row, line: &Line<'_>) {
        let number = self.number;
        if let Some(before) = self.continued(row, line) {
            self.continue_with(before, row, line);
            return;
        }
        let open = Open::new(row, line, number);
        let Some(at) = self.context(line.caller) else {
            if self.contexts.len() >= CALLERS_MAX {
                let eldest = self.contexts.remove(0);
                self.close_context(eldest);
            }
            self.contexts.push(Context {
                caller: line.caller,
                open,
                aside: None,
            });
            return;
        };
        if row.extent == Extent::Line && self.contexts[at].open.is_coming(number) {
            if let Some(before) = self.contexts[at].aside.replace(open) {
                self.close(before);
            }
            return;
        }
        // The one that spoke last stands last.
        let before = self.contexts.remove(at);
        self.close_context(before);
        self.contexts.push(Context {
            caller: line.caller,
            open,
            aside: None,
        });
    }

    fn continue_with(&mut self, spot: Spot, row: &Row, line: &Line<'_>) {
        let context = &mut self.contexts[spot.context];
        match &mut context.aside {
            Some(aside) if spot.is_aside => aside.continue_with(row, line, self.number),
            _ => context.open.continue_with(row, line, self.number),
        }
        // What follows is its stack.
        if spot.is_aside
            && row.extent != Extent::Line
            && let Some(aside) = context.aside.take()
        {
            let before = std::mem::replace(&mut context.open, aside);
            self.close(before);
        }
    }

    /// The report that an opening is one more line of.
    fn continued(&self, row: &Row, line: &Line<'_>) -> Option<Spot> {
        if row.kind == Kind::Panic {
            return self.panicked(line.text);
        }
        let context = self.context(line.caller)?;
        self.spot(context, &|open| open.is_continued_by(row, line.text, self.number))
    }

    /// Which report of a context fits; the one that spoke last is asked first.
    fn spot(&self, context: usize, fits: &dyn Fn(&Open) -> bool) -> Option<Spot> {
        let Context { open, aside, .. } = self.contexts.get(context)?;
        let spot = |is_aside| Spot { context, is_aside };
        if aside.as_ref().is_some_and(fits) {
            return Some(spot(true));
        }
        fits(open).then(|| spot(false))
    }

    /// The report for which the kernel panics, if the panic says that there is one.
    fn panicked(&self, text: &str) -> Option<Spot> {
        let reason = text.strip_prefix("Kernel panic - not syncing: ")?;
        let last = |fits: &dyn Fn(&Open) -> bool| (0..self.contexts.len()).rev().find_map(|at| self.spot(at, fits));
        let of = |kind: Kind| last(&|open| open.kind() == kind);
        if reason.starts_with("hung_task: blocked tasks") {
            of(Kind::HungTask)
        } else if reason.starts_with("softlockup: hung tasks") {
            of(Kind::SoftLockup)
        } else if reason.starts_with("Hard LOCKUP") {
            of(Kind::HardLockup)
        } else if reason.starts_with("RCU Stall") {
            of(Kind::RcuStall)
        } else if reason.starts_with("Attempted to kill init!") {
            last(&|open| open.kind().is_fatal() && open.is_of_init())
        } else if reason.contains("Fatal exception") || reason.starts_with("Oops") {
            last(&|open| open.kind().is_fatal())
        } else if reason.starts_with("scheduling while atomic") {
            of(Kind::AtomicSchedule)
        } else if reason.ends_with("panic forced after error") {
            // The journal was aborted in between.
            last(&|open| matches!(open.kind(), Kind::Ext4Error | Kind::JournalAbort))
        } else if reason.contains("panic_on_warn set") {
            last(&|_| true)
        } else if reason.contains("stack guard hit") || reason.starts_with("kernel stack overflow") {
            of(Kind::StackGuard)
        } else {
            None
        }
    }

    fn close_context(&mut self, context: Context) {
        self.close(context.open);
        if let Some(aside) = context.aside {
            self.close(aside);
        }
    }

    fn close(&mut self, open: Open) {
        let of_kind = self.of_kind.entry(open.kind()).or_default();
        if *of_kind >= self.of_kind_max {
            self.left_out += 1;
            return;
        }
        *of_kind += 1;
        self.reports.push(open.close());
    }

    /// How much work the log was, and how much of it is held.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> (u64, usize, usize) {
        (self.compared, self.partial.capacity(), self.contexts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of 100 MB in which nothing is a report and much looks like one, in pieces.
    #[test]
    fn a_hundred_megabytes_of_noise_cost_little() {
        const SIZE: usize = 100 << 20;
        let noise: String = [
            "[    5.123456] virtio_blk virtio1: [vda] 2097152 512-byte logical blocks\n",
            "[    5.123456][   T12] BTRFS info (device vda): using free space tree\n",
            "[    5.123456] XFS (vda): Mounting V5 Filesystem\n",
            "[    5.123456] BUG_ON is a word; WARNING: is another\n",
            "BTRFS info (device vda): bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0\n",
            "\0\u{fffd}\u{1b}[0m\r\n",
        ]
        .concat();
        let mut piece = noise.repeat((1 << 20) / noise.len());
        // Lines that do not end for a megabyte.
        piece.push_str(&"x[".repeat(1 << 19));
        let mut reader = Reader::new();
        let (mut fed, mut lines) = (0, 0_u64);
        while fed < SIZE {
            reader.feed(piece.as_bytes());
            fed += piece.len();
            lines += u64::try_from(noise.lines().count() * ((1 << 20) / noise.len())).unwrap_or_default();
        }
        let (compared, held, callers) = reader.cost();
        assert!(compared <= lines * 96, "{compared} comparisons for {lines} lines");
        assert!(
            held <= 2 * LINE_MAX && callers <= CALLERS_MAX,
            "{held} bytes, {callers} callers"
        );
        assert_eq!((reader.left_out(), reader.finish()), (0, Vec::new()));
    }

    #[test]
    fn no_message_is_compared_with_many_rows() {
        let index = Index::get();
        let most = (b' '..=b'~')
            .map(|byte| index.candidates(&char::from(byte).to_string()).len())
            .max();
        assert!(most <= Some(96), "{most:?}");
    }
}
