//! The index of a user's working copy, of which a copy tells which files need not be read again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::SourceError;
use host::cache::CacheError;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(1800);

/// Copies an index.
///
/// # Errors
/// There is none, or the copy cannot be written.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    // A file that is no older than the index may have changed after it was looked at; git then reads the file.
    let written = fs::metadata(from)?.modified()?;
    File::options().append(true).open(to)?.set_modified(written)
}

/// Takes the marks off an index by which git passes over files that are there, whatever they hold.
///
/// # Errors
/// git fails.
pub(super) fn look_at_all(
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    top: &Path,
    index: &Path,
) -> Result<(), SourceError> {
    let listed = tool::run_ok(&mut git(&["ls-files", "-v", "-z"])?, DEADLINE)?.stdout;
    let files = || {
        listed
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.split_at_checked(2))
    };
    let assumed = files().filter(|(tag, _)| tag[0].is_ascii_lowercase());
    let skipped = files().filter(|(tag, path)| {
        // What a sparse checkout leaves out is source all the same.
        tag[0].eq_ignore_ascii_case(&b'S') && fs::symlink_metadata(top.join(OsStr::from_bytes(path))).is_ok()
    });
    update(git, index, "--no-assume-unchanged", assumed.map(|(_, path)| path))?;
    update(git, index, "--no-skip-worktree", skipped.map(|(_, path)| path))
}

fn update<'a>(
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    index: &Path,
    option: &str,
    paths: impl Iterator<Item = &'a [u8]>,
) -> Result<(), SourceError> {
    let list: Vec<u8> = paths.flat_map(|path| [path, &[0]].concat()).collect();
    if list.is_empty() {
        return Ok(());
    }
    let file = index.with_extension("files");
    fs::write(&file, list).map_err(|source| CacheError::io("write", &file, source))?;
    let mut command = git(&["update-index", option, "-z", "--stdin"])?;
    command.stdin(File::open(&file).map_err(|source| CacheError::io("read", &file, source))?);
    tool::run_ok(&mut command, DEADLINE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_copy_is_as_old_as_the_index() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("index"), dir.path().join("copy"));
        fs::write(&from, "index").expect("a file");
        let old = SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_123);
        let file = File::options().append(true).open(&from).expect("a file");
        file.set_modified(old).expect("a time");
        copy(&from, &to).expect("a copy");
        assert_eq!(fs::metadata(&to).and_then(|copy| copy.modified()).expect("a time"), old);
    }
}
