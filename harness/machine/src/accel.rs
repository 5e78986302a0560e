//! Which accelerator to use: KVM is trusted only after something was booted with it.
//!
//! `/dev/kvm` can exist, open and even make a VM, and yet no ordinary guest boots (nested virtualisation without the
//! hardware's help, for one). The probe boots a kernel of the run to its agent; its answer is remembered for as long as
//! the host's kernel, its CPU and QEMU stay the same.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use guest_wire::Fs;
use host::atomic;
use host::scratch;
use kernels::{Artifact, modules};

use crate::initramfs;
use crate::launch::Launch;
use crate::machine::Machine;
use crate::spec::{Accel, DiskShape, DiskSpec, MachineSpec};

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// KVM if it boots something, else translation.
    Auto,
    /// KVM, whatever it does.
    Kvm,
    /// QEMU's translation.
    Tcg,
}

/// The remembered answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// What the answer depends on.
    host: String,
    /// Whether a guest booted.
    kvm_boots: bool,
}

const FILE: &str = "accel.json";
/// How long the boot that tries KVM may take. A guest on working KVM is up in a second; one that does not get there on
/// a busy host costs a slower run, not a wrong one.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// What is booted to try KVM.
pub struct Probe<'a> {
    /// The device's binary.
    pub vhost_blk: &'a Path,
    /// Directory of the guest binaries.
    pub guest_bins: &'a Path,
    /// Any kernel of the run: it only has to get as far as the agent.
    pub kernel: &'a Artifact,
    /// File system of `image`.
    pub fs: Fs,
    /// What the disk holds.
    pub image: &'a Path,
}

impl Probe<'_> {
    /// Boots with KVM until the agent takes jobs.
    fn boots(&self) -> bool {
        let Ok(scratch) = scratch::make() else { return false };
        let initramfs = scratch.path().join("initramfs.cpio");
        let Ok(modules) = modules::closure(self.kernel, &initramfs::modules_for(self.fs)) else {
            return false;
        };
        let entries = initramfs::spec(&self.guest_bins.join("init"), &[], &modules);
        if initramfs::write(&initramfs, &entries).is_err() {
            return false;
        }
        let disk = DiskSpec::new(self.image, DiskShape::ORDINARY);
        let spec = MachineSpec::for_test(Accel::Kvm, self.kernel, initramfs, disk);
        let launch = Launch::new(self.vhost_blk, scratch.path(), scratch.path());
        Machine::start(spec, launch).is_ok_and(|mut machine| machine.until_ready(PROBE_LIMIT).is_ok())
    }
}

/// Decides, and may boot the probe to find out; KVM is not taken without one. The second value says why, for a person.
#[must_use]
pub fn choose(choice: Choice, cache: &Path, qemu_version: &str, probe: Option<&Probe<'_>>) -> (Accel, String) {
    decide(choice, cache, qemu_version, || probe.is_some_and(Probe::boots))
}

/// `boots` boots something with KVM and says whether that worked.
fn decide(choice: Choice, cache: &Path, qemu_version: &str, boots: impl FnOnce() -> bool) -> (Accel, String) {
    match choice {
        Choice::Tcg => return (Accel::Tcg, "asked for".into()),
        Choice::Kvm => return (Accel::Kvm, "asked for".into()),
        Choice::Auto => {}
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return (Accel::Tcg, format!("/dev/kvm cannot be opened: {error}"));
    }
    let host = fingerprint(qemu_version);
    let remembered = std::fs::read(cache.join(FILE)).ok();
    let remembered = remembered.and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    let (kvm_boots, when) = match remembered.filter(|known| known.host == host) {
        Some(known) => (known.kvm_boots, "as tried before on this host"),
        None => {
            let kvm_boots = boots();
            let answer = Remembered { host, kvm_boots };
            // Not being able to remember only costs the next run another try.
            let _ = serde_json::to_vec(&answer).map(|bytes| atomic::write(&cache.join(FILE), &bytes));
            (kvm_boots, "tried just now")
        }
    };
    if kvm_boots {
        (Accel::Kvm, format!("a guest boots with it, {when}"))
    } else {
        (
            Accel::Tcg,
            format!("/dev/kvm is there, but no guest boots with it, {when}"),
        )
    }
}

/// What the answer depends on: the host's kernel, its CPU, QEMU.
fn fingerprint(qemu_version: &str) -> String {
    let uname = rustix::system::uname();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu: Vec<&str> = cpuinfo
        .lines()
        .filter(|line| line.starts_with("model name") || line.starts_with("flags"))
        .take(2)
        .collect();
    format!(
        "{} {} | {} | {qemu_version}",
        uname.release().to_string_lossy(),
        uname.version().to_string_lossy(),
        cpu.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_one_boots_nothing() {
        let cache = tempfile::tempdir().expect("a directory");
        let never = || -> bool { panic!("must not boot") };
        assert_eq!(decide(Choice::Tcg, cache.path(), "7.2", never).0, Accel::Tcg);
        assert_eq!(decide(Choice::Kvm, cache.path(), "7.2", never).0, Accel::Kvm);
    }

    #[test]
    fn the_answer_is_remembered_until_the_host_changes() {
        let cache = tempfile::tempdir().expect("a directory");
        if File::options().read(true).write(true).open("/dev/kvm").is_err() {
            assert_eq!(decide(Choice::Auto, cache.path(), "7.2", || true).0, Accel::Tcg);
            return;
        }
        let mut tries = 0;
        for version in ["7.2", "7.2", "8.0"] {
            decide(Choice::Auto, cache.path(), version, || {
                tries += 1;
                false
            });
        }
        assert_eq!(tries, 2);
    }
}
