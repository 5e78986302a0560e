//! Patches: files, mailboxes and directories of them, applied to a tree by git without a working copy.
//!
//! `input` finds and unpacks files, `mbox` and `current` split mailboxes, `decode`, `parts` and `encoding` make a
//! `mail`, `plain` reads what is none, and `diff` and `names` find what is applied; `subject`, `links`, `sift`,
//! `series` and `thread` choose among mails as `b4 am` does; `place` tells patches for another source.

mod apply;
mod current;
mod decode;
mod diff;
mod encoding;
mod input;
mod links;
mod mail;
mod mbox;
mod names;
mod parts;
mod place;
mod plain;
mod series;
mod sift;
mod subject;
mod thread;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SourceError;
use super::repo::{Repo, Tree, digest};
pub use apply::apply;
use diff::Diff;
use host::cache::{self, Cache, CacheError};
use host::tool;
use host::words::counted;
use mail::Mail;
use place::Place;

const DEADLINE: Duration = Duration::from_secs(600);
const FOLDER: &str = "patched";
/// Patches that are named one by one where a tree is named after them.
const NAMED_MAX: usize = 8;

/// What is applied to a tree, in order.
#[derive(Debug, Clone, Default)]
pub struct PatchSet {
    /// The patches, each with what it is called.
    pub patches: Vec<Patch>,
    /// What a person should know: what was left out, sorted, or is missing.
    pub notes: Vec<String>,
    /// The commit that the mails say they were made for.
    pub base_commit: Option<String>,
    /// Files and directories that were named, as a tree is called after them.
    name: String,
    /// Parts of series that are not there.
    missing: Vec<String>,
    /// Directories that they make at the top.
    tops: HashSet<String>,
}

/// One patch.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The subject of its mail, or the name of its file.
    pub title: String,
    /// What an error calls it.
    name: String,
    /// Whether its title is that of a commit.
    is_titled: bool,
    diff: Diff,
    /// Other ways to read it, which its mail allows.
    others: Vec<Diff>,
    strip: usize,
    is_reversed: bool,
    is_flowed: bool,
}

impl PatchSet {
    /// Reads files, mailboxes and directories, and chooses what is to be applied to a tree.
    ///
    /// # Errors
    /// One of them cannot be read or holds no patch, or what is meant cannot be told.
    pub fn read(repo: &Repo, tree: &Tree, paths: &[PathBuf]) -> Result<PatchSet, SourceError> {
        let mut set = PatchSet::default();
        let (mut names, mut is_listed) = (Vec::new(), false);
        let mut place = Place::default();
        for path in paths {
            let input = input::read(path)?;
            is_listed |= input.is_listed;
            names.extend(input.entries.iter().map(|entry| input::stem(&entry.path)));
            set.notes.extend(input.notes);
            place.learn(repo, tree, input.entries.iter().flat_map(|entry| &entry.mails))?;
            if input.is_listed {
                for entry in input.entries {
                    if entry.mails.iter().all(|mail| mail.diffs.is_empty()) {
                        set.notes
                            .push(format!("left out: {} holds no diff", entry.path.display()));
                        continue;
                    }
                    let level = (entry.strip, entry.is_reversed);
                    set.take(&entry.path, entry.mails, &place, level, &|_, _| false)?;
                }
            } else {
                let mails = input.entries.into_iter().flat_map(|entry| entry.mails).collect();
                // A patch that was named by itself is meant for this source, whatever it looks like.
                let is_foreign =
                    |mail: &Mail, diff: &Diff| mail.subject.is_some() && place.is_foreign(diff, mail.tag.names_project);
                set.take(path, mails, &place, (None, false), &is_foreign)?;
            }
        }
        if set.patches.is_empty() {
            let patch = paths.first().cloned().unwrap_or_default();
            let reason = set.notes.join("; ");
            return Err(SourceError::NoPatch { patch, reason });
        }
        // Of files that are named one by one, each may be a part.
        if paths.len() > 1 || is_listed {
            set.missing.clear();
        }
        set.notes.extend_from_slice(&set.missing);
        let more = names.len().saturating_sub(NAMED_MAX);
        names.truncate(NAMED_MAX);
        set.name = names.join(" + ");
        if more > 0 {
            set.name += &format!(" + {more} more");
        }
        Ok(set)
    }

