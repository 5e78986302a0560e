//! What a machine is to its guest: pure data, from which QEMU's arguments and the key of its snapshot follow.
//!
//! Two machines with equal specs look alike to a guest. Where logs and sockets lie on the host is no part of it; that
//! is [`Launch`](crate::Launch).

use std::path::PathBuf;

use kernels::Artifact;
use serde::{Deserialize, Serialize};

/// Guest memory in MiB; the largest test holds two buffers of 8 MiB and their page cache.
pub const MEMORY_MIB: u32 = 512;
/// Guest memory of a soak in MiB: fio's libraries lie in it once as the archive and once unpacked.
const SOAK_MEMORY_MIB: u32 = 768;
/// A soak has a queue for each of two CPUs: requests overtake each other, and the device has two threads.
const SOAK_SHAPE: DiskShape = DiskShape {
    num_queues: 2,
    queue_size: 64,
    seg_max: None,
    size_max: None,
};

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

/// A virtual machine with its disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// What executes guest code.
    pub accel: Accel,
    /// Uncompressed ELF with a PVH entry, or a bzImage.
    pub kernel: PathBuf,
    /// Whether `kernel` boots through PVH, so that qboot can take SeaBIOS' place.
    pub pvh: bool,
    /// Initial RAM file system.
    pub initramfs: PathBuf,
    /// Kernel command line, complete.
    pub command_line: String,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs, from 1 up.
    pub cpus: u32,
    /// Where ttyS0 leads; ttyS1 always leads to the harness.
    pub console: Console,
    /// Its disks, `/dev/vda` first. A machine that is started has at least one.
    pub disks: Vec<DiskSpec>,
}

/// Where the kernel's console leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// To a log, at whose end it is appended.
    Log,
    /// To the terminal that QEMU was started on; Ctrl-A X ends QEMU.
    Terminal,
}

/// A disk and the process behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// Its content at first; never written.
    pub image: PathBuf,
    /// How it looks to the guest.
    pub shape: DiskShape,
    /// Whether QEMU connects again, a second later, when the device hangs up; else the disk answers nothing from then
    /// on.
    pub reconnect: bool,
    /// Where the device keeps what is written.
    pub storage: Storage,
    /// Further options of the device's command line.
    pub options: Vec<String>,
}

/// A disk as the guest sees it; values that are not given are the device's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DiskShape {
    /// Virtqueues, from 1 up.
    pub num_queues: u16,
    /// Descriptors a virtqueue; a power of two.
    pub queue_size: u16,
    /// Largest number of segments a request (`seg_max`), if limited.
    pub seg_max: Option<u32>,
    /// Largest segment in bytes (`size_max`), if limited.
    pub size_max: Option<u32>,
}

/// Where a device keeps what is written (`vhost-blk --storage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In memory; the device's default.
    Memory,
    /// In a file without a name, by io_uring.
    File,
}

impl Storage {
    /// The word for it on the device's command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Storage::Memory => "memory",
            Storage::File => "file",
        }
    }
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

impl DiskSpec {
    /// A disk that QEMU connects to once, with everything else as the device has it by default.
    pub fn new(image: impl Into<PathBuf>, shape: DiskShape) -> DiskSpec {
        DiskSpec {
            image: image.into(),
            shape,
            reconnect: false,
            storage: Storage::Memory,
            options: Vec::new(),
        }
    }
}

impl MachineSpec {
    /// A machine for tests: one CPU, the console in a log, a panic ends it.
    #[must_use]
    pub fn for_test(accel: Accel, artifact: &Artifact, initramfs: PathBuf, disk: DiskSpec) -> MachineSpec {
        MachineSpec {
            accel,
            kernel: artifact.kernel.clone(),
            pvh: artifact.is_elf(),
            initramfs,
            command_line: test_command_line(),
            memory_mib: MEMORY_MIB,
            cpus: 1,
            console: Console::Log,
            disks: vec![disk],
        }
    }

    /// A machine for a person: the console is the terminal, and the device can be rolled back to marks and started
    /// again.
    #[must_use]
    pub fn for_shell(accel: Accel, artifact: &Artifact, initramfs: PathBuf, image: PathBuf) -> MachineSpec {
        let disk = DiskSpec {
            reconnect: true,
            // So that `inject rollback MARK` and `inject log` have something to go by.
            options: vec!["--history".to_owned(), "256M".to_owned()],
            ..DiskSpec::new(image, DiskShape::ORDINARY)
        };
        MachineSpec {
            command_line: "console=ttyS0 loglevel=4 panic=-1 sysctl.kernel.hung_task_timeout_secs=10".to_owned(),
            console: Console::Terminal,
            ..MachineSpec::for_test(accel, artifact, initramfs, disk)
        }
    }

    /// A machine for hours of fio: two CPUs with a queue each, and QEMU connects again when a rule made the device hang
    /// up.
    #[must_use]
    pub fn for_soak(
        accel: Accel,
        artifact: &Artifact,
        initramfs: PathBuf,
        image: PathBuf,
        storage: Storage,
    ) -> MachineSpec {
        let disk = DiskSpec {
            reconnect: true,
            storage,
            ..DiskSpec::new(image, SOAK_SHAPE)
        };
        MachineSpec {
            // Rules and a busy host make requests wait; what waits for two minutes of guest time is another matter.
            command_line: format!("{} sysctl.kernel.hung_task_timeout_secs=120", test_command_line()),
            memory_mib: SOAK_MEMORY_MIB,
            cpus: u32::from(SOAK_SHAPE.num_queues),
            ..MachineSpec::for_test(accel, artifact, initramfs, disk)
        }
    }
}

/// The kernel command line of a machine for tests.
///
/// `hung_task` is the second witness of a hang; the first is the row of samples that the agent sends. `panic=-1` makes
/// a panic end QEMU (with `-no-reboot`) instead of leaving it to a time limit.
#[must_use]
pub fn test_command_line() -> String {
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
        // KASAN reports its first finding only, else, and later cases of a boot would be blind.
        "kasan_multi_shot",
    ]
    .join(" ")
}
