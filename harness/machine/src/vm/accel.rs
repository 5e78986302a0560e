//! Which accelerator to use: KVM is trusted only after something was booted with it.
//!
//! `/dev/kvm` can exist, open and even make a VM, and yet no ordinary guest boots (nested virtualisation without the
//! hardware's help, for one). The probe boots a kernel of the run to its agent; its answer is remembered for as long as the
//! host's kernel, its CPU and QEMU stay the same.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::args::Accel;
use host::atomic;

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

/// Decides; `boots` boots something with KVM and says whether that worked. The second value says why, for a person.
pub fn choose(choice: Choice, cache: &Path, qemu_version: &str, boots: impl FnOnce() -> bool) -> (Accel, String) {
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
        assert_eq!(choose(Choice::Tcg, cache.path(), "7.2", never).0, Accel::Tcg);
        assert_eq!(choose(Choice::Kvm, cache.path(), "7.2", never).0, Accel::Kvm);
    }

    #[test]
    fn the_answer_is_remembered_until_the_host_changes() {
        let cache = tempfile::tempdir().expect("a directory");
        if File::options().read(true).write(true).open("/dev/kvm").is_err() {
            assert_eq!(choose(Choice::Auto, cache.path(), "7.2", || true).0, Accel::Tcg);
            return;
        }
        let mut tries = 0;
        for version in ["7.2", "7.2", "8.0"] {
            choose(Choice::Auto, cache.path(), version, || {
                tries += 1;
                false
            });
        }
        assert_eq!(tries, 2);
    }
}
