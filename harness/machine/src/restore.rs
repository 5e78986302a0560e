//! Taking a snapshot of a booted guest, and going on from one.
//!
//! Memory is a file of its own that QEMU maps (`share=on`, which a vhost-user device needs anyway) and leaves out of
//! the state that it writes (`x-ignore-shared`). Machines always run on files in memory: one on a disk that fills up
//! would end by SIGBUS. What is kept, and what a machine goes on with, is a copy of the pages that the guest ever
//! touched. The disk is plugged in before it runs, by PCI hotplug, so that the guest probes it as it would at boot.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SeekFrom};

use crate::agent::{self, Greeting};
use crate::clock;
use crate::launch::{CONSOLE, Launch};
use crate::machine::{Assembled, Machine};
use crate::outage::Outage;
use crate::snapshot::{INITRAMFS, MEMORY, STATE, SYMBOLS, Snapshot};
use crate::spec::MachineSpec;
use crate::start::{self, StartError};
use crate::symbols;
use crate::vitals;
use crate::vm::args::{DISK_DRIVER, Memory, Start, disk_properties};
use crate::vm::qmp::QmpError;

/// How long a boot may take before it is given up as broken. A boot takes 2 to 6 s under translation on an idle
/// machine; this leaves a factor of 30 for a busy one, and running out of it is never held against the kernel.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// Why a machine could not be kept or gone on with: something between QEMU and us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// Something could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// QEMU's monitor.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    #[error("cannot {action} {what}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        what: &'static str,
        source: io::Error,
    },
}

/// Why a guest was not kept.
#[derive(Debug)]
pub(crate) enum CaptureError {
    /// It never got as far as its agent, and what its console said.
    Guest(Outage, String),
    /// The guest is not to blame.
    Rig(RestoreError),
}

impl<E: Into<RestoreError>> From<E> for CaptureError {
    fn from(error: E) -> CaptureError {
        CaptureError::Rig(error.into())
    }
}

fn io(action: &'static str, what: &'static str) -> impl FnOnce(io::Error) -> RestoreError {
    move |source| RestoreError::Io { action, what, source }
}

/// Boots a guest without its disks until its agent says hello, and keeps it in `launch.dir`.
pub(crate) fn capture(spec: &MachineSpec, launch: &Launch) -> Result<Greeting, CaptureError> {
    let launch = with_monitor(launch);
    let spec = MachineSpec {
        disks: Vec::new(),
        ..spec.clone()
    };
    let memory = memory_file(u64::from(spec.memory_mib) << 20).map_err(io("make", "the guest's memory"))?;
    let mut started = start::start(&spec, &launch, by_name(&memory), Start::PowerOn)?;
    let guest = |ending| CaptureError::Guest(ending, launch.read_console());
    let begun = Instant::now();
    let (pid, cpu_threads) = (started.vm.pid(), &started.cpu_threads);
    let end = || vitals::of(pid, cpu_threads).end_of(begun, BOOT_LIMIT);
    let said = agent::greeting(&mut started.line, end).map_err(guest)?;
    let Some(said) = said else {
        let end = started.vm.wait().map_err(io("wait for", "QEMU"))?;
        return Err(guest(Outage::VmGone(end)));
    };
    let deadline = Instant::now() + BOOT_LIMIT;
    let first = clock::read(&mut started.line, deadline).map_err(guest)?;
    let Some(text) = symbols::fetch(&mut started.line, started.vm.pid(), deadline).map_err(guest)? else {
        let end = started.vm.wait().map_err(io("wait for", "QEMU"))?;
        return Err(guest(Outage::VmGone(end)));
    };
    // Nothing that is kept is worth anything if its clock is wrong.
    if let Some(first) = first {
        clock::check(&mut started.line, first, deadline).map_err(guest)?;
    }
    fs::write(launch.dir.join(SYMBOLS), text).map_err(io("write", "the snapshot's symbols"))?;
    let state = File::create(launch.dir.join(STATE)).map_err(io("create", "the machine's state"))?;
    if let Some(monitor) = &mut started.monitor {
        monitor.save_state(&state)?;
    }
    started.vm.kill();
    let kept = File::create(launch.dir.join(MEMORY)).map_err(io("create", "the snapshot's memory"))?;
    copy_sparse(&memory, &kept).map_err(io("write", "the snapshot's memory"))?;
    for file in [&kept, &state] {
        // A host that crashes must not leave holes behind: a guest that goes on with them would look like a broken
        // kernel.
        file.sync_all().map_err(io("write", "the snapshot"))?;
    }
    Ok(said)
}

