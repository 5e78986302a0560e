//! The rights that a running device keeps. What a hostile front end or driver could make of a mistake in here ends at
//! these.
//!
//! The device enters its sandbox when image, trace, sockets and storage are open, while it is still one thread, and
//! before anybody is served: so every thread of it is in there. Two things of the kernel make it up, each by the crate
//! of those who know it best:
//!
//! - *landlock* (`landlock.rs`): no file can be opened, made or taken away but below the directories that exports may
//!   go to, and its own sockets at the end. What is open already stays open. No TCP, no abstract sockets and signals
//!   but its own;
//! - *seccomp* (`seccomp.rs`): the system calls that the device makes, and no others: no new program, no process, no
//!   network, no code that is written while it runs. Who makes another one ends by SIGSYS, and says which (`trap.rs`).
//!
//! A kernel that has only one of them, or less of it, gets what it has; what is missing is said. io_uring works outside
//! seccomp, so the rings of a disk in files are made before, can read and write and nothing else (`disk/rings.rs`), and
//! no more can be made.

mod allowed;
mod landlock;
mod seccomp;
mod trap;

use std::path::{Path, PathBuf};
use std::{fmt, io};

pub use self::allowed::{Allowed, SandboxError};

/// What of the sandbox is in force, and what this kernel could not do.
#[derive(Debug, Default)]
pub struct Sandbox {
    /// Version of the kernel's landlock.
    landlock: Option<String>,
    seccomp: bool,
    exports: Vec<PathBuf>,
    gaps: Vec<String>,
}

/// Gives up, for good, all that is not allowed here. To be called while the process is one thread.
///
/// # Errors
/// The kernel refuses what it should be able to do. What it is not able to do is no error, but one of the sandbox's
/// [`gaps`](Sandbox::gaps).
pub fn enter(allowed: &Allowed) -> Result<Sandbox, SandboxError> {
    let mut sandbox = Sandbox {
        exports: outermost(&allowed.exports),
        ..Sandbox::default()
    };
    // rustix asks the kernel once what it then knows, by a call that seccomp does not leave.
    let _ = rustix::param::page_size();
    // First: seccomp leaves none of the calls that this takes.
    let landlock = landlock::restrict(allowed)?;
    sandbox.landlock = landlock.version;
    sandbox.gaps.extend(landlock.gap);
    match seccomp::restrict(allowed)? {
        None => sandbox.seccomp = true,
        Some(gap) => sandbox.gaps.push(gap),
    }
    Ok(sandbox)
}

/// Directories as the kernel knows them, to compare with what clients name; those that are below others left out.
fn outermost(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
        if !found.iter().any(|other| dir.starts_with(other)) {
            found.retain(|other| !other.starts_with(&dir));
            found.push(dir);
        }
    }
    found
}

impl Sandbox {
    /// What this kernel cannot keep the device from, a sentence each.
    #[must_use]
    pub fn gaps(&self) -> &[String] {
        &self.gaps
    }

    /// Why a file could not be written, if that is the sandbox's doing.
    pub(crate) fn reason(&self, path: &Path, source: &io::Error) -> Option<String> {
        if self.landlock.is_none() || source.kind() != io::ErrorKind::PermissionDenied {
            return None;
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        if self.exports.iter().any(|export| dir.starts_with(export)) {
            return None;
        }
        let exports: Vec<String> = self.exports.iter().map(|dir| dir.display().to_string()).collect();
        Some(format!(
            "the sandbox lets this device write only below {}: name a file there, or start the device with `--export-dir {}`",
            exports.join(" and "),
            dir.display()
        ))
    }
}

impl fmt::Display for Sandbox {
    /// As `stats` tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.landlock, self.seccomp) {
            (Some(version), true) => write!(f, "landlock v{version}, seccomp"),
            (Some(version), false) => write!(f, "landlock v{version}"),
            (None, true) => f.write_str("seccomp"),
            (None, false) => f.write_str("none"),
        }
    }
}
