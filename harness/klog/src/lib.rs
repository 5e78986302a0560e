//! What a kernel's log says of crashes, warnings and errors.
//!
//! [`read`] takes a whole log, [`Reader`] one that comes in pieces. Both give [`KernelReport`]s in the order of their
//! lines: the kind, the line that opens it, the function it is about, its stack, CPU, task and taint. Lines that tell
//! of one event are one report: the message before a `BUG()`, the oops after it and the panic at its end. What a panic
//! was for stands before it, so the kind and place of a report are those of its first line.
//!
//! `table` has the kinds: a row a form, by which line it opens, what looks like it and is none, and how its place is
//! found. Formats are those of 4.4 to 7.3. Time stamps, levels, caller marks (`[T12]`), terminal sequences, `\r`, NULs,
//! two messages on a line and a host's prefix come off first. Where the kernel prints caller marks, the lines of CPUs
//! that print at once are told apart. A log that a program prints on the console once more says nothing new.
//!
//! A log is not trusted. Any bytes are read, in memory that does not grow with them: a line, a title, a stack, the
//! reports of a kind and the callers that are followed at once are bounded. A report in a loop does not hide one of
//! another kind.
//!
//! This crate is pure. It does not know what a report says of a test: which kinds count, and which our own faults must
//! cause, is a matter of evidence. It knows of bioscope only that a line of its init quotes and is no report.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! kind line machinery pattern symbol
//! report header repeat row
//! open table
//! reader
//! ```

mod header;
mod kind;
mod line;
mod machinery;
mod open;
mod pattern;
mod reader;
mod repeat;
mod report;
mod row;
mod symbol;
mod table;

pub use kind::{Kind, UnknownKind};
pub use machinery::{is_machinery, is_way_of_sleeping};
pub use reader::{OF_A_KIND_MAX, Reader};
pub use report::KernelReport;
pub use symbol::function_name;

/// The reports in a log, in the order of their lines.
#[must_use]
pub fn read(log: &[u8]) -> Vec<KernelReport> {
    let mut reader = Reader::new();
    reader.feed(log);
    reader.finish()
}
