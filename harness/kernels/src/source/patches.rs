//! Patches: files, mailboxes and directories of them, applied to a tree by git without a working copy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SourceError;
use super::repo::{Repo, Tree, digest};
use host::cache::{self, Cache, CacheError};
use host::tool;

const DEADLINE: Duration = Duration::from_secs(600);
const FOLDER: &str = "patched";

/// Applies patches in their order.
///
/// # Errors
/// One of them cannot be read, holds nothing, or does not apply; the error has git's own words.
pub fn apply(repo: &Repo, cache: &Cache, tree: Tree, patches: &[PathBuf]) -> Result<Tree, SourceError> {
    if patches.is_empty() {
        return Ok(tree);
    }
    let files = files(patches)?;
    let contents = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<&[u8]> = vec![tree.id.as_bytes()];
    parts.extend(contents.iter().map(Vec::as_slice));
    let reference = format!("refs/patched/{}", digest(&parts));
    let names: Vec<_> = files
        .iter()
        .filter_map(|path| path.file_stem())
        .map(|name| name.to_string_lossy())
        .collect();
    let name = format!("{} + {}", tree.name, names.join(" + "));
    if let Some(id) = repo.named(&reference)? {
        return Ok(Tree { id, name, ..tree });
    }
    let scratch = cache.scratch(FOLDER)?;
    let index = scratch.path().join("index");
    let git = |args: &[&str]| {
        let mut command = repo.git(&tree.alternates)?;
        command.args(args).env("GIT_INDEX_FILE", &index);
        Ok::<_, tool::ToolError>(command)
    };
    tool::run_ok(&mut git(&["read-tree", &tree.id])?, DEADLINE)?;
    let mut to = tree.name.clone();
    for (path, content) in files.iter().zip(&contents) {
        for patch in mails(path, content, scratch.path())? {
            let mut command = git(&["apply", "--cached", "--whitespace=nowarn"])?;
            let finished = tool::run(command.arg(&patch), DEADLINE)?;
            if !finished.status.success() {
                if cache::is_full(scratch.path()) {
                    return Err(CacheError::DiskFull {
                        path: scratch.path().to_owned(),
                    }
                    .into());
                }
                return Err(SourceError::Patch {
                    patch: path.clone(),
                    to,
                    reason: indented(&String::from_utf8_lossy(&finished.stderr)),
                });
            }
        }
        to = format!("{to} + {}", path.file_stem().unwrap_or_default().to_string_lossy());
    }
    let id = repo.line(&mut git(&["write-tree"])?)?;
    repo.name(&reference, &id, &tree.alternates)?;
    Ok(Tree { id, name, ..tree })
}

/// One patch of a series, taken out of its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    /// What git applies.
    pub file: PathBuf,
    /// The subject of its mail, or the name of its file.
    pub subject: String,
}

/// Every single patch of files, mailboxes and directories of them, in order; mails are decoded into `into`.
///
/// # Errors
/// One of them cannot be read, or holds nothing.
pub fn each(patches: &[PathBuf], into: &Path) -> Result<Vec<Single>, SourceError> {
    let mut all = Vec::new();
    for path in files(patches)? {
        let content = read(&path)?;
        for file in mails(&path, &content, into)? {
            // A mail that was decoded lies beside its diff.
            let mail = file.with_extension("");
            let text = if mail.is_file() { read(&mail)? } else { content.clone() };
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let subject = subject(&String::from_utf8_lossy(&text)).unwrap_or(name);
            all.push(Single { file, subject });
        }
    }
    Ok(all)
}

/// The subject in a mail's head, without what stands before it in brackets.
fn subject(mail: &str) -> Option<String> {
    let mut head = mail
        .lines()
        .take_while(|line| !line.is_empty())
        .skip_while(|line| !line.starts_with("Subject:"));
    let mut subject = head.next()?.trim_start_matches("Subject:").trim().to_owned();
    for more in head.take_while(|line| line.starts_with([' ', '\t'])) {
        subject.push(' ');
        subject.push_str(more.trim());
    }
    while let Some((_, rest)) = subject.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        subject = rest.trim().to_owned();
    }
    (!subject.is_empty()).then_some(subject)
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The files that are meant: a directory's `series`, or its `*.patch`, `*.diff` and `*.mbox` by name.
fn files(patches: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for patch in patches {
        if !patch.is_dir() {
            files.push(patch.clone());
            continue;
        }
        let series = patch.join("series");
        let mut inside: Vec<PathBuf> = if series.is_file() {
            let text = String::from_utf8_lossy(&read(&series)?).into_owned();
            let names = text.lines().map(|line| line.split('#').next().unwrap_or_default());
            // What follows the name are options of quilt's.
            let names = names.filter_map(|line| line.split_whitespace().next());
            names.map(|name| patch.join(name)).collect()
        } else {
            let entries = std::fs::read_dir(patch).map_err(|source| SourceError::Read {
                path: patch.clone(),
                source,
            })?;
            let is_patch = |path: &PathBuf| {
                let extension = path.extension().unwrap_or_default();
                ["patch", "diff", "mbox"].iter().any(|known| extension == *known)
            };
            let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_patch).collect();
            found.sort();
            found
        };
        if inside.is_empty() {
            return Err(SourceError::NoPatch {
                patch: patch.clone(),
                reason: "expected a file `series`, or *.patch, *.diff or *.mbox in the directory".to_owned(),
            });
        }
        files.append(&mut inside);
    }
    Ok(files)
}

/// What git can apply: the file itself, or each of its mails decoded.
fn mails(path: &Path, content: &[u8], scratch: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let starts = |words: &str| content.starts_with(words.as_bytes());
    let is_mail = starts("From ") || starts("From:") || starts("Received:") || starts("Return-Path:");
    if !is_mail {
        if !content.windows(4).any(|bytes| bytes == b"\n@@ ")
            && !content.windows(11).any(|bytes| bytes == b"diff --git ")
        {
            return Err(SourceError::NoPatch {
                patch: path.to_owned(),
                reason: "expected a unified diff, a mail or a mailbox".to_owned(),
            });
        }
        return Ok(vec![path.canonicalize().unwrap_or_else(|_| path.to_owned())]);
    }
    let folder = tempfile::Builder::new()
        .prefix("mails")
        .tempdir_in(scratch)
        .map_err(|source| SourceError::Read {
            path: scratch.to_owned(),
            source,
        })?;
    let folder = folder.keep();
    let mut command = tool::command("git", "git")?;
    command
        .args(["mailsplit", "-b", "--keep-cr", &format!("-o{}", folder.display())])
        .arg("--")
        .arg(path);
    tool::run_ok(&mut command, DEADLINE)?;
    let mut mails: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    mails.sort();
    let mut patches = Vec::new();
    for mail in mails {
        let patch = mail.with_extension("diff");
        let mut command = tool::command("git", "git")?;
        command.arg("mailinfo").arg(mail.with_extension("message")).arg(&patch);
        let input = std::fs::File::open(&mail).map_err(|source| SourceError::Read {
            path: mail.clone(),
            source,
        })?;
        tool::run_ok(command.stdin(input), DEADLINE)?;
        // A cover letter has none.
        if read(&patch)?.windows(4).any(|bytes| bytes == b"\n@@ ") {
            patches.push(patch);
        }
    }
    if patches.is_empty() {
        return Err(SourceError::NoPatch {
            patch: path.to_owned(),
            reason: "none of its mails holds a diff".to_owned(),
        });
    }
    Ok(patches)
}
