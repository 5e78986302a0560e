//! What a run's result depends on: a result that is kept is taken for a run only if all of it is the same.
//!
//! The judge, the reader of logs, the case tables and the way machines are set up are compiled into this program, so
//! its own bytes stand for them: a judge that says something else never finds what its predecessor said.

use std::io;
use std::path::Path;

use evidence::context::Tools;
use kernels::store;
use machine::Accel;
use run::Trial;

/// The program that runs, also where its file was replaced or removed.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// What all runs of a bisection depend on, as hashes of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs {
    /// This program: judge, reader of logs, cases.
    pub(crate) judge: String,
    /// Programs in the guest, with the version of QEMU.
    pub(crate) guest: String,
    pub(crate) device: String,
}

impl Programs {
    /// This program and the device, by content; the guest's programs have an identity of their own.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn read(guest: String, device: &Path) -> io::Result<Programs> {
        let hash = |path: &Path| Ok::<_, io::Error>(store::hash(&[std::fs::read(path)?]));
        Ok(Programs {
            judge: hash(Path::new(OWN_PROGRAM))?,
            guest,
            device: hash(device)?,
        })
    }
}

/// What one run depends on.
#[derive(Debug, Clone)]
pub(crate) struct RunKey<'a> {
    pub(crate) programs: &'a Programs,
    /// The kernel's artifact.
    pub(crate) kernel: &'a str,
    /// The kernel's command line.
    pub(crate) command_line: &'a str,
    /// Versions of QEMU, mkfs and fsck.
    pub(crate) tools: &'a Tools,
    pub(crate) trial: &'a Trial,
    /// What the case or the program is asked to do.
    pub(crate) subject: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) accel: Accel,
    pub(crate) cold_boot: bool,
}

impl RunKey<'_> {
    /// All of it, in a fixed order and number but for the subject, which comes last.
    pub(crate) fn parts(&self) -> Vec<String> {
        let cases: Vec<&str> = self.trial.cases.iter().map(|case| case.name.as_str()).collect();
        let mut parts = vec![
            self.programs.judge.clone(),
            self.programs.guest.clone(),
            self.programs.device.clone(),
            self.kernel.to_owned(),
            self.command_line.to_owned(),
            self.tools.qemu.clone(),
            self.tools.mkfs.clone(),
            self.tools.fsck.clone(),
            cases.join(" "),
            self.trial.fs.to_string(),
            self.seed.to_string(),
            self.accel.word().to_owned(),
            self.cold_boot.to_string(),
        ];
        parts.extend(self.subject.iter().cloned());
        parts
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use guest_wire::Fs;

    fn trial(fs: Fs) -> Trial {
        Trial {
            kernel: "k".to_owned(),
            fs,
            test: "partial-write".to_owned(),
            cases: Vec::new(),
        }
    }

    /// The hash of a key in which one word is another one.
    fn hash(other: &str) -> String {
        let word = |name: &str| format!("{name}{}", if name == other { " of another" } else { "" });
        let programs = Programs {
            judge: word("judge"),
            guest: word("guest"),
            device: word("device"),
        };
        let tools = Tools {
            bioscope: String::new(),
            qemu: word("qemu"),
            mkfs: word("mkfs"),
            fsck: word("fsck"),
        };
        let trial = trial(if other == "fs" { Fs::Ext4 } else { Fs::Btrfs });
        let key = RunKey {
            programs: &programs,
            kernel: &word("kernel"),
            command_line: &word("command line"),
            tools: &tools,
            trial: &trial,
            subject: vec![word("subject")],
            seed: if other == "seed" { 2 } else { 1 },
            accel: if other == "accel" { Accel::Kvm } else { Accel::Tcg },
            cold_boot: other == "cold boot",
        };
        store::hash(&key.parts())
    }

    #[test]
    fn whatever_a_result_depends_on_makes_another_key() {
        let all = [
            "nothing",
            "judge",
            "guest",
            "device",
            "qemu",
            "mkfs",
            "fsck",
            "kernel",
            "command line",
            "subject",
            "fs",
            "seed",
            "accel",
            "cold boot",
        ];
        let hashes: BTreeSet<String> = all.iter().map(|other| hash(other)).collect();
        assert_eq!(hashes.len(), all.len());
        assert_eq!(hash("nothing"), hash("nothing"));
    }

    #[test]
    fn programs_are_known_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("device");
        let read = |content: &str| {
            std::fs::write(&device, content).unwrap();
            Programs::read("guest".to_owned(), &device).unwrap()
        };
        let (first, second, again) = (read("v1"), read("v2"), read("v1"));
        assert_eq!((&first, &first.judge), (&again, &second.judge));
        assert_ne!(first.device, second.device);
        assert!(Programs::read(String::new(), &dir.path().join("none")).is_err());
    }
}
