//! What a person named beside the ends of a range, in words that stay the same whichever directory the command is given
//! in again, and that change with the content of files.

use std::fs;
use std::path::{Path, PathBuf};

use kernels::store::hex;
use kernels::{ConfigPart, Source, TreeSource};
use sha2::{Digest, Sha256};

/// Digits of a content's sum that are shown.
const DIGITS: usize = 12;
/// Quilt's list of patches.
const LIST: &str = "series";

/// How a tree is built: the parts of its configuration with their content, which ready ones change with bioscope, the
/// compiler and make's variables.
pub(crate) fn build(source: &TreeSource) -> Vec<String> {
    let part = |part: &ConfigPart| match part {
        ConfigPart::Tiny | ConfigPart::Default => format!("--config {part}"),
        ConfigPart::Whole(path) | ConfigPart::Fragment { path, .. } => format!("--config {}", file(path)),
    };
    let mut words: Vec<String> = source.config.iter().map(part).collect();
    words.extend(source.cc.iter().map(|cc| format!("--cc {cc}")));
    words.extend(source.make.iter().map(|(name, value)| format!("{name}={value}")));
    words
}

/// How a kernel of a list of kernels is made, in one word that changes with it.
pub(crate) fn made(source: &Source) -> String {
    let mut words = Vec::new();
    if let Some(packages) = source.packages() {
        words.push(packages.suite.clone());
        words.extend(packages.packages.iter().cloned());
    }
    if let Source::Tree(tree) = source {
        words.extend(build(tree));
        words.extend(tree.patches.iter().map(|patch| format!("--patch {}", file(patch))));
    }
    short_sum(words.iter().map(String::as_bytes))
}

/// A file, or a directory of files, with a sum of what it holds.
pub(crate) fn file(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_folder = path.is_dir();
    let mut files = if is_folder {
        let maildir = ["cur", "new"].map(|name| path.join(name));
        let folders = std::iter::once(&path).chain(&maildir);
        folders.flat_map(|folder| files_of(folder)).collect()
    } else {
        vec![path.clone()]
    };
    // A list of patches stands for them, and for nothing else that lies around it.
    let list = if is_folder { path.join(LIST) } else { path.clone() };
    if list.ends_with(LIST) {
        files.extend(listed(&list));
    }
    // Of what lies beside them (an editor's lock, a socket) nothing is read: a FIFO would be waited for.
    let is_file = |file: &PathBuf| fs::metadata(file).is_ok_and(|kind| kind.is_file());
    let texts: Vec<Vec<u8>> = files
        .iter()
        .filter(|file| is_file(file))
        .filter_map(|file| fs::read(file).ok())
        .collect();
    if !is_folder && texts.is_empty() {
        // Whoever reads it says what is wrong with it.
        return path.display().to_string();
    }
    format!("{} ({})", path.display(), short_sum(texts.iter().map(Vec::as_slice)))
}

/// The files of a directory, in order.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The files that quilt's list names, wherever below it they lie.
fn listed(list: &Path) -> Vec<PathBuf> {
    let is_file = fs::metadata(list).is_ok_and(|kind| kind.is_file());
    let text = if is_file {
        fs::read(list).unwrap_or_default()
    } else {
        Vec::new()
    };
    let folder = list.parent().unwrap_or(Path::new(""));
    let text = String::from_utf8_lossy(&text);
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| !name.starts_with('#'));
    names.map(|name| folder.join(name)).collect()
}

/// A sum of parts, short enough for a message.
pub(crate) fn short_sum<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    hex(&sum.finalize())[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use kernels::Origin;

    use super::*;

    #[test]
    fn a_file_is_named_by_its_place_and_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("my.config");
        fs::write(&config, "CONFIG_A=y\n").unwrap();
        let named = file(&config);
        assert!(named.starts_with(&format!("{} (", config.display())), "{named}");
        assert_eq!(file(&dir.path().join("./my.config")), named);
        fs::write(&config, "CONFIG_A=m\n").unwrap();
        assert_ne!(file(&config), named);
        let folder = file(dir.path());
        fs::write(dir.path().join("0002.patch"), "").unwrap();
        assert_ne!(file(dir.path()), folder);
    }

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        assert_eq!(file(&fifo), fifo.display().to_string());
        // What is beside a patch takes nothing from what it says.
        let named = |text: &str| {
            fs::write(dir.path().join("a.patch"), text).unwrap();
            file(dir.path())
        };
        let first = named("a");
        assert_ne!(first, named("b"));
        std::os::unix::fs::symlink("me@here.1", dir.path().join(".#a.patch")).unwrap();
        assert_ne!(named("b"), first);
        assert_eq!(named("a"), first);
    }

    #[test]
    fn a_maildir_and_a_list_stand_for_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (list, patch) in [("mails", "mails/cur/1:2,S"), ("quilt/series", "quilt/fs/a.patch")] {
            if list.ends_with("series") {
                write(list, "fs/a.patch\n");
            }
            write(patch, "one");
            let first = file(&dir.path().join(list));
            write(patch, "two");
            assert_ne!(file(&dir.path().join(list)), first, "{list}");
        }
        // What lies around a list, evidence of this very bisection among it, is no part of it.
        for list in ["quilt/series", "quilt"] {
            let before = file(&dir.path().join(list));
            write("quilt/target/journal.jsonl", list);
            write("quilt/.git/index", list);
            assert_eq!(file(&dir.path().join(list)), before, "{list}");
        }
    }

    #[test]
    fn a_build_is_known_by_what_its_configuration_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.config");
        let words = |text: &str| {
            fs::write(&path, text).unwrap();
            let source = TreeSource {
                origin: Origin::Git {
                    repository: String::new(),
                    rev: String::new(),
                    dirty: false,
                },
                patches: Vec::new(),
                config: vec![
                    ConfigPart::Tiny,
                    ConfigPart::Fragment {
                        name: "base".to_owned(),
                        path: path.clone(),
                    },
                ],
                cc: Some("gcc-12".to_owned()),
                make: [("V".to_owned(), "1".to_owned())].into(),
            };
            build(&source)
        };
        let first = words("CONFIG_A=y\n");
        assert_eq!(first[0], "--config tinyconfig");
        assert!(
            first[1].starts_with(&format!("--config {} (", path.display())),
            "{first:?}"
        );
        assert_eq!(first[2..], ["--cc gcc-12", "V=1"]);
        // A ready fragment that another version of bioscope has otherwise.
        assert_ne!(words("CONFIG_A=m\n"), first);
        assert_eq!(words("CONFIG_A=y\n"), first);
    }
}
