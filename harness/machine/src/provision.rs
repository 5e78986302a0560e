//! Hands out machines whose agent takes jobs: from a snapshot of the booted guest where that works, else from a boot.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_wire::Fs;
use kernels::modules;
use kernels::{Artifact, store};

use crate::agent::Greeting;
use crate::initramfs::{self, Content, Entry, INJECT, InitramfsError};
use crate::launch::Launch;
use crate::machine::Machine;
use crate::outage::Outage;
use crate::restore::{BOOT_LIMIT, CaptureError, RestoreError, capture, restore};
use crate::snapshot::{Found, INITRAMFS, NotTaken, Snapshot, SnapshotConfig, Snapshots};
use crate::spec::{Accel, DiskShape, DiskSpec, MachineSpec};
use crate::vm::args;

/// How long a guest that went on from a snapshot may take to find its disk; its agent gives up after 20 s of its own
/// time.
const FIND_LIMIT: Duration = Duration::from_secs(120);
/// How often a guest is booted until its clock runs like the host's.
const BOOTS_MAX: u32 = 3;

/// What a machine is to boot and to run, and where it leaves its files.
#[derive(Clone, Copy)]
pub struct MachineRequest<'a> {
    /// The device's binary.
    pub vhost_blk: &'a Path,
    /// Directory of the guest binaries.
    pub guest_bins: &'a Path,
    /// What executes guest code.
    pub accel: Accel,
    /// How snapshots are used, if they are.
    pub snapshots: Option<&'a SnapshotConfig>,
    /// The programs that a kept guest has, on the host: all that any machine of the run may want of it.
    pub programs: &'a [PathBuf],
    /// What tells the snapshots of such guests from others of the kernel and file system; empty, or `-exec`.
    pub suffix: &'a str,
    /// The kernel that the guest boots.
    pub kernel: &'a Artifact,
    /// File system.
    pub fs: Fs,
    /// Golden image of `fs`, which is never written.
    pub image: &'a Path,
    /// How the disk looks to the guest.
    pub disk: DiskShape,
    /// The program that the guest is to run, on the host.
    pub program: &'a Path,
    /// Further options for the kernel's command line; empty, or with a blank in front.
    pub options: &'a str,
    /// Where logs go.
    pub dir: &'a Path,
    /// Where sockets go.
    pub scratch: &'a Path,
}

/// A machine whose agent takes jobs.
pub struct ProvisionedMachine {
    /// Its agent has said that it is ready.
    pub machine: Machine,
    /// Whether it went on from a snapshot of the booted guest; else it booted from power-on.
    pub restored: bool,
}

/// Why there is no machine.
#[derive(Debug)]
pub struct NoMachine {
    /// How it ended.
    pub outage: Outage,
    /// The console's text until then; empty where no guest ran.
    pub console: String,
}

impl NoMachine {
    #[allow(clippy::needless_pass_by_value, reason = "map_err hands errors over")]
    fn rig(reason: impl ToString) -> NoMachine {
        NoMachine {
            outage: Outage::Rig(reason.to_string()),
            console: String::new(),
        }
    }
}

/// Provides a machine whose agent takes jobs.
///
/// # Errors
/// The guest does not get there.
pub fn machine(request: &MachineRequest<'_>) -> Result<ProvisionedMachine, NoMachine> {
    let modules = modules::closure(request.kernel, &initramfs::modules_for(request.fs)).map_err(|error| NoMachine {
        outage: Outage::Unfit(error.to_string()),
        console: String::new(),
    })?;
    let initramfs = request.scratch.join(INITRAMFS);
    let disk = DiskSpec::new(request.image, request.disk);
    let provision = Provision {
        request,
        modules: &modules,
        spec: spec(request, initramfs, disk),
        launch: Launch {
            exports: vec![request.dir.to_path_buf()],
            // To look at the CPUs of a guest from which nothing is heard.
            monitor: true,
            ..Launch::new(request.vhost_blk, request.dir, request.scratch)
        },
    };
    if let Some(config) = request.snapshots {
        match provision.go_on(config)? {
            Ok(machine) => {
                return Ok(ProvisionedMachine {
                    machine,
                    restored: true,
                });
            }
            // Not the guest's fault and no reason to give up, but nobody should wonder why it is slow.
            Err(why) => {
                let note = format!("not restored from a snapshot: {why}\n");
                std::fs::write(request.dir.join("snapshot.log"), note).map_err(NoMachine::rig)?;
            }
        }
    }
    let machine = provision.boot()?;
    Ok(ProvisionedMachine {
        machine,
        restored: false,
    })
}

