//! Installs what is missing, with the distribution's package manager and cargo.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::error::DoctorError;
use super::needs::{Need, Source};
use crate::tool;

const LISTS: &str = "/var/lib/apt/lists";
/// Package lists older than this may name files that the archive no longer has.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Another apt may be at work: so long it is waited for.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=120";

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    packages: Vec<&'static str>,
    crates: Vec<&'static str>,
    update: bool,
    sudo: bool,
}

impl Plan {
    /// The commands that bring what is missing.
    pub(super) fn new(missing: &[&Need]) -> Self {
        let root = rustix::process::geteuid().is_root();
        Plan::of(
            missing,
            !root && tool::find("sudo").is_some(),
            lists_are_stale(Path::new(LISTS)),
        )
    }

    fn of(missing: &[&Need], sudo: bool, update: bool) -> Self {
        let mut plan = Plan {
            packages: Vec::new(),
            crates: Vec::new(),
            update,
            sudo,
        };
        for need in missing {
            let (list, name) = match need.source {
                Source::Package(name) => (&mut plan.packages, name),
                Source::Cargo(name) => (&mut plan.crates, name),
            };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        plan
    }

    fn steps(&self) -> Vec<Vec<&'static str>> {
        let as_root = |words: &[&'static str]| {
            let mut step = if self.sudo { vec!["sudo"] } else { Vec::new() };
            step.extend(words);
            step
        };
        let mut steps = Vec::new();
        if !self.packages.is_empty() {
            if self.update {
                steps.push(as_root(&["apt-get", "update"]));
            }
            let mut install = as_root(&["apt-get", "install", "-y", "--no-install-recommends"]);
            install.extend(&self.packages);
            steps.push(install);
        }
        if !self.crates.is_empty() {
            let mut install = vec!["cargo", "install", "--locked"];
            install.extend(&self.crates);
            steps.push(install);
        }
        steps
    }

    /// Runs it all; its output goes to the terminal.
    pub(super) fn run(&self) -> Result<(), DoctorError> {
        if !self.packages.is_empty() && !self.sudo && !rustix::process::geteuid().is_root() {
            return Err(DoctorError::NotRoot {
                packages: self.packages.join(" "),
                command: self.to_string(),
            });
        }
        for step in self.steps() {
            let line = step.join(" ");
            crate::print::note!("$ {line}");
            let mut words = step.into_iter();
            let mut command = Command::new(words.next().unwrap_or_default());
            for word in words {
                command.arg(word);
                if word == "apt-get" {
                    command.args(["-o", LOCK_TIMEOUT]);
                }
            }
            if command.get_program() == "apt-get" {
                command.args(["-o", LOCK_TIMEOUT]);
            }
            // Standard output is the program's own; what installers say is for the person watching.
            command
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(std::io::stderr());
            let failed = |reason: String| DoctorError::Install {
                command: line.clone(),
                reason,
            };
            let status = command.status().map_err(|error| failed(error.to_string()))?;
            if !status.success() {
                return Err(failed(status.to_string()));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.steps().iter().map(|step| step.join(" ")).collect();
        f.write_str(&lines.join(" && "))
    }
}

/// Whether there are no package lists, or only old ones.
fn lists_are_stale(lists: &Path) -> bool {
    let mut entries = std::fs::read_dir(lists).into_iter().flatten().flatten();
    if !entries.any(|entry| entry.file_name().to_string_lossy().contains("_Packages")) {
        return true;
    }
    // The lists themselves bear the archive's times; the directory tells when apt last put one there.
    let updated = lists.metadata().and_then(|folder| folder.modified());
    !updated.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age <= FRESH))
}

#[cfg(test)]
mod tests {
    use super::super::needs::ALL;
    use super::*;

    #[test]
    fn a_clean_debian_needs_these_commands() {
        let clean = [
            "qemu-system-x86_64",
            "mkfs.btrfs",
            "btrfs",
            "mkfs.xfs",
            "xfs_repair",
            "modprobe",
            "depmod",
            "cargo-nextest",
        ];
        let missing: Vec<&Need> = ALL.iter().filter(|need| clean.contains(&need.program)).collect();
        insta::assert_snapshot!(
            Plan::of(&missing, false, true),
            @"apt-get update && apt-get install -y --no-install-recommends qemu-system-x86 btrfs-progs xfsprogs kmod \
            && cargo install --locked cargo-nextest"
        );
        insta::assert_snapshot!(
            Plan::of(&missing[..1], true, false),
            @"sudo apt-get install -y --no-install-recommends qemu-system-x86"
        );
    }

    #[test]
    fn empty_lists_are_stale() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lists_are_stale(folder.path()));
        std::fs::write(folder.path().join("mirror_dists_x_Packages.lz4"), "").unwrap();
        assert!(!lists_are_stale(folder.path()));
    }
}
