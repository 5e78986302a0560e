//! QEMU's command line, made by pure functions.
//!
//! Nothing here looks at the host; what a run needs to know of it (accelerator, QEMU's version) comes in as data. The
//! argument lists are under snapshot tests, because a change in one of them changes every boot.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What executes guest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// Hardware virtualisation by the host's kernel.
    Kvm,
    /// QEMU's own translation; slower, works everywhere.
    Tcg,
}

impl Accel {
    /// QEMU's name for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }
}

/// The disk as the guest sees it; values that are not given are the device's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiskShape {
    /// Virtqueues.
    pub num_queues: u16,
    /// Descriptors a virtqueue; a power of two.
    pub queue_size: u16,
    /// Largest number of segments a request (`seg_max`), if limited.
    pub seg_max: Option<u32>,
    /// Largest segment in bytes (`size_max`), if limited.
    pub size_max: Option<u32>,
}

impl DiskShape {
    /// One queue of 128, nothing limited: what most virtual machines have.
    pub const ORDINARY: DiskShape = DiskShape {
        num_queues: 1,
        queue_size: 128,
        seg_max: None,
        size_max: None,
    };
}

/// Where a serial port goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serial {
    /// Everything the guest writes is appended to a file.
    File(PathBuf),
    /// QEMU connects to a listening unix socket.
    Socket(PathBuf),
    /// The terminal that QEMU was started on; Ctrl-A X ends QEMU.
    Terminal,
}

/// The machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// There is none, and none will come: a machine whose state is to be kept.
    Absent,
    /// It is there from power-on.
    Present {
        /// The device's vhost-user socket.
        socket: PathBuf,
        /// How it looks to the guest.
        shape: DiskShape,
        /// Whether QEMU connects again, a second later, when the device hangs up; else the disk answers nothing from then on.
        reconnect: bool,
    },
    /// It is plugged in later, by QMP; QEMU connects to its socket at once.
    Later {
        /// The device's vhost-user socket.
        socket: PathBuf,
    },
}

/// Guest memory. The block device needs to share it, so it always is a file of some kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Nobody else's.
    Anonymous,
    /// This file's content, as long as the guest has memory; its pages are the guest's.
    File(PathBuf),
}

/// How the machine begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the firmware.
    PowerOn,
    /// Stopped, waiting to be told by QMP where the state of another machine is.
    Incoming,
}

/// One virtual machine, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What executes guest code.
    pub accel: Accel,
    /// Uncompressed ELF with a PVH entry, or a bzImage.
    pub kernel: PathBuf,
    /// Whether `kernel` boots through PVH, so that qboot can take SeaBIOS' place.
    pub pvh: bool,
    /// Initial RAM file system.
    pub initramfs: PathBuf,
    /// Kernel command line, complete.
    pub cmdline: String,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// ttyS0: the kernel's console.
    pub console: Serial,
    /// ttyS1: the agent, if there is one.
    pub agent: Option<PathBuf>,
    /// The disk.
    pub disk: Disk,
    /// Guest memory.
    pub memory: Memory,
    /// How it begins.
    pub start: Start,
    /// A listening unix socket that QEMU connects its QMP monitor to, if somebody wants to talk to it.
    pub monitor: Option<PathBuf>,
}

/// Memory of a guest in MiB; the largest case holds two buffers of 8 MiB and their page cache.
pub const MEMORY_MIB: u32 = 512;

/// Name of QEMU's system emulator for the guests we boot.
pub const QEMU: &str = "qemu-system-x86_64";

