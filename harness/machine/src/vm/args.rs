//! QEMU's command line, made by pure functions.
//!
//! Nothing here looks at the host; what a run needs to know of it (accelerator, QEMU's version) comes in as data. The
//! argument lists are under snapshot tests, because a change in one of them changes every boot.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::spec::{Accel, Console, DiskShape, MachineSpec};

/// Name of QEMU's system emulator for the guests we boot.
pub const QEMU: &str = "qemu-system-x86_64";
/// QEMU's driver for a disk.
pub(crate) const DISK_DRIVER: &str = "vhost-user-blk-pci";

/// What on the host the machine is tied to. None of it is visible to the guest but the frequency of the counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wiring {
    /// Where a console that is a log is appended.
    pub(crate) console: PathBuf,
    /// A listening unix socket, to which ttyS1 leads.
    pub(crate) agent: PathBuf,
    /// A listening unix socket that QEMU connects its QMP monitor to, if somebody wants to talk to it.
    pub(crate) monitor: Option<PathBuf>,
    /// The vhost-user socket of each disk.
    pub(crate) disks: Vec<PathBuf>,
    pub(crate) memory: Memory,
    pub(crate) start: Start,
    /// Frequency of the host's time stamp counter in kHz, for a guest that reads that.
    pub(crate) tsc_khz: Option<u64>,
}

/// Guest memory. The block device needs to share it, so it always is a file of some kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nobody else's.
    Anonymous,
    /// This file's content, as long as the guest has memory; its pages are the guest's.
    File(PathBuf),
}

/// How the machine begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the firmware, and with its disks.
    PowerOn,
    /// Stopped, waiting to be told by QMP where the state of another machine is. QEMU connects to the devices at once;
    /// the disks are plugged in by QMP.
    Incoming,
}

/// The arguments for [`QEMU`].
pub(crate) fn arguments(spec: &MachineSpec, wiring: &Wiring) -> Vec<OsString> {
    let mut args = Args::default();
    match spec.accel {
        Accel::Kvm => args.pair("-accel", "kvm").pair("-cpu", "host"),
        // One host thread a vCPU. qemu64 has no AVX: raid6_pq and xor then have fewer routines to time when btrfs
        // loads. SSE4.2 has the crc32 instruction that btrfs, ext4 and xfs checksum with.
        Accel::Tcg => args
            .pair("-accel", "tcg,thread=multi")
            .pair("-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2"),
    };
    args.flag("-nodefaults").flag("-no-user-config").flag("-no-reboot");
    args.pair("-display", "none").pair("-monitor", "none");
    if spec.pvh {
        args.pair("-bios", "qboot.rom");
    }
    // First, so that the spec has the last word.
    let told = wiring.tsc_khz.map(|khz| format!("tsc_early_khz={khz} "));
    let size_mib = spec.memory_mib;
    let memory = match &wiring.memory {
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
        .pair("-append", told.unwrap_or_default() + &spec.command_line);
    args.lines(spec, wiring);
    args.disks(spec, wiring);
    if wiring.start == Start::Incoming {
        args.flag("-S").pair("-incoming", "defer");
    }
    args.0
}

/// What in the arguments a booted guest without disks depends on: nothing of where files are.
pub(crate) fn seen_by_guest(spec: &MachineSpec) -> Vec<OsString> {
    let spec = MachineSpec {
        kernel: "kernel".into(),
        initramfs: "initramfs".into(),
        disks: Vec::new(),
        ..spec.clone()
    };
    let wiring = Wiring {
        console: "console".into(),
        agent: "agent".into(),
        monitor: None,
        disks: Vec::new(),
        memory: Memory::Anonymous,
        start: Start::PowerOn,
        tsc_khz: None,
    };
    arguments(&spec, &wiring)
}

/// The properties of a disk's [driver](DISK_DRIVER), for `-device` and for QMP's `device_add`.
pub(crate) fn disk_properties(disk: usize, shape: DiskShape) -> [(&'static str, String); 4] {
    [
        ("chardev", disk_chardev(disk)),
        ("num-queues", shape.num_queues.to_string()),
        ("queue-size", shape.queue_size.to_string()),
        ("disable-legacy", "on".to_owned()),
    ]
}

/// QEMU's name of the connection to the device of a disk, counted from 0.
fn disk_chardev(disk: usize) -> String {
    match disk {
        0 => "disk".to_owned(),
        _ => format!("disk{disk}"),
    }
}

/// A path in one of QEMU's option lists, which are split at commas; a comma in it is written twice.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    /// Console, line and monitor.
    fn lines(&mut self, spec: &MachineSpec, wiring: &Wiring) {
        match spec.console {
            Console::Log => self
                .chardev("file", "console", &wiring.console, ",append=on")
                .pair("-serial", "chardev:console"),
            Console::Terminal => self.pair("-serial", "mon:stdio"),
        };
        self.chardev("socket", "agent", &wiring.agent, "")
            .pair("-serial", "chardev:agent");
        if let Some(monitor) = &wiring.monitor {
            self.chardev("socket", "monitor", monitor, "")
                .pair("-mon", "chardev=monitor,mode=control");
        }
    }

    fn disks(&mut self, spec: &MachineSpec, wiring: &Wiring) {
        for (number, (disk, socket)) in spec.disks.iter().zip(&wiring.disks).enumerate() {
            // QEMU before 9.2 knows no other spelling, and 7.2 is what Debian 12 has.
            let more = if disk.reconnect { ",reconnect=1" } else { "" };
            self.chardev("socket", &disk_chardev(number), socket, more);
            if wiring.start == Start::PowerOn {
                let properties = disk_properties(number, disk.shape).map(|(name, value)| format!(",{name}={value}"));
                self.pair("-device", format!("{DISK_DRIVER}{}", properties.concat()));
            }
        }
    }

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
