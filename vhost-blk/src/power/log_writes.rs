//! The history as a log of dm-log-writes, for its replay tools (`replay-log` of fstests, and those of others).
//!
//! The format is that of the kernel's `drivers/md/dm-log-writes.c`: a block with the super, then for every entry a
//! block with its header, and behind it the data. Replayed from the start onto a copy of the golden image it makes
//! every state that the disk went through. What was zeroed or discarded stands there as a discard, which the tools do
//! as zeros on a file; so does what was cut off a disk that was made smaller, for a log has no word for a size.
//!
//! Tried with the `replay-log` of fstests: logs of ext4, btrfs and xfs under Linux, and of random requests with resizes
//! between them, replayed whole, to every mark, by number and in two goes, are the disk byte for byte, and `btrfs
//! check` found every flush consistent.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::change::Content;

/// Unit of the log and of its sectors, in bytes.
const BLOCK: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1 << 0;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;
/// Bytes of an entry's header; a mark's name stands behind it in the same block, with a zero at its end.
const HEADER: usize = 32;
/// The mark at the end, as the kernel's target makes one: the tools cannot read a log without any entry.
const END: &str = "dm-log-writes-end";
/// Longest discard of one entry: the tools skip what is longer than 128 MiB.
const DISCARD_MAX: u64 = 64 << 20;

/// A step of the history, as an export sees it.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// What was put where, in bytes.
    Change(u64, &'a Content),
    /// What came before is durable.
    Flush,
    Mark(&'a str),
}

/// A log that could not be written; nothing stands at its path then.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// There is no history, or not all of it.
    #[error("the history does not go back to the golden image: {0}")]
    Incomplete(&'static str),
    #[error("cannot write the log {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl LogError {
    /// What the file system says, if it is that.
    pub(crate) fn io_error(&self) -> Option<&io::Error> {
        match self {
            LogError::Incomplete(_) => None,
            LogError::Io { source, .. } => Some(source),
        }
    }
}

/// Writes a log beside its path first, then renames it; returns how many entries it has.
pub(crate) fn write(
    path: &Path,
    steps: impl FnOnce(&mut dyn FnMut(Step<'_>) -> io::Result<()>) -> io::Result<()>,
) -> Result<u64, LogError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".partial-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let done = Out::create(&beside)
        .and_then(|mut out| {
            steps(&mut |step| out.step(step))?;
            out.step(Step::Mark(END))?;
            out.finish()
        })
        .and_then(|entries| std::fs::rename(&beside, path).map(|()| entries));
    if done.is_err() {
        // Best effort: the error that is told is the first one.
        let _ = std::fs::remove_file(&beside);
    }
    done.map_err(|source| LogError::Io {
        path: path.to_owned(),
        source,
    })
}

struct Out {
    file: BufWriter<File>,
    entries: u64,
}

impl Out {
    fn create(path: &Path) -> io::Result<Out> {
        let mut file = BufWriter::new(File::create(path)?);
        // The super comes last, when the number of entries is known.
        file.write_all(&[0; BLOCK as usize])?;
        Ok(Out { file, entries: 0 })
    }

    fn step(&mut self, step: Step<'_>) -> io::Result<()> {
        match step {
            Step::Change(offset, content) => self.change(offset / BLOCK, content),
            Step::Flush => self.header(0, 0, FLUSH, b""),
            Step::Mark(name) => self.header(0, 0, MARK, name.as_bytes()),
        }
    }

    fn change(&mut self, sector: u64, content: &Content) -> io::Result<()> {
        match content {
            Content::Bytes(bytes) => {
                self.header(sector, bytes.len() as u64 / BLOCK, 0, b"")?;
                self.file.write_all(bytes)
            }
            Content::Zeros(len) | Content::Golden(len) => {
                for at in (0..*len).step_by(DISCARD_MAX as usize) {
                    let sectors = (len - at).min(DISCARD_MAX) / BLOCK;
                    self.header(sector + at / BLOCK, sectors, DISCARD, b"")?;
                }
                Ok(())
            }
        }
    }

    fn header(&mut self, sector: u64, sectors: u64, flags: u64, data: &[u8]) -> io::Result<()> {
        let data = data
            .get(..data.len().min(BLOCK as usize - HEADER - 1))
            .unwrap_or_default();
        let mut block = [0; BLOCK as usize];
        let words = [sector, sectors, flags, data.len() as u64];
        for (to, word) in block.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        for (to, from) in block.iter_mut().skip(HEADER).zip(data) {
            *to = *from;
        }
        self.entries += 1;
        self.file.write_all(&block)
    }

    fn finish(mut self) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(0))?;
        for word in [MAGIC, VERSION, self.entries] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(&(BLOCK as u32).to_le_bytes())?;
        self.file.flush()?;
        Ok(self.entries)
    }
}