    /// Takes what is to be applied of the mails of a file or directory.
    fn take(
        &mut self,
        path: &Path,
        mails: Vec<Mail>,
        place: &Place,
        (strip, is_reversed): (Option<usize>, bool),
        is_foreign: &dyn Fn(&Mail, &Diff) -> bool,
    ) -> Result<(), SourceError> {
        let selected = thread::select(mails, is_foreign).map_err(|reason| SourceError::NoPatch {
            patch: path.to_owned(),
            reason,
        })?;
        self.notes.extend(selected.notes);
        self.base_commit = self.base_commit.take().or(selected.base);
        self.missing.extend(selected.missing);
        // Of a file that an earlier patch makes, the source tells nothing.
        let mut diffs = selected.mails.iter().flat_map(|mail| &mail.diffs);
        let usual = diffs.find_map(|titled| place.strip(&titled.diff)).unwrap_or(1);
        for mail in selected.mails {
            let name = match &mail.subject {
                Some(_) => format!("{} ({})", mail.name(), mail.place),
                None => mail.place.clone(),
            };
            for titled in mail.diffs {
                let strip = strip.or_else(|| place.strip(&titled.diff)).unwrap_or(usual);
                let top = place.new_top(&titled.diff, strip).map(str::to_owned);
                if let Some(top) = top.filter(|top| self.tops.insert(top.clone())) {
                    let made = format!("a directory {top} is made at the top of the source by {name}");
                    self.notes.push(made);
                }
                self.patches.push(Patch {
                    is_titled: mail.subject.is_some(),
                    title: titled.title,
                    name: name.clone(),
                    strip,
                    diff: titled.diff,
                    others: titled.others,
                    is_reversed,
                    is_flowed: mail.is_flowed,
                });
            }
        }
        Ok(())
    }

    /// What the commits of its patches are called, as far as that is known.
    #[must_use]
    pub fn titles(&self) -> Vec<&str> {
        let titled = self.patches.iter().filter(|patch| patch.is_titled);
        titled.map(|patch| patch.title.as_str()).collect()
    }

    /// The set without the patches of some titles.
    #[must_use]
    pub fn without(&self, titles: &[String]) -> PatchSet {
        let mut set = self.clone();
        set.patches.retain(|patch| !titles.contains(&patch.title));
        set
    }

    /// Applies all of them.
    ///
    /// # Errors
    /// One does not apply; the error has git's own words.
    pub fn apply(&self, repo: &Repo, cache: &Cache, tree: Tree) -> Result<Tree, SourceError> {
        if self.patches.is_empty() {
            return Ok(tree);
        }
        let options: Vec<String> = self.patches.iter().map(|patch| patch.options().join(" ")).collect();
        let mut parts: Vec<&[u8]> = vec![tree.id.as_bytes()];
        for (patch, options) in self.patches.iter().zip(&options) {
            parts.push(options.as_bytes());
            parts.extend(patch.forms());
        }
        let reference = format!("refs/patched/{}", digest(&parts));
        let name = format!("{} + {}", tree.name, self.name);
        if let Some(id) = repo.named(&reference)? {
            return Ok(Tree { id, name, ..tree });
        }
        let mut states = self.states(repo, cache, &tree)?;
        let id = states.pop().unwrap_or(tree.id);
        repo.name(&reference, &id, &tree.alternates)?;
        Ok(Tree { id, name, ..tree })
    }

