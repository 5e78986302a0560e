//! `kernels.lock`: the exact packages that each kernel was last made of, as `Cargo.lock` pins crates.

use exit::{Exit, ExitError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostic;
use super::package::{PackageSource, VersionRequest};

const HEADER: &str = "# This file is made by bioscope: `cargo xtask update [ID]` moves it.
# It is not meant to be edited by hand, and belongs under version control.
";
const VERSION: u32 = 1;

/// kernels.lock: for every kernel that comes in packages their versions and hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    #[serde(default, rename = "kernel", skip_serializing_if = "Vec::is_empty")]
    kernels: Vec<Pinned>,
}

/// One kernel's packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The kernel's name in `kernels.toml`.
    pub(crate) id: String,
    /// The suite that they come from.
    pub(crate) suite: String,
    /// What `kernels.toml` asked for.
    pub(crate) package: Vec<String>,
    /// Version of the first package asked for.
    pub version: String,
    /// The packages that hold the kernel's files.
    #[serde(rename = "deb")]
    pub debs: Vec<Deb>,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deb {
    /// As apt knows it: `linux-image-amd64`.
    pub name: String,
    /// As apt knows it: `6.1.170-3`.
    pub version: String,
    /// Sum of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The file's size in bytes.
    pub(crate) size: u64,
}

impl Pinned {
    /// Whether this is still what `kernels.toml` asks for.
    #[must_use]
    pub fn serves(&self, source: &PackageSource) -> bool {
        let version_fits = match &source.version {
            VersionRequest::Latest => true,
            VersionRequest::Exactly(version) => *version == self.version,
        };
        version_fits && self.suite == source.suite && self.package == source.packages
    }
}

/// Why `kernels.lock` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file is there and cannot be read.
    #[error("cannot read {}; mend it, or remove it and run `cargo xtask update`", file.display())]
    Read {
        /// Path of kernels.lock.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// Path of kernels.lock.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It says something wrong.
    #[error(transparent)]
    Malformed(#[from] Box<Diagnostic>),
    /// It cannot be put into words; no lock that was read or resolved causes this.
    #[error("cannot write the lock as TOML")]
    Serialize(#[from] toml::ser::Error),
}

impl ExitError for LockError {
    fn exit(&self) -> Exit {
        match self {
            LockError::Read { .. } => Exit::NoInput,
            LockError::Malformed(_) => Exit::Data,
            LockError::Write { .. } => Exit::CannotCreate,
            LockError::Serialize(_) => Exit::Internal,
        }
    }
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            version: VERSION,
            kernels: Vec::new(),
        }
    }
}

