//! A report whose lines are still coming.

use crate::line::{Caller, Line};
use crate::machinery::{is_machinery, is_outermost, is_way_of_sleeping};
use crate::row::{Extent, Place, Row};
use crate::symbol::{self, Frame};
use crate::{KernelReport, Kind, header};

/// Bytes of a title that are kept; the kernel's own lines have less than 1,024.
pub(crate) const TITLE_MAX: usize = 1024;
/// Functions that are kept.
pub(crate) const FRAMES_MAX: usize = 64;
/// Lines after the opening in which a report must end.
const LINES_MAX: usize = 1_000;
/// Lines that may come between the message and the `BUG()` or `WARN()` that it belongs to.
const CARRY_LINES_MAX: usize = 16;
/// The same for a slab, whose dump of objects stands between.
const CARRY_SLAB_LINES_MAX: usize = 400;
/// Lines within which a file system says what it does about its own message.
const CONTINUE_LINES_MAX: usize = 8;
/// Lines of others that may stand in a stack that has a mark at its end, and in one that has a head only.
const STRANGERS_MAX: usize = 32;
const STRANGERS_UNMARKED_MAX: usize = 2;

/// How far the stack is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stack {
    Before,
    /// In it, with the lines that were none of its, and whether it has a mark at its end.
    Within {
        strangers: usize,
        marked: bool,
    },
    Done,
}

/// A report whose lines are still coming.
#[derive(Debug)]
pub(crate) struct Open {
    report: KernelReport,
    extent: Extent,
    stack: Stack,
    /// The function that the opening names.
    said: Option<String>,
    /// The function in which the CPU was.
    at: Option<String>,
    /// A function that its lines name: where a lock was taken, who called.
    named: Option<String>,
    /// The function of the work item that the task was at.
    work: Option<String>,
    /// Whether the lines show another task than the one that it is about.
    is_aside: bool,
    /// The line that was its last, so far.
    last: usize,
    /// Whether the outermost function of the stack was seen.
    reached_bottom: bool,
    /// Whether its end was seen.
    ended: bool,
}

impl Open {
    pub(crate) fn new(row: &Row, line: &Line<'_>, number: usize) -> Open {
        let (title, cut) = cut(line.text, TITLE_MAX);
        let head = header::of_opening(row.kind, line.text);
        let cpu = match line.caller {
            Caller::Cpu(cpu) => Some(cpu),
            _ => None,
        };
        let mut open = Open {
            report: KernelReport {
                kind: row.kind,
                title: title.to_owned(),
                place: None,
                frames: Vec::new(),
                line: number,
                cpu: head.cpu.or(cpu),
                task: head.task,
                taint: None,
                truncated: cut,
                time_us: line.time_us,
            },
            extent: row.extent,
            stack: Stack::Before,
            said: None,
            at: None,
            named: None,
            work: None,
            is_aside: false,
            last: number,
            reached_bottom: false,
            ended: false,
        };
        open.said = said(row.place, line.text).map(str::to_owned);
        open
    }

    pub(crate) fn kind(&self) -> Kind {
        self.report.kind
    }

    /// The pid of its task.
    pub(crate) fn is_of_init(&self) -> bool {
        self.report.task.as_deref().is_some_and(|task| task.ends_with("/1"))
    }

    /// Whether it waits for lines.
    pub(crate) fn wants(&self, number: usize) -> bool {
        !self.ended && number.saturating_sub(self.report.line) <= LINES_MAX
    }

    /// Whether lines of its stack are coming, or still have to come.
    pub(crate) fn is_coming(&self, number: usize) -> bool {
        let reads = matches!(self.extent, Extent::Stack | Extent::Trace) && !self.ended && !self.reached_bottom;
        reads && number.saturating_sub(self.last) <= STRANGERS_MAX
    }

    /// Whether an opening is one more line of this report.
    pub(crate) fn is_continued_by(&self, row: &Row, text: &str, number: usize) -> bool {
        // That a block is corrupt ends only what says in which way, and not another block's report.
        let is_same_block = row.kind != Kind::BtrfsCorrupt || self.report.title.contains(": corrupt");
        if !row.continues.contains(&self.report.kind) || !is_same_block {
            return false;
        }
        if row.extent == Extent::Line {
            return number.saturating_sub(self.last) <= CONTINUE_LINES_MAX && self.is_same_error(text);
        }
        if !self.says_what_for() {
            return false;
        }
        let lines_max = match self.report.kind {
            Kind::Slab | Kind::SlabLeft => CARRY_SLAB_LINES_MAX,
            _ => CARRY_LINES_MAX,
        };
        self.stack == Stack::Before && !self.ended && number.saturating_sub(self.report.line) <= lines_max
    }

