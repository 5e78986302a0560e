//! What a person named beside the ends of a range, in words that stay the same whichever directory the command is given
//! in again, and that change with the content of files.

use std::fs;
use std::path::{Path, PathBuf};

use kernels::GivenTree;
use kernels::store::hex;
use sha2::{Digest, Sha256};

/// Digits of a content's sum that are shown.
const DIGITS: usize = 12;

/// The parts of the configuration and the compiler of a tree.
pub(crate) fn build(given: &GivenTree) -> Vec<String> {
    let given = given.absolute();
    let part = |part: &String| {
        let path = Path::new(part);
        let named = if path.is_absolute() { file(path) } else { part.clone() };
        format!("--config {named}")
    };
    let mut words: Vec<String> = given.config.iter().map(part).collect();
    words.extend(given.cc.iter().map(|cc| format!("--cc {cc}")));
    words
}

/// A file, or a directory of files, with a sum of what it holds.
pub(crate) fn file(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut files = Vec::new();
    if path.is_dir() {
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()));
        files.sort();
    } else {
        files.push(path.clone());
    }
    match content(&files) {
        Some(sum) => format!("{} ({sum})", path.display()),
        // Whoever reads it says what is wrong with it.
        None => path.display().to_string(),
    }
}

fn content(files: &[PathBuf]) -> Option<String> {
    let mut sum = Sha256::new();
    for file in files.iter().filter(|file| !file.is_dir()) {
        // A FIFO would be waited for, a device read for ever.
        let text = fs::metadata(file)
            .is_ok_and(|kind| kind.is_file())
            .then(|| fs::read(file).ok())??;
        sum.update((text.len() as u64).to_le_bytes());
        sum.update(text);
    }
    Some(hex(&sum.finalize())[..DIGITS].to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

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
        assert_eq!(file(dir.path()), dir.path().display().to_string());
    }

    #[test]
    fn a_ready_part_stays_a_name() {
        let here = std::env::current_dir().unwrap();
        let given = GivenTree {
            config: ["base", "./Cargo.toml", "./not-there.config"]
                .map(str::to_owned)
                .to_vec(),
            cc: Some("gcc-12".to_owned()),
            ..GivenTree::default()
        };
        let words = build(&given);
        assert_eq!(words[0], "--config base");
        let there = format!("--config {} (", here.join("Cargo.toml").display());
        assert!(words[1].starts_with(&there), "{words:?}");
        assert_eq!(words[2..], ["--config ./not-there.config", "--cc gcc-12"]);
    }
}
