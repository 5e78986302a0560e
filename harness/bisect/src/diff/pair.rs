//! A path at both ends, and the parts of its difference that can be taken or left.

use super::hunks::{self, Change};

/// What kind of file a path is, as git tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A file that cannot be executed.
    Regular,
    /// A file that can be executed.
    Executable,
    /// A symbolic link; its content is where it points to.
    Symlink,
}

impl Mode {
    /// As git writes it.
    #[must_use]
    pub fn octal(self) -> &'static str {
        match self {
            Mode::Regular => "100644",
            Mode::Executable => "100755",
            Mode::Symlink => "120000",
        }
    }

    fn is_symlink(self) -> bool {
        self == Mode::Symlink
    }
}

/// A file at one end of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// [`octal`](Mode::octal) has git's number for it.
    pub mode: Mode,
    /// All bytes, text or not; for a symbolic link where it points to.
    pub content: Vec<u8>,
}

/// What becomes of a file, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The file appears.
    Create,
    Delete,
    /// It becomes something of another kind.
    Replace,
    /// It can be executed, or cannot any more.
    Mode,
    /// Some lines change.
    Hunk(Vec<Change>),
}

/// A path that differs.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) path: String,
    pub(super) old: Option<File>,
    pub(super) new: Option<File>,
}

impl Pair {
    /// The file when some of its parts are put on the old one.
    pub(super) fn apply(&self, parts: &[&Part]) -> Option<File> {
        if parts
            .iter()
            .any(|part| matches!(part, Part::Create | Part::Delete | Part::Replace))
        {
            return self.new.clone();
        }
        let (Some(old), Some(new)) = (&self.old, &self.new) else {
            return self.old.clone();
        };
        let mode = if parts.contains(&&Part::Mode) {
            new.mode
        } else {
            old.mode
        };
        let changes = parts.iter().filter_map(|part| match part {
            Part::Hunk(changes) => Some(changes),
            _ => None,
        });
        Some(File {
            mode,
            content: hunks::apply(&old.content, &new.content, changes.flatten()),
        })
    }

    /// What can be taken of it by itself.
    pub(super) fn parts(&self) -> Vec<Part> {
        match (&self.old, &self.new) {
            (None, _) => vec![Part::Create],
            (_, None) => vec![Part::Delete],
            (Some(old), Some(new)) if old.mode.is_symlink() || new.mode.is_symlink() => vec![Part::Replace],
            (Some(old), Some(new)) => {
                let mode = (old.mode != new.mode).then_some(Part::Mode);
                let hunks = hunks::between(&old.content, &new.content);
                mode.into_iter().chain(hunks.into_iter().map(Part::Hunk)).collect()
            }
        }
    }
}
