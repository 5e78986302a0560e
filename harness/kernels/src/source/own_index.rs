//! The index of a user's working copy: which files need not be read again, and which are not in the directory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::SourceError;
use super::local::Local;
use host::cache::CacheError;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(1800);

/// Makes an index of ours from a user's, without the marks by which git passes over files. It appears whole: one that
/// still had them would hide changes for ever.
///
/// # Errors
/// There is none, the copy cannot be written, git fails.
pub(super) fn seed(
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    from: &Path,
    index: &Path,
) -> Result<(), SourceError> {
    let fresh = index.with_extension("fresh");
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| CacheError::io(doing, &path, source)
    };
    copy(from, &fresh).map_err(io("copy to", &fresh))?;
    // Left by a run that was killed.
    let _ = fs::remove_file(index.with_extension("fresh.lock"));
    let git = |args: &[&str]| {
        let mut command = git(args)?;
        command.env("GIT_INDEX_FILE", &fresh);
        Ok(command)
    };
    let listed = tool::run_ok(&mut git(&["ls-files", "-v", "-z"])?, DEADLINE)?.stdout;
    let files = || {
        listed
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.split_at_checked(2))
    };
    let list = |is_marked: fn(u8) -> bool| -> Vec<u8> {
        let marked = files().filter(|(tag, _)| is_marked(tag[0]));
        marked.flat_map(|(_, path)| [path, &[0]].concat()).collect()
    };
    update(
        &git,
        index,
        &["--no-assume-unchanged"],
        &list(|tag| tag.is_ascii_lowercase()),
    )?;
    update(
        &git,
        index,
        &["--no-skip-worktree"],
        &list(|tag| tag.eq_ignore_ascii_case(&b'S')),
    )?;
    fs::rename(&fresh, index).map_err(io("rename into place", index))?;
    Ok(())
}

/// Copies an index.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // Before its content: another index may be put in its place meanwhile.
    let written = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    // A file that is no older than the index may have changed after it was looked at; git then reads the file.
    File::options().append(true).open(to)?.set_modified(written)
}

/// A file that an index has and its directory has not.
pub(super) struct LeftOut {
    /// As `git update-index --index-info` takes it.
    pub(super) entry: String,
    id: String,
}

/// What a user's index says is left out of the directory on purpose, and is not there.
///
/// # Errors
/// git cannot be run.
pub(super) fn left_out(local: &Local, top: &Path) -> Result<Vec<LeftOut>, SourceError> {
    let listed = local.ask(&["ls-files", "-t", "-s", "-z"])?.stdout;
    let text = String::from_utf8_lossy(&listed);
    let of = |entry: &str| {
        let entry = entry.strip_prefix("S ")?;
        let (head, path) = entry.split_once('\t')?;
        let is_absent =
            fs::symlink_metadata(top.join(path)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let mut words = head.split(' ');
        let (_, id, stage) = (words.next()?, words.next()?, words.next()?);
        (is_absent && stage == "0").then(|| LeftOut {
            entry: entry.to_owned(),
            id: id.to_owned(),
        })
    };
    Ok(text.split('\0').filter_map(of).collect())
}

/// Keeps those whose content is here; a partial clone lacks some.
///
/// # Errors
/// git fails.
pub(super) fn retain_fetched(
    files: &mut Vec<LeftOut>,
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    index: &Path,
) -> Result<(), SourceError> {
    let ids: Vec<String> = files.iter().map(|file| format!("{}\n", file.id)).collect();
    let mut command = git(&["cat-file", "--batch-check=%(objectname)"])?;
    command.stdin(written(index, ids.concat().as_bytes())?);
    let said = tool::run_ok(&mut command, DEADLINE)?.stdout;
    let said = String::from_utf8_lossy(&said);
    let missing: HashSet<&str> = said.lines().filter_map(|line| line.strip_suffix(" missing")).collect();
    files.retain(|file| !missing.contains(file.id.as_str()));
    Ok(())
}

/// Changes entries of an index; the list goes to `git update-index`, unless it is empty.
///
/// # Errors
/// git fails.
pub(super) fn update(
    git: &impl Fn(&[&str]) -> Result<Command, ToolError>,
    index: &Path,
    options: &[&str],
    list: &[u8],
) -> Result<(), SourceError> {
    if list.is_empty() {
        return Ok(());
    }
    let mut command = git(&["update-index", "-z"])?;
    command.args(options);
    if options != ["--index-info"] {
        command.arg("--stdin");
    }
    command.stdin(written(index, list)?);
    tool::run_ok(&mut command, DEADLINE)?;
    Ok(())
}

/// A list in a file beside an index, to be read.
fn written(index: &Path, list: &[u8]) -> Result<File, CacheError> {
    let file = index.with_extension("files");
    fs::write(&file, list).map_err(|source| CacheError::io("write", &file, source))?;
    File::open(&file).map_err(|source| CacheError::io("read", &file, source))
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

    #[test]
    fn an_index_that_still_has_its_marks_is_not_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, index) = (dir.path().join("index"), dir.path().join("ours"));
        let plain = |args: &[&str]| {
            let mut git = Command::new("git");
            git.args(args).current_dir(dir.path()).env("GIT_INDEX_FILE", &from);
            Ok::<_, ToolError>(git)
        };
        for args in [
            &["init", "-q"][..],
            &["add", "a.c"],
            &["update-index", "--assume-unchanged", "a.c"],
        ] {
            fs::write(dir.path().join("a.c"), "a").expect("a file");
            assert!(plain(args).and_then(|mut git| tool::run_ok(&mut git, DEADLINE)).is_ok());
        }
        // As if the run were killed at each of git's steps.
        for last in ["ls-files", "update-index"] {
            let git = |args: &[&str]| {
                let mut git = plain(args)?;
                if args[0] == last {
                    git.arg("--no-such-option");
                }
                Ok(git)
            };
            assert!(seed(&git, &from, &index).is_err());
            assert!(!index.exists(), "{last}");
        }
        seed(&plain, &from, &index).expect("an index");
        let mut list = plain(&["ls-files", "-v"]).expect("git");
        let listed = tool::run_ok(list.env("GIT_INDEX_FILE", &index), DEADLINE).expect("a list");
        assert_eq!(listed.text(), "H a.c\n");
    }
}