    /// Whether its opening may be the message of a `BUG()` or `WARN()`. What btrfs says with the device's name, and the
    /// journal without an assertion, has none: one that follows is another report.
    fn says_what_for(&self) -> bool {
        let title = self.report.title.as_str();
        match self.report.kind {
            Kind::BtrfsAbort => !title.contains("(device "),
            Kind::JournalError => title.starts_with("Assertion failure in "),
            _ => true,
        }
    }

    /// Whether a line names the error of this report, if both name one: an error that is not ours must not go under in
    /// one that is.
    fn is_same_error(&self, text: &str) -> bool {
        let errors = header::btrfs_error(&self.report.title).zip(header::btrfs_error(text));
        self.report.kind != Kind::BtrfsAbort || errors.is_none_or(|(before, now)| before == now)
    }

    /// Takes an opening as one more line.
    pub(crate) fn continue_with(&mut self, row: &Row, line: &Line<'_>, number: usize) {
        self.last = number;
        let head = header::of_opening(row.kind, line.text);
        let report = &mut self.report;
        report.cpu = report.cpu.or(head.cpu);
        report.task = report.task.take().or(head.task);
        if self.said.is_none() {
            self.said = said(row.place, line.text).map(str::to_owned);
        }
        // The stack of a panic for a message without one is not that message's.
        let has_stack = row.extent != Extent::Line && (row.kind != Kind::Panic || self.extent != Extent::Line);
        if has_stack {
            self.extent = row.extent;
        }
    }

    /// Takes a line that opens nothing.
    pub(crate) fn take(&mut self, text: &str, number: usize) {
        if self.extent == Extent::Line && number > self.report.line + CARRY_LINES_MAX {
            self.ended = true;
            return;
        }
        if text.starts_with("---[ end ") {
            self.ended = self.extent != Extent::Line;
            self.last = number;
            return;
        }
        if self.report.kind == Kind::RcuStall {
            self.is_aside = header::shows_waiting_task(text).unwrap_or(self.is_aside);
        }
        if self.extent != Extent::Line && !self.is_aside {
            self.header(text, number);
            self.stack(text, number);
            self.ended |= self.stack == Stack::Done && self.report.kind.has_bare_stack() && text.starts_with("CPU: ");
        }
    }

    fn header(&mut self, text: &str, number: usize) {
        let report = &mut self.report;
        if let Some(head) = header::of_cpu_line(text) {
            self.last = number;
            report.cpu = report.cpu.or(head.cpu);
            report.task = report.task.take().or(head.task);
            report.taint = report.taint.take().or(head.taint);
        } else if self.stack == Stack::Before && self.at.is_none() {
            self.at = header::instruction(text).map(str::to_owned);
        }
        if report.task.is_none() {
            report.task = header::by_task(text);
        }
        if report.kind == Kind::HungTask && report.taint.is_none() {
            report.taint = header::of_taint_line(text);
        }
        if self.work.is_none() {
            self.work = header::work(text).map(str::to_owned);
        }
        if self.named.is_none() {
            self.named = header::named(report.kind, text).map(str::to_owned);
        }
    }

    fn stack(&mut self, text: &str, number: usize) {
        match self.stack {
            Stack::Done if self.report.frames.is_empty() && is_stack_head(text) => self.begin_stack(number),
            Stack::Before if is_stack_head(text) => self.begin_stack(number),
            Stack::Before if self.report.kind.has_bare_stack() && symbol::frame(text).is_some() => {
                self.begin_stack(number);
                self.within(text, number, 0, false);
            }
            Stack::Within { strangers, marked } => self.within(text, number, strangers, marked),
            _ => {}
        }
    }

    fn begin_stack(&mut self, number: usize) {
        self.stack = Stack::Within {
            strangers: 0,
            marked: false,
        };
        self.last = number;
    }

