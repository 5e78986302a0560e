//! What a person named beside the ends of a range, in words that stay the same whichever directory the command is given
//! in again, and that change with the content of files.

use std::fs;
use std::path::{Path, PathBuf};

use kernels::store::hex;
use kernels::{ConfigPart, TreeSource};
use sha2::{Digest, Sha256};

/// Digits of a content's sum that are shown.
const DIGITS: usize = 12;

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
        assert_eq!(file(dir.path()), dir.path().display().to_string());
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
