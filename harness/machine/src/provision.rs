//! How a trial gets its machine: it goes on from a snapshot of the booted guest where it can, else it boots.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use guest_wire::Fs;

use crate::boot::restore::{self, CaptureError, RestoreError};
use crate::boot::snapshot::{self, Found, INITRAMFS, NotTaken, Snapshot, Snapshots};
use crate::boot::{self, BOOT_LIMIT, Boot, BootConfig, FIND_LIMIT};
use crate::initramfs::{self, Content, Entry, INJECT};
use crate::outage::Outage;
use crate::vm::args::{self, Accel, DiskShape};
use kernels::modules;
use kernels::{Artifact, store};

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
    /// The programs that a kept guest has, on the host: all that any trial of the run may want of it.
    pub programs: &'a [PathBuf],
    /// What tells the snapshots of such guests from others of the kernel and file system; empty, or `-exec`.
    pub suffix: &'a str,
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
pub type NoMachine = (Outage, String);

#[allow(clippy::needless_pass_by_value)] // what map_err hands over
fn harness(reason: impl ToString) -> NoMachine {
    (Outage::Rig(reason.to_string()), String::new())
}

/// Hash of what is in every guest of a run: init and the programs of the tests, or the user's own.
///
/// # Errors
/// One of them cannot be read.
pub fn identity(guest_bins: &Path, programs: &[PathBuf], qemu_version: &str) -> std::io::Result<String> {
    let mut parts = vec![SNAPSHOT_FORMAT.as_bytes().to_vec(), qemu_version.as_bytes().to_vec()];
    for program in std::iter::once(&guest_bins.join("init")).chain(programs) {
        parts.push(program.as_os_str().as_encoded_bytes().to_vec());
        parts.push(std::fs::read(program)?);
    }
    Ok(store::hash(&parts))
}

/// A machine whose agent takes jobs.
pub struct Provided {
    /// The machine.
    pub boot: Boot,
    /// Whether it went on from a snapshot of the booted guest; else it booted from power-on.
    pub restored: bool,
}

/// Provides a machine whose agent takes jobs.
///
/// # Errors
/// The guest does not get there.
pub fn get(wanted: &Wanted<'_>) -> Result<Provided, NoMachine> {
    let modules = modules::closure(wanted.kernel, &boot::modules_for(wanted.fs))
        .map_err(|error| (Outage::Unfit(error.to_string()), String::new()))?;
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
            Ok(boot) => return Ok(Provided { boot, restored: true }),
            // Not the guest's fault and no reason to give up, but nobody should wonder why it is slow.
            Err(why) => {
                let note = format!("not restored from a snapshot: {why}\n");
                std::fs::write(wanted.dir.join("snapshot.log"), note).map_err(harness)?;
            }
        }
    }
    machine.boot().map(|boot| Provided { boot, restored: false })
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
        self.pack(&initramfs, self.wanted.programs)
            .map_err(|error| CaptureError::Guest(Outage::Rig(error.to_string()), String::new()))?;
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
            Err(Outage::Unfit(why)) => snapshot.give_up(&why),
            Err(ending) => {
                return Err(format!("the restored guest did not find its disk: {ending:?}"));
            }
        }
        Err("this kernel does not find a disk that is plugged in".into())
    }

    /// One a kernel, file system and set of programs: when its key changes, the old snapshot goes.
    fn slot(&self) -> String {
        format!("{}-{}{}", self.wanted.kernel.id, self.wanted.fs, self.wanted.suffix)
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
