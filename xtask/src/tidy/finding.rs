//! What a check found: where, what, and what to do.

use std::fmt;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Unreadable,
    ProseLine,
    CodeLine,
    FunctionLength,
    FileLength,
    ModuleStyle,
    DeadFile,
    CrateArrow,
    FileArrow,
    Layer,
    Family,
    Link,
    Mention,
}

impl Kind {
    pub(crate) const ALL: [Kind; 13] = [
        Kind::Unreadable,
        Kind::ProseLine,
        Kind::CodeLine,
        Kind::FunctionLength,
        Kind::FileLength,
        Kind::ModuleStyle,
        Kind::DeadFile,
        Kind::CrateArrow,
        Kind::FileArrow,
        Kind::Layer,
        Kind::Family,
        Kind::Link,
        Kind::Mention,
    ];

    /// For the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Unreadable => "unreadable files",
            Kind::ProseLine => "long lines of Markdown",
            Kind::CodeLine => "long lines of Rust",
            Kind::FunctionLength => "long functions",
            Kind::FileLength => "long files",
            Kind::ModuleStyle => "module style",
            Kind::DeadFile => "dead files",
            Kind::CrateArrow => "arrows between crates",
            Kind::FileArrow => "arrows between files",
            Kind::Layer => "arrows between layers",
            Kind::Family => "circles of a parent and its child",
            Kind::Link => "links",
            Kind::Mention => "files that prose names",
        }
    }
}

/// One place that has to be changed. They are sorted by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the root.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(file: &str, line: usize, kind: Kind, message: impl Into<String>) -> Finding {
        Finding {
            file: file.to_owned(),
            line,
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}
