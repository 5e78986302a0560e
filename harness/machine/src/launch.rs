//! Where the parts of a machine lie on the host, and the names of the files there.

use std::io;
use std::path::{Path, PathBuf};

use crate::spec::MachineSpec;
use crate::vm::args::{Memory, Start, Wiring};

/// The kernel's console, among the logs.
pub(crate) const CONSOLE: &str = "console.log";

/// Where a machine is started from, and where it leaves what it says. The guest sees nothing of it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The device's binary, one process a disk.
    pub vhost_blk: PathBuf,
    /// Directory for the logs and the traces.
    pub dir: PathBuf,
    /// Directory for the sockets; short, since a unix socket's path is limited to 107 bytes.
    pub sockets: PathBuf,
    /// Directories below which the devices may write exports; those that a device has by itself, if none is named.
    pub exports: Vec<PathBuf>,
    /// Whether somebody wants QEMU's monitor: to pause or reset the machine, or to look at its CPUs.
    pub monitor: bool,
}

impl Launch {
    /// For a machine that exports nothing and that nobody pauses.
    #[must_use]
    pub fn new(vhost_blk: &Path, dir: &Path, sockets: &Path) -> Launch {
        Launch {
            vhost_blk: vhost_blk.to_path_buf(),
            dir: dir.to_path_buf(),
            sockets: sockets.to_path_buf(),
            exports: Vec::new(),
            monitor: false,
        }
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.dir.join(CONSOLE)
    }

    pub(crate) fn line_log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    pub(crate) fn qemu_log(&self) -> PathBuf {
        self.dir.join("qemu.log")
    }

    /// Log of the device of a disk, counted from 0.
    pub(crate) fn device_log(&self, disk: usize) -> PathBuf {
        self.dir.join(numbered("device", disk, "log"))
    }

    pub(crate) fn trace(&self, disk: usize) -> PathBuf {
        self.dir.join(numbered("trace", disk, "jsonl"))
    }

    /// The vhost-user socket of a disk.
    pub(crate) fn disk_socket(&self, disk: usize) -> PathBuf {
        self.sockets.join(numbered("disk", disk, "sock"))
    }

    /// The control socket of a disk's device.
    pub(crate) fn control_socket(&self, disk: usize) -> PathBuf {
        self.sockets.join(numbered("control", disk, "sock"))
    }

    /// What QEMU connects to and writes.
    pub(crate) fn wiring(&self, spec: &MachineSpec, memory: Memory, start: Start) -> Wiring {
        Wiring {
            console: self.console(),
            agent: self.sockets.join("agent.sock"),
            monitor: self.monitor.then(|| self.sockets.join("qmp.sock")),
            disks: (0..spec.disks.len()).map(|disk| self.disk_socket(disk)).collect(),
            memory,
            start,
            tsc_khz: None,
        }
    }

    /// What the kernel has said so far; nothing where the console cannot be read.
    pub(crate) fn read_console(&self) -> String {
        let bytes = std::fs::read(self.console()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Removes what an earlier machine with its logs here said: consoles are appended to.
    pub(crate) fn forget_console(&self) -> io::Result<()> {
        match std::fs::remove_file(self.console()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The first disk's files have plain names.
fn numbered(name: &str, disk: usize, extension: &str) -> String {
    match disk {
        0 => format!("{name}.{extension}"),
        _ => format!("{name}{disk}.{extension}"),
    }
}
