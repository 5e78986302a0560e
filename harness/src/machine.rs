//! How a trial gets its machine: it goes on from a snapshot of the booted guest where it can, else it boots.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use guest_wire::Fs;

use crate::boot::restore::{self, CaptureError, RestoreError};
use crate::boot::snapshot::{self, Found, INITRAMFS, NotTaken, Snapshot, Snapshots};
use crate::boot::{self, BOOT_LIMIT, Boot, BootConfig, FIND_LIMIT};
use crate::cases;
use crate::initramfs::{self, Content, Entry, INJECT};
use crate::kernels::{Artifact, store};
use crate::modules;
use crate::results::Begun;
use crate::verdict::evidence::Ending;
use crate::vm::args::{self, Accel, DiskShape};

/// Changes whenever snapshots of an older harness must not be used.
const SNAPSHOT_FORMAT: &str = "2";

/// What machine is wanted.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The `vhost-blk` binary.
    pub vhost_blk: &'a Path,
    /// Directory of the guest binaries.
    pub guest_bins: &'a Path,
    /// What executes guest code.
    pub accel: Accel,
    /// How snapshots are used, if they are.
    pub snapshots: Option<&'a snapshot::Plan>,
    /// The user's own program, if the run has one.
    pub exec: Option<&'a Path>,
    /// The kernel.
    pub kernel: &'a Artifact,
    /// File system.
    pub fs: Fs,
    /// Its golden image.
    pub image: &'a Path,
    /// How the disk looks to the guest.
    pub disk: DiskShape,
    /// The program that the guest is to run, on the host.
    pub program: &'a Path,
    /// Where logs go.
    pub dir: &'a Path,
    /// Where sockets go.
    pub scratch: &'a Path,
}

/// Why there is no machine: how it ended, and what its console said.
pub type NoMachine = (Ending, String);

#[allow(clippy::needless_pass_by_value)] // what map_err hands over
fn harness(reason: impl ToString) -> NoMachine {
    (Ending::Harness(reason.to_string()), String::new())
}

/// Hash of what is in every guest of a run: init and the programs of the tests, or the user's own.
///
/// # Errors
/// One of them cannot be read.
pub fn identity(guest_bins: &Path, exec: Option<&Path>, qemu_version: &str) -> std::io::Result<String> {
    let mut parts = vec![SNAPSHOT_FORMAT.as_bytes().to_vec(), qemu_version.as_bytes().to_vec()];
    for program in std::iter::once(guest_bins.join("init")).chain(programs(guest_bins, exec)) {
        parts.push(program.as_os_str().as_encoded_bytes().to_vec());
        parts.push(std::fs::read(program)?);
    }
    Ok(store::hash(&parts))
}

/// The programs that a kept guest has: all tests, since it is kept for all of them, or the user's own.
fn programs(guest_bins: &Path, exec: Option<&Path>) -> Vec<PathBuf> {
    if let Some(program) = exec {
        return vec![program.to_owned()];
    }
    let tests: BTreeSet<&str> = cases::all().map(cases::Case::test).collect();
    tests.into_iter().map(|test| guest_bins.join(test)).collect()
}

/// A machine whose agent takes jobs, and how it got there.
///
/// # Errors
/// The guest does not get there.
pub fn get(wanted: &Wanted<'_>) -> Result<(Boot, Begun), NoMachine> {
    let modules = modules::closure(wanted.kernel, &boot::modules_for(wanted.fs))
        .map_err(|error| (Ending::Unfit(error.to_string()), String::new()))?;
    let initramfs = wanted.scratch.join(INITRAMFS);
    let config = BootConfig {
        vhost_blk: wanted.vhost_blk,
        kernel: &wanted.kernel.kernel,
        pvh: wanted.kernel.is_elf(),
        initramfs: &initramfs,
        image: wanted.image,
        disk: wanted.disk,
        accel: wanted.accel,
        dir: wanted.dir,
        scratch: wanted.scratch,
    };
    let machine = Machine {
        wanted,
        modules: &modules,
        config,
    };
    if let Some(plan) = wanted.snapshots {
        match machine.go_on(plan)? {
            Ok(boot) => return Ok((boot, Begun::Restored)),
            // Not the guest's fault and no reason to give up, but nobody should wonder why it is slow.
            Err(why) => {
                let note = format!("not restored from a snapshot: {why}\n");
                std::fs::write(wanted.dir.join("snapshot.log"), note).map_err(harness)?;
            }
        }
    }
    machine.boot().map(|boot| (boot, Begun::Booted))
}

struct Machine<'a> {
    wanted: &'a Wanted<'a>,
    modules: &'a [PathBuf],
    config: BootConfig<'a>,
}