impl Lock {
    /// Reads a lock; one that does not exist pins nothing.
    ///
    /// # Errors
    /// It cannot be read or says something wrong.
    pub fn load(file: &Path) -> Result<Self, LockError> {
        match std::fs::read_to_string(file) {
            Ok(text) => Lock::parse(file, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(source) => Err(LockError::Read {
                file: file.to_owned(),
                source,
            }),
        }
    }

    /// Takes a lock from its text; `file` is for messages.
    ///
    /// # Errors
    /// The text says something wrong.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, LockError> {
        const REMAKE: &str = "undo the edit, or delete the file and run `cargo xtask update` to write a new one";
        let malformed = |span: std::ops::Range<usize>, message: String| {
            Box::new(Diagnostic::new(file, text, span, message).help(REMAKE))
        };
        let lock: Lock = toml::from_str(text)
            .map_err(|error| malformed(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        if lock.version != VERSION {
            let at = text.find("version").unwrap_or(0);
            let message = format!(
                "lock format {} is not known, this program writes {VERSION}",
                lock.version
            );
            return Err(malformed(at..at, message).into());
        }
        for deb in lock.kernels.iter().flat_map(|kernel| &kernel.debs) {
            let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            if deb.sha256.len() != 64 || !deb.sha256.chars().all(hexadecimal) {
                let at = text.find(&format!("\"{}\"", deb.sha256)).unwrap_or(0);
                let message = format!("the sha256 of {} is not of 64 lower-case hexadecimal digits", deb.name);
                return Err(malformed(at..at + deb.sha256.len() + 2, message).into());
            }
        }
        Ok(lock)
    }

    /// What is pinned for the kernel of this id; none if no run or update resolved it yet.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Pinned> {
        self.kernels.iter().find(|kernel| kernel.id == id)
    }

    /// Pins a kernel's packages, and says whether that changed anything.
    pub(crate) fn set(&mut self, pinned: Pinned) -> bool {
        match self.kernels.iter_mut().find(|kernel| kernel.id == pinned.id) {
            Some(old) if *old == pinned => return false,
            Some(old) => *old = pinned,
            None => self.kernels.push(pinned),
        }
        self.kernels.sort_by(|a, b| a.id.cmp(&b.id));
        true
    }

    /// The lock as it stands in the file.
    ///
    /// # Errors
    /// Only if serialisation fails.
    pub(crate) fn to_text(&self) -> Result<String, LockError> {
        Ok(format!("{HEADER}{}", toml::to_string(self)?))
    }

    /// Writes the lock beside `file` and renames it into place.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(crate) fn save(&self, file: &Path) -> Result<(), LockError> {
        let text = self.to_text()?;
        let failed = |source: std::io::Error| LockError::Write {
            file: file.to_owned(),
            source,
        };
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut beside = tempfile::Builder::new()
            .prefix(".kernels.lock")
            .tempfile_in(folder)
            .map_err(failed)?;
        beside.write_all(text.as_bytes()).map_err(failed)?;
        // A temporary file is private to its owner; the lock is a file of the repository.
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        beside.as_file().set_permissions(open_to_all).map_err(failed)?;
        beside.persist(file).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(id: &str) -> Pinned {
        Pinned {
            id: id.to_owned(),
            suite: "bullseye".to_owned(),
            package: vec!["linux-image-a".to_owned()],
            version: "5.10.218-1".to_owned(),
            debs: vec![Deb {
                name: "linux-image-a".to_owned(),
                version: "5.10.218-1".to_owned(),
                sha256: "0f".repeat(32),
                size: 7,
            }],
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels.lock");
        assert_eq!(Lock::load(&file).unwrap(), Lock::default());
        let mut lock = Lock::default();
        assert!(lock.set(pinned("b")));
        assert!(lock.set(pinned("a")));
        assert!(!lock.set(pinned("a")));
        lock.save(&file).unwrap();
        assert_eq!(Lock::load(&file).unwrap(), lock);
        insta::assert_snapshot!(std::fs::read_to_string(&file).unwrap(), @r#"
        # This file is made by bioscope: `cargo xtask update [ID]` moves it.
        # It is not meant to be edited by hand, and belongs under version control.
        version = 1

        [[kernel]]
        id = "a"
        suite = "bullseye"
        package = ["linux-image-a"]
        version = "5.10.218-1"

        [[kernel.deb]]
        name = "linux-image-a"
        version = "5.10.218-1"
        sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
        size = 7

        [[kernel]]
        id = "b"
        suite = "bullseye"
        package = ["linux-image-a"]
        version = "5.10.218-1"

        [[kernel.deb]]
        name = "linux-image-a"
        version = "5.10.218-1"
        sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
        size = 7
        "#);
    }

    #[test]
    fn malformed_locks_are_refused_with_their_place() {
        let text = "version = 1\n[[kernel]]\nid = \"a\"\nsuit = \"b\"\n";
        let error = Lock::parse(Path::new("kernels.lock"), text).unwrap_err();
        assert_eq!(error.exit().code(), 65);
        insta::assert_snapshot!(error, @r#"
        kernels.lock:4:1: unknown field `suit`, expected one of `id`, `suite`, `package`, `version`, `deb`
          |
        4 | suit = "b"
          | ^^^^
          = help: undo the edit, or delete the file and run `cargo xtask update` to write a new one
        "#);
        let mut lock = Lock::default();
        let mut bad = pinned("a");
        bad.debs[0].sha256 = "xyz".to_owned();
        lock.set(bad);
        let error = Lock::parse(Path::new("kernels.lock"), &lock.to_text().unwrap()).unwrap_err();
        insta::assert_snapshot!(error, @r#"
        kernels.lock:14:10: the sha256 of linux-image-a is not of 64 lower-case hexadecimal digits
           |
        14 | sha256 = "xyz"
           |          ^^^^^
           = help: undo the edit, or delete the file and run `cargo xtask update` to write a new one
        "#);
        let error = Lock::parse(Path::new("kernels.lock"), "version = 9\n").unwrap_err();
        insta::assert_snapshot!(error, @r"
        kernels.lock:1:1: lock format 9 is not known, this program writes 1
          |
        1 | version = 9
          | ^
          = help: undo the edit, or delete the file and run `cargo xtask update` to write a new one
        ");
    }

    #[test]
    fn a_pin_serves_only_what_it_was_made_for() {
        let mut source = PackageSource {
            suite: "bullseye".to_owned(),
            packages: vec!["linux-image-a".to_owned()],
            version: VersionRequest::Latest,
        };
        assert!(pinned("a").serves(&source));
        source.version = VersionRequest::Exactly("5.10.219-1".to_owned());
        assert!(!pinned("a").serves(&source));
        source.version = VersionRequest::Exactly("5.10.218-1".to_owned());
        assert!(pinned("a").serves(&source));
        source.suite = "bookworm".to_owned();
        assert!(!pinned("a").serves(&source));
    }
}
