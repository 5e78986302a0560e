//! The journal on disk. The one file of `bisect/` that does I/O.
//!
//! It comes into being whole, written beside its place and renamed. After that it is only appended to, a line at a
//! time, each on the disk before anybody acts on it. As long as somebody has it open nobody else can.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};
use rustix::fs::{FlockOperation, flock};

use super::text::{ParseError, parse};
use super::{Entry, Header, State};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("cannot access the bisection's journal {}", path.display())]
    Io {
        /// The journal, also where its directory is at fault.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is one already.
    #[error("{} exists: a bisection was begun here; go on with it, or name another directory", path.display())]
    Exists {
        /// The journal that was to be created.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("{} is in use by another process; wait for it, or name another directory", path.display())]
    InUse {
        /// The journal; the other process holds its `flock`.
        path: PathBuf,
    },
    /// It is no journal, its format is another one, or a line in the middle is damaged.
    #[error("{}: {source}; move the directory away to start over", path.display())]
    Parse {
        /// The journal that was to be resumed.
        path: PathBuf,
        /// The line, and what is wrong there.
        source: ParseError,
    },
    /// It is the journal of another bisection.
    #[error(
        "{} belongs to another bisection: {}; ask for the same one to go on with it, or name another directory",
        path.display(), differences.join(", ")
    )]
    Foreign {
        /// The journal that was to be resumed.
        path: PathBuf,
        /// Each a clause: "the seed is 1 there and 2 now".
        differences: Vec<String>,
    },
}

impl ExitError for JournalError {
    fn exit(&self) -> Exit {
        match self {
            JournalError::Io { .. } => Exit::CannotCreate,
            JournalError::Parse { .. } | JournalError::Foreign { .. } => Exit::Data,
            JournalError::Exists { .. } | JournalError::InUse { .. } => Exit::Internal,
        }
    }
}

/// Opens a journal that nobody has open; as long as the file is open nobody goes on with it.
fn locked(path: &Path) -> Result<File, JournalError> {
    let io = |source| JournalError::Io {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { path: path.to_owned() }),
        Err(errno) => Err(io(errno.into())),
    }
}

/// Removes a journal after what it is about. `before` removes that while nobody can go on with it.
///
/// # Errors
/// Somebody has it open, or it cannot be removed.
pub fn remove<E: From<JournalError>>(path: &Path, before: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    let _file = locked(path)?;
    before()?;
    std::fs::remove_file(path).map_err(|source| {
        E::from(JournalError::Io {
            path: path.to_owned(),
            source,
        })
    })
}

/// A journal, open for one process.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Its length, all whole lines.
    len: u64,
    state: State,
}

/// A journal that was gone on with.
#[derive(Debug)]
pub struct Resumed {
    /// Locked, with the state that its entries lead to.
    pub journal: Journal,
    /// What a person should know: a last line that was cut short, other versions than at the beginning.
    pub notices: Vec<String>,
}

impl Journal {
    /// Begins a bisection.
    ///
    /// # Errors
    /// There is a journal already, or it cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Journal, JournalError> {
        let io = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        let mut line = serde_json::to_vec(header).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        let mut beside = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(dir)
            .map_err(io)?;
        beside.write_all(&line).map_err(io)?;
        beside.as_file().sync_all().map_err(io)?;
        // Locked before anybody can see it.
        flock(beside.as_file().as_fd(), FlockOperation::NonBlockingLockExclusive).map_err(|errno| io(errno.into()))?;
        let file = beside
            .persist_noclobber(path)
            .map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => JournalError::Exists { path: path.to_owned() },
                _ => io(error.error),
            })?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        Ok(Journal {
            path: path.to_owned(),
            file,
            len: line.len() as u64,
            state: State::default(),
        })
    }

    /// Goes on with a bisection.
    ///
    /// # Errors
    /// There is none, it is another one, it is damaged, or somebody has it open.
    pub fn resume(path: &Path, wanted: &Header) -> Result<Resumed, JournalError> {
        let io = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = locked(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let parsed = parse(&text).map_err(|source| JournalError::Parse {
            path: path.to_owned(),
            source,
        })?;
        let differences = parsed.header.differences(wanted);
        if !differences.is_empty() {
            return Err(JournalError::Foreign {
                path: path.to_owned(),
                differences,
            });
        }
        let mut notices = parsed.header.other_versions(wanted);
        let mut len = parsed.whole as u64;
        if parsed.whole < text.len() {
            notices.push(format!(
                "{}: the last line was cut short ({} bytes) and is left out; what it was about is done again",
                path.display(),
                text.len() - parsed.whole
            ));
            file.set_len(len).map_err(io)?;
        }
        file.seek(SeekFrom::Start(len)).map_err(io)?;
        if parsed.open_ended {
            file.write_all(b"\n").map_err(io)?;
            len += 1;
        }
        file.sync_all().map_err(io)?;
        Ok(Resumed {
            journal: Journal {
                path: path.to_owned(),
                file,
                len,
                state: State::of(&parsed.entries),
            },
            notices,
        })
    }

    /// Writes an entry down. When this returns it outlives whatever happens next.
    ///
    /// # Errors
    /// It cannot be written; the journal is then as before.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let io = |source| JournalError::Io {
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(entry).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // Half a line must not stand before the next one. If this fails, too, a resume leaves it out.
            let _ = self
                .file
                .set_len(self.len)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            return Err(io(error));
        }
        self.len += line.len() as u64;
        self.state.take(entry);
        Ok(())
    }

    /// What follows from all entries so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has just forked has the file open, too, until it becomes
        // another program.
        let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests;