/// The arguments for [`QEMU`].
#[must_use]
pub fn arguments(spec: &Spec) -> Vec<OsString> {
    let mut args = Args::default();
    match spec.accel {
        Accel::Kvm => args.pair("-accel", "kvm").pair("-cpu", "host"),
        // One host thread a vCPU. qemu64 has no AVX: raid6_pq and xor then have
        // fewer routines to time when btrfs loads. SSE4.2 has the crc32 instruction that btrfs, ext4 and xfs checksum with.
        Accel::Tcg => args
            .pair("-accel", "tcg,thread=multi")
            .pair("-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2"),
    };
    args.flag("-nodefaults").flag("-no-user-config").flag("-no-reboot");
    args.pair("-display", "none").pair("-monitor", "none");
    if spec.pvh {
        args.pair("-bios", "qboot.rom");
    }
    let size_mib = spec.memory_mib;
    let memory = match &spec.memory {
        Memory::Anonymous => format!("memory-backend-memfd,id=mem,size={size_mib}M,share=on"),
        Memory::File(path) => format!(
            "memory-backend-file,id=mem,size={size_mib}M,share=on,mem-path={}",
            escaped(path)
        ),
    };
    args.pair("-object", memory)
        .pair("-M", "pc,memory-backend=mem,usb=off,vmport=off")
        .pair("-m", spec.memory_mib.to_string())
        .pair("-smp", spec.cpus.to_string())
        .path("-kernel", &spec.kernel)
        .path("-initrd", &spec.initramfs)
        .pair("-append", spec.cmdline.clone());
    match &spec.console {
        Serial::File(path) => args
            .chardev("file", "console", path, ",append=on")
            .pair("-serial", "chardev:console"),
        Serial::Socket(path) => args
            .chardev("socket", "console", path, "")
            .pair("-serial", "chardev:console"),
        Serial::Terminal => args.pair("-serial", "mon:stdio"),
    };
    if let Some(agent) = &spec.agent {
        args.chardev("socket", "agent", agent, "")
            .pair("-serial", "chardev:agent");
    }
    if let Some(monitor) = &spec.monitor {
        args.chardev("socket", "monitor", monitor, "")
            .pair("-mon", "chardev=monitor,mode=control");
    }
    match &spec.disk {
        Disk::Absent => {}
        Disk::Later { socket } => {
            args.chardev("socket", DISK_CHARDEV, socket, "");
        }
        Disk::Present {
            socket,
            shape,
            reconnect,
        } => {
            let properties = disk_properties(*shape);
            let properties: Vec<String> = properties
                .iter()
                .map(|(name, value)| format!(",{name}={value}"))
                .collect();
            // QEMU before 9.2 knows no other spelling, and 7.2 is what Debian 12 has.
            let more = if *reconnect { ",reconnect=1" } else { "" };
            args.chardev("socket", DISK_CHARDEV, socket, more)
                .pair("-device", format!("{DISK_DRIVER}{}", properties.concat()));
        }
    }
    if spec.start == Start::Incoming {
        args.flag("-S").pair("-incoming", "defer");
    }
    args.0
}

/// QEMU's driver for the disk.
pub const DISK_DRIVER: &str = "vhost-user-blk-pci";
/// QEMU's name of the connection to the block device.
const DISK_CHARDEV: &str = "disk";

/// The properties of the disk's [driver](DISK_DRIVER), for `-device` and for QMP's `device_add`.
#[must_use]
pub fn disk_properties(shape: DiskShape) -> [(&'static str, String); 4] {
    [
        ("chardev", DISK_CHARDEV.to_owned()),
        ("num-queues", shape.num_queues.to_string()),
        ("queue-size", shape.queue_size.to_string()),
        ("disable-legacy", "on".to_owned()),
    ]
}

/// A path in one of QEMU's option lists, which are split at commas; a comma in it is written twice.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// The kernel command line of a test boot.
///
/// `hung_task` is the second witness of a hang; the first is the row of samples that the agent sends. `panic=-1` makes
/// a panic end QEMU (with `-no-reboot`) instead of leaving it to a time limit.
#[must_use]
pub fn test_cmdline() -> String {
    [
        "console=ttyS0",
        "loglevel=7",
        "panic=-1",
        "sysctl.kernel.hung_task_timeout_secs=4",
        "sysctl.kernel.hung_task_warnings=64",
        // Under translation timer calibration tells nothing about a file system. (`mitigations=off`
        // cost a quarter of a second of CPU time a boot instead of saving any.)
        "no_timer_check",
        "tsc=reliable",
        "random.trust_cpu=on",
        "audit=0",
        "cryptomgr.notests",
        "rcupdate.rcu_expedited=1",
    ]
    .join(" ")
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(name.into());
        self
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(name.into());
        self.0.push(value.into());
        self
    }

    fn path(&mut self, name: &str, path: &Path) -> &mut Self {
        self.pair(name, path.as_os_str())
    }

    /// A character device over a path.
    fn chardev(&mut self, backend: &str, id: &str, path: &Path, more: &str) -> &mut Self {
        let path = escaped(path);
        self.pair("-chardev", format!("{backend},id={id},path={path}{more}"))
    }
}

#[cfg(test)]
mod tests;
