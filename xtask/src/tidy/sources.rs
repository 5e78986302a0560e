//! The files that are looked at: those that git tracks and that exist, and those that it would not ignore.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::finding::{Finding, Kind};
use crate::tool::{self, ToolError};

/// Endings of files whose text some check reads.
const READ: [&str; 3] = [".rs", ".md", ".toml"];

/// Names of all files, relative to the root, and the texts of those that some check reads.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    texts: BTreeMap<String, String>,
    /// Files and the directories that they are in.
    names: BTreeSet<String>,
    /// Files with such an ending that cannot be read.
    pub(crate) unreadable: Vec<Finding>,
}

impl Sources {
    /// What git knows of below this root.
    ///
    /// # Errors
    /// git is missing, or it is no work tree of git's.
    pub(crate) fn read(root: &Path) -> Result<Sources, ToolError> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-co", "--exclude-standard", "-z"])
            .current_dir(root);
        let listed = tool::read(git)?;
        let mut sources = Sources::default();
        // A file that is tracked may be gone from the work tree.
        let there = |name: &&str| !name.is_empty() && root.join(name).symlink_metadata().is_ok();
        for name in listed.split('\0').filter(there) {
            sources.add_name(name);
            if READ.iter().any(|ending| name.ends_with(ending)) {
                match std::fs::read_to_string(root.join(name)) {
                    Ok(text) => {
                        sources.texts.insert(name.to_owned(), text);
                    }
                    Err(error) => {
                        let message = format!("it cannot be read ({error}), mend or remove it");
                        let finding = Finding::new(name, 1, Kind::Unreadable, message);
                        sources.unreadable.push(finding);
                    }
                }
            }
        }
        Ok(sources)
    }

    /// The given files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Sources {
        let mut sources = Sources::default();
        for (name, text) in files {
            sources.add_name(name);
            sources.texts.insert((*name).to_owned(), (*text).to_owned());
        }
        sources
    }

    fn add_name(&mut self, name: &str) {
        let mut name = name;
        while self.names.insert(name.to_owned()) {
            match name.rsplit_once('/') {
                Some((folder, _)) => name = folder,
                None => break,
            }
        }
    }

    /// Files with this ending: name and text.
    pub(crate) fn with_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter(move |(name, _)| name.ends_with(ending))
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Files with this ending in the directory or below.
    pub(crate) fn below(&self, folder: &str, ending: &str) -> impl Iterator<Item = &str> {
        let folder = format!("{folder}/");
        self.with_ending(ending)
            .map(|(name, _)| name)
            .filter(move |name| name.starts_with(&folder))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// As [`Sources::get`], for whoever reads files.
    pub(crate) fn text(&self, file: &Path) -> Result<String, String> {
        let text = file.to_str().and_then(|name| self.get(name));
        text.map(str::to_owned)
            .ok_or_else(|| "there is no such file".to_owned())
    }

    /// Whether a file or directory is there; the root is "".
    pub(crate) fn is_there(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use xshell::{Shell, cmd};

    use super::*;

    #[test]
    fn what_cannot_be_read_is_a_finding() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        let shell = Shell::new().expect("a shell");
        shell.change_dir(root);
        cmd!(shell, "git init --quiet").run().expect("git");
        std::os::unix::fs::symlink("gone.md", root.join("a.md")).expect("a link");
        std::fs::write(root.join("b.md"), [0xFF, b'\n']).expect("a file");
        let sources = Sources::read(root).expect("a work tree");
        let found: Vec<String> = sources.unreadable.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "a.md:1: it cannot be read (No such file or directory (os error 2)), mend or remove it",
                "b.md:1: it cannot be read (stream did not contain valid UTF-8), mend or remove it"
            ]
        );
    }

    #[test]
    fn ignored_and_deleted_files_are_not_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        let shell = Shell::new().expect("a shell");
        shell.change_dir(root);
        for (name, text) in [
            (".gitignore", "target\n"),
            ("a.rs", "a"),
            ("gone.rs", ""),
            ("docs/b.md", "b"),
            ("target/c.rs", ""),
            ("image.png", ""),
        ] {
            shell.write_file(name, text).expect("a file");
        }
        cmd!(shell, "git init --quiet").run().expect("git");
        cmd!(shell, "git add a.rs gone.rs image.png").run().expect("git");
        shell.remove_path("gone.rs").expect("a file");
        let sources = Sources::read(root).expect("a work tree");
        assert_eq!(
            sources.with_ending("").collect::<Vec<_>>(),
            [("a.rs", "a"), ("docs/b.md", "b")]
        );
        assert!(sources.is_there("docs") && sources.is_there("image.png") && sources.is_there(""));
        assert!(!sources.is_there("target") && !sources.is_there("gone.rs"));
        assert_eq!(sources.below("docs", ".md").collect::<Vec<_>>(), ["docs/b.md"]);
        assert_eq!(sources.get("a.rs"), Some("a"));
    }

    #[test]
    fn outside_of_git_there_is_nothing_to_say() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Sources::read(dir.path()).is_err());
    }
}
