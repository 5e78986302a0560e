//! What a build reads: the files that its compiler and its makefiles really looked at, and so what its result depends
//! on.
//!
//! Kbuild leaves a `.NAME.o.cmd` beside every object, with the source and all headers that went into it
//! (scripts/basic/fixdep.c writes them; the tools' own builds write the same form). Makefiles, scripts and tables leave
//! no trace. So every file that is neither source nor documentation counts as read if it lies in a directory that
//! something was read from, or in one above it, and so do whole directories of tools. Kconfig files do not count: what
//! they decide is the configuration, which is part of an artifact's name by itself.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::source::Listing;
use super::super::store::hex;

/// Directories of which everything counts as read: tools and what they make things of.
const WHOLE: [&str; 11] = [
    "scripts/",
    "tools/build/",
    "tools/include/",
    "tools/lib/",
    "tools/objtool/",
    "tools/scripts/",
    "tools/arch/x86/",
    "arch/x86/tools/",
    "arch/x86/entry/syscalls/",
    "arch/x86/lib/",
    "usr/",
];
/// Endings of files that count only if something names them.
const NAMED_ONLY: [&str; 8] = [".c", ".h", ".S", ".rst", ".txt", ".rs", ".dts", ".dtsi"];

/// Links that one path may lead through; the kernel gives up at as many.
const LINKS_MAX: usize = 40;

/// Why nobody can say what a build reads.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The directory of its objects cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It read what is not in the source.
    #[error("{link} is a link to {}, which lies outside of the source", target.display())]
    Outside {
        /// The link, from the source's top.
        link: String,
        /// Where it leads.
        target: PathBuf,
    },
}

/// The files that a build reads, relative to the source, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Closure {
    files: Vec<String>,
}

impl Closure {
    /// Reads it from a finished build's directory; `all` is the source that was built.
    ///
    /// # Errors
    /// The directory cannot be read, or the build read something through a link that leads out of the source.
    pub fn of_build(objects: &Path, source: &Path, all: &Listing) -> Result<Self, ClosureError> {
        let mut reading = Reading {
            objects,
            source,
            all,
            named: HashSet::new(),
            entered: HashSet::new(),
            seen: HashSet::new(),
            outside: None,
        };
        reading.walk(objects)?;
        if let Some((link, target)) = reading.outside {
            return Err(ClosureError::Outside { link, target });
        }
        Ok(Closure::new(reading.named, &reading.entered, all))
    }

    /// What was named by the build, and what goes with it: with each file and with each directory that make went into.
    fn new(named: HashSet<String>, entered: &HashSet<String>, all: &Listing) -> Self {
        let mut folders: HashSet<&str> = entered.iter().map(String::as_str).chain([""]).collect();
        for path in &named {
            let mut folder = path.as_str();
            while let Some((parent, _)) = folder.rsplit_once('/') {
                folders.insert(parent);
                folder = parent;
            }
        }
        let goes_with = |path: &&String| {
            if WHOLE.iter().any(|whole| path.starts_with(whole)) {
                return true;
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            folders.contains(folder)
                && !NAMED_ONLY.iter().any(|ending| name.ends_with(ending))
                && !is_kconfig(path)
                && !path.starts_with("Documentation/")
        };
        let more: Vec<String> = all.keys().filter(goes_with).cloned().collect();
        let files: BTreeSet<String> = named.into_iter().chain(more).filter(|path| !is_kconfig(path)).collect();
        Closure {
            files: files.into_iter().collect(),
        }
    }

    /// With more files.
    #[must_use]
    pub(crate) fn and(self, more: Vec<String>) -> Self {
        let files: BTreeSet<String> = self.files.into_iter().chain(more).collect();
        Closure {
            files: files.into_iter().collect(),
        }
    }

    /// One that was kept.
    #[must_use]
    pub fn from_files(files: Vec<String>) -> Self {
        Closure { files }
    }

    #[must_use]
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// What it says of single paths.
    #[must_use]
    pub fn reach(&self) -> Reach<'_> {
        Reach {
            known: self.files.iter().map(String::as_str).collect(),
            names: self.files.iter().map(|path| base_name(path)).collect(),
            folders: self.files.iter().map(|path| folder_of(path)).collect(),
        }
    }

    /// The sum of what these files hold in a tree. Nothing if a build of that tree might read others: a file is gone,
    /// or a new one could be found in an old one's place or be read beside it.
    #[must_use]
    pub(crate) fn sum(&self, all: &Listing, before: &HashSet<String>) -> Option<String> {
        let reach = self.reach();
        let could_be_read = |path: &String| !before.contains(path) && !reach.reads(path) && reach.could_read(path);
        if all.keys().any(could_be_read) {
            return None;
        }
        let mut sum = Sha256::new();
        for path in &self.files {
            sum.update(path);
            sum.update([0]);
            sum.update(all.get(path)?);
            sum.update([b'\n']);
        }
        Some(hex(&sum.finalize()))
    }
}

