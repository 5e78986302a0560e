//! A row of the table of kinds: a form in which a report opens.

use crate::Kind;

/// How the function is found that a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first `name+0x…` of the opening.
    Offset,
    /// `name:123` in the opening.
    Line,
    /// The word that follows this text in the opening; else the first `name+0x…`.
    After(&'static str),
    /// Where the CPU was, or the stack's innermost function.
    Stack,
}

/// How much belongs to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One line, or a few that say nothing more.
    Line,
    /// Lines follow that name a lock and who holds it, and no stack.
    Locks,
    /// A stack follows.
    Stack,
    /// A stack follows, and then `---[ end trace`.
    Trace,
}

/// A form of a kind.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) pattern: &'static str,
    /// Patterns of lines that look like it and are no report.
    pub(crate) except: &'static [&'static str],
    pub(crate) place: Place,
    pub(crate) extent: Extent,
    /// Kinds whose report this line continues, if it comes soon after their opening: a `BUG()` after the message that
    /// says what for.
    pub(crate) continues: &'static [Kind],
    /// Whether the line counts only where it bears a time stamp, a caller or a host's word that it is the kernel's if
    /// others bear time stamps: its form is too loose otherwise.
    pub(crate) loose: bool,
}

/// A form with a stack.
pub(crate) const fn row(kind: Kind, pattern: &'static str) -> Row {
    Row {
        kind,
        pattern,
        except: &[],
        place: Place::Offset,
        extent: Extent::Stack,
        continues: &[],
        loose: false,
    }
}

/// A form of one line.
pub(crate) const fn line(kind: Kind, pattern: &'static str) -> Row {
    row(kind, pattern).extent(Extent::Line)
}

/// A form with a stack and an end.
pub(crate) const fn trace(kind: Kind, pattern: &'static str) -> Row {
    row(kind, pattern).extent(Extent::Trace)
}

impl Row {
    pub(crate) const fn extent(mut self, extent: Extent) -> Row {
        self.extent = extent;
        self
    }

    pub(crate) const fn place(mut self, place: Place) -> Row {
        self.place = place;
        self
    }

    pub(crate) const fn except(mut self, except: &'static [&'static str]) -> Row {
        self.except = except;
        self
    }

    pub(crate) const fn continues(mut self, kinds: &'static [Kind]) -> Row {
        self.continues = kinds;
        self
    }

    pub(crate) const fn loose(mut self) -> Row {
        self.loose = true;
        self
    }
}
