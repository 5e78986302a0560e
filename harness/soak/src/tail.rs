//! A device's trace, read as it grows.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};
use vhost_blk_api::trace::Record;

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// The file cannot be read.
    #[error("cannot read the trace {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A line is no record.
    #[error("{}: not a trace record: {line}", path.display())]
    Line { path: PathBuf, line: String },
}

impl ExitError for TailError {
    fn exit(&self) -> Exit {
        Exit::Internal
    }
}

/// A trace, and how far it was read.
#[derive(Debug)]
pub(crate) struct Tail {
    file: File,
    path: PathBuf,
    /// The begin of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Begins with the trace's first line.
    ///
    /// # Errors
    /// There is no such file.
    pub(crate) fn open(path: &Path) -> Result<Tail, TailError> {
        let file = File::open(path).map_err(|source| TailError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Tail {
            file,
            path: path.to_owned(),
            rest: Vec::new(),
        })
    }

    /// Hands on the lines that came since the last time.
    ///
    /// # Errors
    /// The file cannot be read, or a whole line is no record.
    pub(crate) fn read(&mut self, mut take: impl FnMut(&Record)) -> Result<(), TailError> {
        let read = self.file.read_to_end(&mut self.rest);
        read.map_err(|source| TailError::Read {
            path: self.path.clone(),
            source,
        })?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in self.rest[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record = serde_json::from_slice(line).map_err(|_| TailError::Line {
                path: self.path.clone(),
                line: String::from_utf8_lossy(line).into_owned(),
            })?;
            take(&record);
        }
        self.rest.drain(..whole);
        Ok(())
    }
}