/// Goes on from a snapshot, with disks of its own; the guest then runs and waits to be told to find them.
pub(crate) fn restore(spec: &MachineSpec, launch: &Launch, snapshot: &Snapshot) -> Result<Machine, RestoreError> {
    let memory = copy_memory(&snapshot.dir.join(MEMORY)).map_err(io("copy", "the snapshot's memory"))?;
    fs::copy(snapshot.dir.join(CONSOLE), launch.console()).map_err(io("copy", "the snapshot's console"))?;
    let state = File::open(snapshot.dir.join(STATE)).map_err(io("read", "the snapshot's state"))?;
    let symbols = fs::read_to_string(snapshot.dir.join(SYMBOLS)).map_err(io("read", "the snapshot's symbols"))?;
    let spec = MachineSpec {
        initramfs: snapshot.dir.join(INITRAMFS),
        ..spec.clone()
    };
    let assembled = Assembled::new(spec, with_monitor(launch))?;
    let (spec, launch) = (&assembled.spec, &assembled.launch);
    let mut started = start::start(spec, launch, by_name(&memory), Start::Incoming)?;
    if let Some(monitor) = &mut started.monitor {
        monitor.load_state(&state)?;
        for (number, disk) in spec.disks.iter().enumerate() {
            monitor.plug(DISK_DRIVER, &disk_properties(number, disk.shape))?;
        }
        monitor.resume()?;
    }
    let mut machine = assembled.with(started);
    machine.symbols = symbols.into();
    machine.greeting = Some(snapshot.greeting.clone());
    Ok(machine)
}

fn with_monitor(launch: &Launch) -> Launch {
    Launch {
        monitor: true,
        ..launch.clone()
    }
}

/// A file in memory, all zeros.
fn memory_file(length: u64) -> io::Result<File> {
    let file = File::from(rustix::fs::memfd_create("guest-memory", MemfdFlags::CLOEXEC)?);
    file.set_len(length)?;
    Ok(file)
}

/// A file of ours by a name that QEMU can open; it does so before it connects its monitor, and the file must live until
/// then.
fn by_name(file: &File) -> Memory {
    Memory::File(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into())
}

/// A copy in memory of a kept memory.
fn copy_memory(from: &Path) -> io::Result<File> {
    let from = File::open(from)?;
    let to = memory_file(from.metadata()?.len())?;
    copy_sparse(&from, &to)?;
    Ok(to)
}

/// Copies what is not a hole, and makes both of the same length.
fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    to.set_len(from.metadata()?.len())?;
    let mut at = 0;
    loop {
        let begin = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(begin) => begin,
            // There is no more data.
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(begin))?;
        rustix::fs::seek(to, SeekFrom::Start(begin))?;
        at = begin;
        while at < end {
            let left = usize::try_from(end - at).map_err(io::Error::other)?;
            // It moves `at` on.
            if rustix::fs::sendfile(to, from, Some(&mut at), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        let mut file = File::create(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        for (at, text) in [(0, "first"), (5 << 20, "middle"), ((64 << 20) - 4, "last")] {
            file.seek(io::SeekFrom::Start(at)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        let mut copy = copy_memory(&path).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), 64 << 20);
        assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20);
        let mut bytes = Vec::new();
        copy.seek(io::SeekFrom::Start(0)).unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert!(bytes == fs::read(&path).unwrap());
    }

    #[test]
    fn an_empty_memory_is_copied_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        File::create(&path).unwrap().set_len(4096).unwrap();
        assert_eq!(copy_memory(&path).unwrap().metadata().unwrap().len(), 4096);
    }
}