/// Which paths a build reads, and which it could.
#[derive(Debug)]
pub struct Reach<'a> {
    known: HashSet<&'a str>,
    names: HashSet<&'a str>,
    folders: HashSet<&'a str>,
}

impl Reach<'_> {
    /// Whether the build read this file.
    #[must_use]
    pub fn reads(&self, path: &str) -> bool {
        self.known.contains(path)
    }

    /// Whether a build would, or might, read this file if it were new.
    #[must_use]
    pub fn could_read(&self, path: &str) -> bool {
        !is_kconfig(path)
            && (self.names.contains(base_name(path))
                || WHOLE.iter().any(|whole| path.starts_with(whole))
                || (self.folders.contains(folder_of(path)) && !NAMED_ONLY.iter().any(|ending| path.ends_with(ending))))
    }
}

/// Whether a file is one of those that decide which options there are.
#[must_use]
pub fn is_kconfig(path: &str) -> bool {
    base_name(path).starts_with("Kconfig")
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What is collected while the `.cmd` files of a build are read.
struct Reading<'a> {
    objects: &'a Path,
    source: &'a Path,
    all: &'a Listing,
    /// Files of the source that a `.cmd` file names.
    named: HashSet<String>,
    /// Directories that make went into.
    entered: HashSet<String>,
    /// Lines that were looked at and mean the same wherever they stand: most lines name a header, and most headers are
    /// named a thousand times.
    seen: HashSet<Vec<u8>>,
    /// The first link that leads out of the source, and where to.
    outside: Option<(String, PathBuf)>,
}

impl Reading<'_> {
    fn walk(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if let Ok(path) = entry.path().strip_prefix(self.objects) {
                    self.enter(path.to_string_lossy().into_owned());
                }
                self.walk(&entry.path())?;
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(".cmd") {
                self.read(folder, &std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    fn enter(&mut self, path: String) {
        let (links, place) = self.follow(&path);
        self.named.extend(links);
        self.entered.extend([path, place]);
    }

    /// Takes the files of the source that a path leads through: links, and the file at its end.
    fn name(&mut self, path: &str) {
        let (links, place) = self.follow(path);
        self.named.extend(links);
        if self.all.contains_key(&place) {
            self.named.insert(place);
        }
    }

    /// The links of the source that a path leads through, and where it leads.
    fn follow(&mut self, path: &str) -> (Vec<String>, String) {
        let (mut links, mut path) = (Vec::new(), path.to_owned());
        while links.len() < LINKS_MAX {
            // No directory is listed: what goes on behind a name that is there leads through a link.
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            let link = ends.map(|end| &path[..end]).find(|start| self.all.contains_key(*start));
            let Some((link, target)) = link.and_then(|link| Some((link, self.source.join(link).read_link().ok()?)))
            else {
                break;
            };
            let rest = path[link.len()..].trim_start_matches('/');
            let folder = self.source.join(folder_of(link));
            let place = plain(&folder.join(&target).join(rest));
            links.push(link.to_owned());
            match place.strip_prefix(self.source) {
                Ok(place) => path = place.to_string_lossy().into_owned(),
                Err(_) => {
                    if place.exists() && self.outside.is_none() {
                        self.outside = Some((link.to_owned(), target));
                    }
                    break;
                }
            }
        }
        (links, path)
    }

    fn read(&mut self, folder: &Path, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            if self.seen.contains(line) {
                continue;
            }
            for word in words(&String::from_utf8_lossy(line)) {
                for path in within(word, folder, self.objects, self.source) {
                    if !self.named.contains(&path) {
                        self.name(&path);
                    }
                }
            }
            if !line.windows(2).any(|bytes| bytes == b"..") {
                self.seen.insert(line.to_vec());
            }
        }
    }
}

/// The paths in a line of a `.cmd` file. Those in the command itself do no harm: what it names, it reads or makes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '\\' | '(' | ')' | '"' | '\'' | ',' | ';' | '='))
        .map(|word| word.trim_end_matches(':'))
        .map(|word| {
            ["-I", "-imacros"]
                .iter()
                .find_map(|flag| word.strip_prefix(flag))
                .unwrap_or(word)
        })
        .filter(|word| word.contains(['/', '.']) && !word.starts_with('-'))
}

/// A word as a path relative to the source, if it is one: as it stands, relative to the objects, or to the `.cmd`
/// file's directory.
pub(super) fn within(word: &str, folder: &Path, objects: &Path, source: &Path) -> Vec<String> {
    let path = Path::new(word);
    let candidates: Vec<PathBuf> = if path.is_absolute() {
        vec![path.to_owned()]
    } else {
        vec![objects.join(path), folder.join(path), source.join(path)]
    };
    let relative = |path: PathBuf| {
        let plain = plain(&path);
        plain
            .strip_prefix(source)
            .ok()
            .map(|path| path.to_string_lossy().into_owned())
    };
    candidates
        .into_iter()
        .filter_map(relative)
        .filter(|path| !path.is_empty())
        .collect()
}

/// A path without `.` and `..`, as words: what it leads to is not looked at.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