    fn within(&mut self, text: &str, number: usize, strangers: usize, marked: bool) {
        if let Some(frame) = symbol::frame(text) {
            self.last = number;
            if let Frame::Function(function) = frame {
                self.push(function);
            }
        } else if text == "</TASK>" {
            self.last = number;
            self.stack_is_done();
        } else if text.starts_with('<') && text.ends_with('>') {
            self.stack = Stack::Within {
                strangers,
                marked: true,
            };
        } else if header::is_of_user(text) {
            self.stack_is_done();
        } else if let Some(function) = header::instruction(text) {
            self.push(function);
        } else if !header::is_register(text) {
            let most = if marked {
                STRANGERS_MAX
            } else if self.report.kind.has_bare_stack() {
                0
            } else {
                STRANGERS_UNMARKED_MAX
            };
            if strangers >= most || ends_stack(text) {
                self.stack_is_done();
            } else {
                self.stack = Stack::Within {
                    strangers: strangers + 1,
                    marked,
                };
            }
        }
    }

    fn stack_is_done(&mut self) {
        self.stack = Stack::Done;
        // The sanitizers with a bare stack say last on which CPU it was.
        let goes_on = self.report.kind.has_bare_stack() && self.report.task.is_none();
        self.ended |= self.extent == Extent::Stack && !self.report.frames.is_empty() && !goes_on;
    }

    fn push(&mut self, function: &str) {
        self.reached_bottom |= is_outermost(function);
        let frames = &mut self.report.frames;
        if is_machinery(function) || frames.last().is_some_and(|last| last == function) {
            return;
        }
        if frames.len() < FRAMES_MAX {
            frames.push(function.to_owned());
        }
    }

    /// The report, as far as it came.
    pub(crate) fn close(self) -> KernelReport {
        let mut report = self.report;
        report.truncated |= match self.extent {
            Extent::Line | Extent::Locks => false,
            Extent::Stack => !self.ended && self.stack != Stack::Done && !self.reached_bottom,
            Extent::Trace => !self.ended,
        };
        let telling = |name: &&String| !is_machinery(name);
        let sleeps = |name: &&String| report.kind == Kind::HungTask && is_way_of_sleeping(name);
        report.place = (self.said.as_ref().filter(telling))
            .or(self.at.as_ref().filter(telling).filter(|name| !sleeps(name)))
            .or_else(|| report.frames.iter().find(|name| !sleeps(name)))
            .or(report.frames.first())
            .or(self.named.as_ref().filter(telling))
            .or(self.said.as_ref())
            .or(self.at.as_ref())
            .cloned();
        // What runs work items says nothing of the one that it ran.
        if report.place.as_deref() == Some("process_one_work") {
            report.place = self.work.or(report.place);
        }
        report
    }
}

/// The function that an opening names.
fn said(place: Place, text: &str) -> Option<&str> {
    match place {
        Place::Offset => symbol::with_offset(without_condition(text)),
        Place::Line => symbol::with_line(text),
        Place::After(mark) => symbol::after(text, mark).or_else(|| symbol::with_offset(text)),
        Place::Stack => None,
    }
}

/// A warning's opening without the condition that it may have first: `WARNING: [a > b+0x1] file.c:12 at fn+0x…`.
fn without_condition(text: &str) -> &str {
    let has_one = text.starts_with("WARNING: [") || (text.starts_with("WARNING: CPU: ") && text.contains(" at ["));
    let rest = text.rfind("] ").filter(|_| has_one).and_then(|at| text.get(at..));
    rest.filter(|rest| rest.contains("+0x")).unwrap_or(text)
}

fn is_stack_head(text: &str) -> bool {
    ["Call Trace:", "Call trace:", "Backtrace:", "backtrace:", "backtrace ("]
        .iter()
        .any(|head| text.starts_with(head))
}

/// What comes after a stack, and never within one.
fn ends_stack(text: &str) -> bool {
    is_stack_head(text)
        || [
            "Modules linked in:",
            "Allocated by task",
            "Freed by task",
            "Kernel Offset:",
            "irq event stamp:",
            "=====",
            "NMI backtrace for ",
            "Sending NMI ",
            "INFO: ",
            "task:",
            "Showing all locks",
        ]
        .iter()
        .any(|head| text.starts_with(head))
}

/// The beginning of a text, and whether something was cut off.
pub(crate) fn cut(text: &str, bytes_max: usize) -> (&str, bool) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (text.get(..end).unwrap_or_default(), end < text.len())
}