fn spec(request: &MachineRequest<'_>, initramfs: PathBuf, disk: DiskSpec) -> MachineSpec {
    let mut spec = MachineSpec::for_test(request.accel, request.kernel, initramfs, disk);
    spec.command_line.push_str(request.options);
    spec
}

/// Boots until the clock is right, or has been wrong too often.
fn with_right_clock<T, E>(is_wrong: impl Fn(&E) -> bool, mut boot: impl FnMut(u32) -> Result<T, E>) -> Result<T, E> {
    let mut boots = 0;
    loop {
        boots += 1;
        match boot(boots) {
            Err(error) if is_wrong(&error) && boots < BOOTS_MAX => {}
            result => return result,
        }
    }
}

struct Provision<'a> {
    request: &'a MachineRequest<'a>,
    modules: &'a [PathBuf],
    spec: MachineSpec,
    launch: Launch,
}

impl Provision<'_> {
    fn pack(&self, out: &Path, programs: &[PathBuf]) -> Result<(), InitramfsError> {
        let init = self.request.guest_bins.join("init");
        let mut entries = initramfs::spec(&init, programs, self.modules);
        entries.push(Entry {
            path: INJECT.into(),
            content: Content::Link("/init".into()),
        });
        initramfs::write(out, &entries)
    }

    fn boot(&self) -> Result<Machine, NoMachine> {
        self.pack(&self.spec.initramfs, &[self.request.program.to_owned()])
            .map_err(NoMachine::rig)?;
        let is_wrong = |none: &NoMachine| matches!(none.outage, Outage::WrongClock { .. });
        with_right_clock(is_wrong, |_| {
            self.launch.forget_console().map_err(NoMachine::rig)?;
            let machine = Machine::start(self.spec.clone(), self.launch.clone());
            let mut machine = machine.map_err(NoMachine::rig)?;
            match machine.until_ready(BOOT_LIMIT) {
                Ok(()) => Ok(machine),
                Err(outage) => Err(NoMachine {
                    outage,
                    console: machine.console(),
                }),
            }
        })
    }

    /// Goes on from the snapshot, which is taken first if need be. The inner error says why that is not possible with
    /// this guest or on this host; the outer one that the guest does not boot.
    fn go_on(&self, config: &SnapshotConfig) -> Result<Result<Machine, String>, NoMachine> {
        let snapshots = Snapshots::at(&config.root);
        let found = snapshots.find_or_take(&self.slot(), &self.key(config), |made| self.capture(made));
        let snapshot = match found {
            Ok(Found::Snapshot(snapshot)) => snapshot,
            Ok(Found::Unusable(why)) => return Ok(Err(why)),
            Err(NotTaken::Boot(CaptureError::Guest(outage, console))) => return Err(NoMachine { outage, console }),
            Err(NotTaken::Boot(CaptureError::Rig(error))) => return Ok(Err(error.to_string())),
            Err(NotTaken::Cache(error)) => return Ok(Err(error.to_string())),
        };
        Ok(self.restore(snapshot))
    }

    fn capture(&self, made: &Path) -> Result<Greeting, CaptureError> {
        let spec = MachineSpec {
            initramfs: made.join(INITRAMFS),
            ..self.spec.clone()
        };
        self.pack(&spec.initramfs, self.request.programs)
            .map_err(|error| CaptureError::Guest(Outage::Rig(error.to_string()), String::new()))?;
        let is_wrong = |error: &CaptureError| matches!(error, CaptureError::Guest(Outage::WrongClock { .. }, _));
        with_right_clock(is_wrong, |boot| {
            let launch = Launch {
                dir: made.to_path_buf(),
                sockets: self.sockets(&format!("capture{boot}")).map_err(CaptureError::Rig)?,
                ..self.launch.clone()
            };
            let forgotten = launch.forget_console();
            forgotten.map_err(|error| CaptureError::Guest(Outage::Rig(error.to_string()), String::new()))?;
            capture(&spec, &launch)
        })
    }

    /// A directory for the sockets of one machine, so that machines do not get in each other's way.
    fn sockets(&self, of: &str) -> Result<PathBuf, RestoreError> {
        let folder = self.launch.sockets.join(of);
        std::fs::create_dir(&folder).map_err(|source| RestoreError::Io {
            action: "create",
            what: "a directory for sockets",
            source,
        })?;
        Ok(folder)
    }

    fn restore(&self, snapshot: Snapshot) -> Result<Machine, String> {
        let begun = self.sockets("restored").and_then(|sockets| {
            let launch = Launch {
                sockets,
                ..self.launch.clone()
            };
            restore(&self.spec, &launch, &snapshot)
        });
        let mut machine = match begun {
            Ok(machine) => machine,
            Err(error) => {
                // It may be damaged; the next to want it takes a new one.
                snapshot.discard();
                return Err(error.to_string());
            }
        };
        match machine.until_ready(FIND_LIMIT) {
            Ok(()) => Ok(machine),
            Err(outage) => Err(of_no_use(snapshot, outage) + &last_words(&machine.console())),
        }
    }

    /// One a kernel, file system and set of programs: when its key changes, the old snapshot goes.
    fn slot(&self) -> String {
        let request = self.request;
        format!("{}-{}{}", request.kernel.id, request.fs, request.suffix)
    }

    /// Everything that a booted guest depends on.
    fn key(&self, config: &SnapshotConfig) -> String {
        let arguments = args::seen_by_guest(&self.spec);
        let modules = self.modules.iter().map(|module| module.as_os_str());
        let names = modules.chain(arguments.iter().map(OsString::as_os_str));
        let mut parts = vec![config.identity.as_bytes(), self.request.kernel.hash.as_bytes()];
        parts.extend(names.map(OsStr::as_encoded_bytes));
        store::hash(&parts)
    }
}