impl Machine<'_> {
    fn pack(&self, out: &Path, programs: &[PathBuf]) -> Result<(), initramfs::InitramfsError> {
        let init = self.wanted.guest_bins.join("init");
        let mut entries = initramfs::spec(&init, programs, self.modules);
        entries.push(Entry {
            path: INJECT.into(),
            content: Content::Link("/init".into()),
        });
        initramfs::write(out, &entries)
    }

    fn boot(&self) -> Result<Boot, NoMachine> {
        self.pack(self.config.initramfs, &[self.wanted.program.to_owned()])
            .map_err(harness)?;
        boot::forget_console(self.config.dir).map_err(harness)?;
        let mut boot = Boot::start(&self.config).map_err(harness)?;
        match boot.until_ready(BOOT_LIMIT) {
            Ok(()) => Ok(boot),
            Err(ending) => Err((ending, boot.console())),
        }
    }

    /// Goes on from the snapshot, which is taken first if need be. The inner error says why that is not possible with this guest or on
    /// this host; the outer one that the guest does not boot.
    fn go_on(&self, plan: &snapshot::Plan) -> Result<Result<Boot, String>, NoMachine> {
        let snapshots = Snapshots::at(&plan.root);
        let found = snapshots.find_or_take(&self.slot(), &self.key(plan), |made| self.capture(made));
        let snapshot = match found {
            Ok(Found::Snapshot(snapshot)) => snapshot,
            Ok(Found::Unusable(why)) => return Ok(Err(why)),
            Err(NotTaken::Boot(CaptureError::Guest(ending, console))) => return Err((ending, console)),
            Err(NotTaken::Boot(CaptureError::Rig(error))) => return Ok(Err(error.to_string())),
            Err(NotTaken::Cache(error)) => return Ok(Err(error.to_string())),
        };
        Ok(self.restore(snapshot))
    }

    fn capture(&self, made: &Path) -> Result<boot::Greeting, CaptureError> {
        let initramfs = made.join(INITRAMFS);
        self.pack(&initramfs, &programs(self.wanted.guest_bins, self.wanted.exec))
            .map_err(|error| CaptureError::Guest(Ending::Harness(error.to_string()), String::new()))?;
        let scratch = self.sockets("capture").map_err(CaptureError::Rig)?;
        restore::capture(&BootConfig {
            initramfs: &initramfs,
            dir: made,
            scratch: &scratch,
            ..self.config
        })
    }

    /// A folder for the sockets of one machine: the next one finds its names free.
    fn sockets(&self, of: &str) -> Result<PathBuf, RestoreError> {
        let folder = self.config.scratch.join(of);
        std::fs::create_dir(&folder).map_err(|source| RestoreError::Io {
            action: "create",
            what: "a folder for sockets",
            source,
        })?;
        Ok(folder)
    }

    fn restore(&self, snapshot: Snapshot) -> Result<Boot, String> {
        let begun = self.sockets("restored").and_then(|scratch| {
            let config = BootConfig {
                scratch: &scratch,
                ..self.config
            };
            Boot::restore(&config, &snapshot)
        });
        let mut boot = match begun {
            Ok(boot) => boot,
            Err(error) => {
                // It may be damaged; the next to want it takes a new one.
                snapshot.discard();
                return Err(error.to_string());
            }
        };
        match boot.until_ready(FIND_LIMIT) {
            Ok(()) => return Ok(boot),
            // A kernel without PCI hotplug: it will never find a disk that was not there when it booted.
            Err(Ending::Unfit(why)) => snapshot.give_up(&why),
            Err(ending) => {
                return Err(format!("the restored guest did not find its disk: {ending:?}"));
            }
        }
        Err("this kernel does not find a disk that is plugged in".into())
    }

    /// One a kernel, file system and set of programs: when its key changes, the old snapshot goes.
    fn slot(&self) -> String {
        let exec = if self.wanted.exec.is_some() { "-exec" } else { "" };
        format!("{}-{}{exec}", self.wanted.kernel.id, self.wanted.fs)
    }

    /// Everything that a booted guest depends on.
    fn key(&self, plan: &snapshot::Plan) -> String {
        let arguments = args::arguments(&boot::spec_for_key(&self.config));
        let modules = self.modules.iter().map(|module| module.as_os_str());
        let names = modules.chain(arguments.iter().map(OsString::as_os_str));
        let mut parts = vec![plan.identity.as_bytes(), self.wanted.kernel.hash.as_bytes()];
        parts.extend(names.map(OsStr::as_encoded_bytes));
        store::hash(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_another_guest() {
        let dir = tempfile::tempdir().unwrap();
        for name in programs(dir.path(), None).iter().chain([&dir.path().join("init")]) {
            std::fs::write(name, "v1").unwrap();
        }
        let first = identity(dir.path(), None, "7.2").unwrap();
        assert_eq!(first, identity(dir.path(), None, "7.2").unwrap());
        assert_ne!(first, identity(dir.path(), None, "10.0").unwrap());
        std::fs::write(dir.path().join("overlap"), "v2").unwrap();
        let second = identity(dir.path(), None, "7.2").unwrap();
        assert_ne!(first, second);
        // A user's own program does not change when a test does, nor the other way round.
        let own = dir.path().join("repro");
        std::fs::write(&own, "mine").unwrap();
        let exec = identity(dir.path(), Some(&own), "7.2").unwrap();
        std::fs::write(dir.path().join("overlap"), "v3").unwrap();
        assert_eq!(exec, identity(dir.path(), Some(&own), "7.2").unwrap());
    }
}
