//! Commits by the titles of patches: what a history has already need not be applied to it.

use std::path::Path;
use std::time::Duration;

use super::error::SourceError;
use super::repo::plain_git;
use host::tool;

/// Long enough for all of a kernel's history on a cold disk.
const DEADLINE: Duration = Duration::from_secs(1800);

/// A commit that has a patch, or takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TitledCommit {
    /// The commit's id.
    pub commit: String,
    /// The patch's title.
    pub title: String,
    /// Whether it takes the patch back.
    pub is_revert: bool,
}

/// The commits of a revision's history that have patches of some titles or take them back, the newest first.
///
/// # Errors
/// git fails.
pub fn find(repository: &Path, rev: &str, titles: &[&str]) -> Result<Vec<TitledCommit>, SourceError> {
    if titles.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = plain_git()?;
    command.arg("-C").arg(repository).env("GIT_OPTIONAL_LOCKS", "0");
    command.args([
        "-c",
        "log.showSignature=false",
        "log",
        "--no-color",
        "--topo-order",
        "--format=%H%x09%s",
    ]);
    command
        .arg("--fixed-strings")
        .args(titles.iter().map(|title| format!("--grep={title}")));
    let finished = tool::run_ok(command.args(["--end-of-options", rev, "--"]), DEADLINE)?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let of = |line: &str| {
        let (commit, subject) = line.split_once('\t')?;
        let quoted = |word: &str| subject.strip_prefix(word)?.strip_suffix('"');
        let reverted = quoted("Revert \"");
        let title = reverted.or_else(|| quoted("Reapply \"")).unwrap_or(subject);
        titles.contains(&title).then(|| TitledCommit {
            commit: commit.to_owned(),
            title: title.to_owned(),
            is_revert: reverted.is_some(),
        })
    };
    Ok(text.lines().filter_map(of).collect())
}

/// Of what was found, the titles that are there, each with its commit; `is_in` says whether a commit counts.
///
/// # Errors
/// What `is_in` fails with.
pub fn there<E>(found: &[TitledCommit], is_in: impl Fn(&str) -> Result<bool, E>) -> Result<Vec<(String, String)>, E> {
    let mut decided: Vec<&str> = Vec::new();
    let mut there = Vec::new();
    for one in found {
        // The newest word on a patch counts.
        if decided.contains(&one.title.as_str()) || !is_in(&one.commit)? {
            continue;
        }
        decided.push(&one.title);
        if !one.is_revert {
            there.push((one.title.clone(), one.commit.clone()));
        }
    }
    Ok(there)
}