/// Lines of a console that are shown of a guest that nobody needs any more.
const LAST_LINES: usize = 8;

/// What a restored guest said at the end: the machine that is booted in its place writes its console anew.
fn last_words(console: &str) -> String {
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    match last {
        [] => "; its console is empty".to_owned(),
        last => format!("; its console ends with:\n    {}", last.join("\n    ")),
    }
}

/// Why a snapshot could not be gone on with; it goes if that is its own fault.
fn of_no_use(snapshot: Snapshot, outage: Outage) -> String {
    match outage {
        // A kernel without PCI hotplug: it will never find a disk that was not there when it booted.
        Outage::Unfit(why) => {
            snapshot.give_up(&why);
            "this kernel does not find a disk that is plugged in".to_owned()
        }
        // The next to want it takes a new one.
        Outage::WrongClock { percent } => {
            snapshot.discard();
            format!("the restored guest's clock ran for {percent} % of the host's time")
        }
        outage => format!("the restored guest did not find its disk: {outage:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_guest_that_is_given_up_leaves_its_last_words() {
        let console: String = (1..=10).map(|line| format!("line {line}\r\n\n")).collect();
        let said = last_words(&console);
        assert!(said.starts_with("; its console ends with:\n    line 3\n"), "{said}");
        assert!(said.ends_with("\n    line 10"), "{said}");
        assert_eq!(last_words("\n"), "; its console is empty");
    }

    fn snapshot(root: &Path) -> Snapshot {
        let dir = root.join("key");
        std::fs::create_dir(&dir).unwrap();
        let greeting = Greeting {
            release: "6.1.0".into(),
            cpus: 1,
            hotplug: true,
        };
        Snapshot { dir, greeting }
    }

    #[test]
    fn a_snapshot_with_a_wrong_clock_goes() {
        let root = tempfile::tempdir().unwrap();
        let why = of_no_use(snapshot(root.path()), Outage::WrongClock { percent: 647 });
        assert!(why.contains("647 %"), "{why}");
        assert!(!root.path().join("key").exists());
        // A busy host is no reason.
        of_no_use(snapshot(root.path()), Outage::OutOfTime { limit_s: 120 });
        assert!(root.path().join("key").exists());
    }

    #[test]
    fn a_guest_is_booted_again_for_its_clock_only() {
        let boots = |results: [Result<(), u32>; 3]| {
            let mut boots = 0;
            let is_wrong = |percent: &u32| *percent > 110;
            let result = with_right_clock(is_wrong, |boot| {
                boots = boot;
                results[boot as usize - 1]
            });
            (boots, result)
        };
        assert_eq!(boots([Ok(()), Err(1), Err(1)]), (1, Ok(())));
        assert_eq!(boots([Err(1289), Ok(()), Err(1)]), (2, Ok(())));
        assert_eq!(boots([Err(100), Ok(()), Ok(())]), (1, Err(100)));
        assert_eq!(boots([Err(1289), Err(647), Err(800)]), (3, Err(800)));
    }
}