    /// Applies one after the other: the ids of the trees that come of it.
    ///
    /// # Errors
    /// One does not apply.
    pub fn states(&self, repo: &Repo, cache: &Cache, tree: &Tree) -> Result<Vec<String>, SourceError> {
        let scratch = cache.scratch(FOLDER)?;
        let index = scratch.path().join("index");
        let file = scratch.path().join("patch");
        let git = |args: &[&str]| {
            let mut command = repo.git(&tree.alternates)?;
            command.args(args).env("GIT_INDEX_FILE", &index);
            Ok::<_, tool::ToolError>(command)
        };
        tool::run_ok(&mut git(&["read-tree", &tree.id])?, DEADLINE)?;
        let mut ids = Vec::new();
        for (at, patch) in self.patches.iter().enumerate() {
            // A person's own settings change nothing in it.
            let words = [
                "-c",
                "apply.ignoreWhitespace=no",
                "apply",
                "--cached",
                "--whitespace=nowarn",
            ];
            let options = patch.options();
            let apply = |diff: &[u8], more: &[&str]| {
                let written = std::fs::write(&file, diff);
                written.map_err(|error| CacheError::io("create", &file, error))?;
                let mut command = git(&words)?;
                command.args(options.iter().map(String::as_str)).args(more).arg(&file);
                Ok::<_, SourceError>(tool::run(&mut command, DEADLINE)?)
            };
            let finished = apply(&patch.diff.bytes, &[])?;
            let mut is_applied = finished.status.success();
            for other in patch.forms().skip(1) {
                is_applied = is_applied || apply(other, &[])?.status.success();
            }
            if !is_applied {
                if cache::is_full(scratch.path()) {
                    let path = scratch.path().to_owned();
                    return Err(CacheError::DiskFull { path }.into());
                }
                let other = if patch.is_reversed { "--no-reverse" } else { "-R" };
                let is_there = apply(&patch.diff.bytes, &[other, "--check"])?.status.success();
                let blanks = ["--ignore-whitespace", "--check"];
                let is_blanks = !is_there && apply(&patch.diff.bytes, &blanks)?.status.success();
                return Err(self.unfit(at, tree, &finished.stderr, (is_there, is_blanks)));
            }
            ids.push(repo.line(&mut git(&["write-tree"])?)?);
        }
        Ok(ids)
    }

    /// Why a patch does not apply.
    fn unfit(&self, at: usize, tree: &Tree, said: &[u8], (is_there, is_blanks): (bool, bool)) -> SourceError {
        let patch = &self.patches[at];
        let before: Vec<&str> = self.patches[..at].iter().map(|patch| patch.title.as_str()).collect();
        let to = match before.len() {
            0 => tree.name.clone(),
            1..=2 => format!("{} + {}", tree.name, before.join(" + ")),
            more => format!("{} + {}", tree.name, counted(more, "patch")),
        };
        let mut reason = indented(&String::from_utf8_lossy(said));
        let mut hint = |words: &str| reason += &format!("\n  {words}");
        if is_there {
            hint("its change is in this source already: leave the patch out");
        }
        if is_blanks {
            hint("with other blanks it applies: a mail program changed its tabs; take it from the list's archive");
        }
        if patch.is_flowed {
            hint("the mail is `format=flowed`: a mail program may have wrapped its lines or changed its blanks");
        }
        self.missing.iter().for_each(|missing| hint(missing));
        if let Some(base) = self.base_commit.as_deref().filter(|_| !is_there) {
            hint(&format!(
                "the mails say that it was made for the commit {base} (base-commit)"
            ));
        }
        SourceError::Patch {
            patch: patch.name.clone(),
            to,
            reason,
        }
    }
}

impl Patch {
    /// What is tried to apply, in order: as it was sent; in UTF-8, which is what b4 makes of it; and without what
    /// `format=flowed` added, as `git am` does.
    fn forms(&self) -> impl Iterator<Item = &[u8]> {
        let diffs = std::iter::once(&self.diff).chain(&self.others);
        diffs.map(|diff| diff.bytes.as_slice())
    }

    /// git's options for it.
    fn options(&self) -> Vec<String> {
        let mut options = vec![format!("-p{}", self.strip)];
        options.extend(self.is_reversed.then(|| "-R".to_owned()));
        options
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
