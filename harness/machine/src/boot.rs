//! One machine: device, QEMU and the line to the agent, from power-on, or from a [snapshot] of a booted guest, until the agent waits
//! for a job.

pub mod restore;
pub mod snapshot;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_wire::{Fs, GuestMessage, HostMessage};
use serde::{Deserialize, Serialize};

use crate::device::{Config, Device, DeviceError};
use crate::outage::Outage;
use crate::vm::args::{Accel, Disk, DiskShape, MEMORY_MIB, Memory, Serial, Spec, Start, test_cmdline};
use crate::vm::channel::{Channel, Incoming};
use crate::vm::process::{Vm, VmEnd};

/// How long a boot may take before it is given up as broken. A boot takes 2 to 6 s under translation on an idle machine; this
/// leaves a factor of 30 for a busy one, and running out of it is never held against the kernel.
pub const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// How long a guest that went on from a snapshot may take to find its disk; its agent gives up after 20 s of its own time.
pub const FIND_LIMIT: Duration = Duration::from_secs(120);
/// How long the boot that tries KVM may take.
pub const PROBE_LIMIT: Duration = Duration::from_secs(20);
/// The kernel's console, in a boot's directory.
const CONSOLE: &str = "console.log";
/// How long a device that is going down may take to be seen as gone.
const DEVICE_END_WITHIN: Duration = Duration::from_millis(500);

/// What a boot needs.
pub struct BootConfig<'a> {
    /// The `vhost-blk` binary.
    pub vhost_blk: &'a Path,
    /// The kernel to boot.
    pub kernel: &'a Path,
    /// Whether it boots through PVH.
    pub pvh: bool,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// The golden image.
    pub image: &'a Path,
    /// How the disk looks to the guest.
    pub disk: DiskShape,
    /// What executes guest code.
    pub accel: Accel,
    /// Where logs go.
    pub dir: &'a Path,
    /// Where sockets go.
    pub scratch: &'a Path,
}

/// A machine under test.
pub struct Boot {
    /// QEMU.
    pub vm: Vm,
    /// The block device.
    pub device: Device,
    /// The line to the agent.
    pub channel: Channel,
    /// Where its logs are.
    pub dir: PathBuf,
    /// What the agent said of the guest, once it has.
    pub greeting: Option<Greeting>,
}

/// What an agent says of its guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// `uname -r`.
    pub release: String,
    /// Online CPUs.
    pub cpus: u32,
    /// Whether it finds a disk that is plugged in.
    pub hotplug: bool,
}

/// Why a boot did not get as far as starting QEMU.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The agent's socket or a log.
    #[error("cannot listen for the guest's agent in {}: {source}", dir.display())]
    Agent {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// QEMU.
    #[error("cannot start setpriv and {qemu}: {source}; `cargo xtask doctor` says what is missing", qemu = crate::vm::args::QEMU)]
    Qemu {
        /// Why.
        source: std::io::Error,
    },
}

/// The drivers that a guest needs for its disk and a file system on it, by module name.
#[must_use]
pub fn modules_for(fs: Fs) -> [&'static str; 3] {
    ["virtio_pci", "virtio_blk", fs.as_str()]
}

/// The virtual machine of a test boot, without a disk.
fn spec(config: &BootConfig<'_>, agent: &Path) -> Spec {
    Spec {
        accel: config.accel,
        kernel: config.kernel.to_path_buf(),
        pvh: config.pvh,
        initramfs: config.initramfs.to_path_buf(),
        cmdline: test_cmdline(),
        memory_mib: MEMORY_MIB,
        cpus: 1,
        console: Serial::File(config.dir.join(CONSOLE)),
        agent: Some(agent.to_path_buf()),
        disk: Disk::Absent,
        memory: Memory::Anonymous,
        start: Start::PowerOn,
        monitor: None,
    }
}

/// What stands for a machine in a snapshot's key: all that a guest can see of it, and nothing of where files are.
#[must_use]
pub fn spec_for_key(config: &BootConfig<'_>) -> Spec {
    let config = BootConfig {
        kernel: Path::new("kernel"),
        initramfs: Path::new("initramfs"),
        dir: Path::new("dir"),
        ..*config
    };
    spec(&config, Path::new("agent"))
}

/// Listens for the agent.
fn listen(config: &BootConfig<'_>) -> Result<(Channel, PathBuf), BootError> {
    let socket = config.scratch.join("agent.sock");
    let channel = Channel::listen(&socket, &config.dir.join("agent.log")).map_err(|source| BootError::Agent {
        dir: config.scratch.to_path_buf(),
        source,
    })?;
    Ok((channel, socket))
}

/// Starts the block device.
fn device(config: &BootConfig<'_>) -> Result<Device, BootError> {
    Ok(Device::start(&Config {
        program: config.vhost_blk,
        image: config.image,
        sockets: config.scratch,
        dir: config.dir,
        exports: &[config.dir],
        disk: config.disk,
        options: &[],
    })?)
}

/// Starts QEMU.
fn qemu(spec: &Spec, config: &BootConfig<'_>) -> Result<Vm, BootError> {
    Vm::start(spec, &config.dir.join("qemu.log")).map_err(|source| BootError::Qemu { source })
}

impl Boot {
    /// Starts everything from power-on; the guest is then booting.
    ///
    /// # Errors
    /// Something of ours could not be started.
    pub fn start(config: &BootConfig<'_>) -> Result<Boot, BootError> {
        let device = device(config)?;
        let (channel, agent) = listen(config)?;
        let spec = Spec {
            disk: Disk::Present {
                socket: device.socket.clone(),
                shape: config.disk,
                reconnect: false,
            },
            ..spec(config, &agent)
        };
        Ok(Boot {
            vm: qemu(&spec, config)?,
            device,
            channel,
            dir: config.dir.to_path_buf(),
            greeting: None,
        })
    }

    /// Waits until the agent takes jobs.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn until_ready(&mut self, limit: Duration) -> Result<(), Outage> {
        let deadline = Instant::now() + limit;
        if self.greeting.is_none() {
            match greeting(&mut self.channel, deadline)? {
                Some(greeting) => self.greeting = Some(greeting),
                None => return Err(self.gone()),
            }
        }
        if let Err(error) = self.channel.send(&HostMessage::FindDisk) {
            return Err(Outage::Rig(format!(
                "the guest cannot be told to find its disk: {error}"
            )));
        }
        loop {
            match self.channel.next(deadline) {
                Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
                Some(Incoming::Message(GuestMessage::Ready)) => return Ok(()),
                Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
                Some(Incoming::Closed) => return Err(self.gone()),
                None => {
                    return Err(Outage::OutOfTime {
                        limit_s: limit.as_secs(),
                    });
                }
            }
        }
    }

    /// Says which part of the rig went away, now that the line to the agent is closed.
    pub fn gone(&mut self) -> Outage {
        // A device that dies takes its socket along, but QEMU goes on; a QEMU that dies leaves the device waiting.
        if let Some(how) = self.device.ended() {
            return Outage::DeviceGone(how);
        }
        match self.vm.wait() {
            Ok(end) => Outage::VmGone(end),
            Err(error) => Outage::Rig(format!("cannot wait for QEMU: {error}")),
        }
    }

    /// Asks for the stacks of blocked tasks on the console; best effort, for the evidence.
    pub fn dump_blocked(&mut self) {
        if self.channel.send(&HostMessage::DumpBlocked).is_err() {
            return;
        }
        // The agent answers with a sample once the kernel has printed; nothing depends on it.
        let deadline = Instant::now() + DEVICE_END_WITHIN * 4;
        while let Some(Incoming::Message(_) | Incoming::Noise(_)) = self.channel.next(deadline) {}
    }

    /// Ends the machine and says how it had ended.
    pub fn end(mut self) -> VmEnd {
        self.vm.kill()
    }

    /// Online CPUs, as the agent said.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.greeting.as_ref().map_or(1, |greeting| greeting.cpus)
    }

    /// CPU time that QEMU has used so far, in milliseconds.
    #[must_use]
    pub fn qemu_cpu_ms(&self) -> u64 {
        cpu_ms(self.vm.pid()).unwrap_or(0)
    }

    /// What the kernel has said so far.
    #[must_use]
    pub fn console(&self) -> String {
        console(&self.dir)
    }
}

/// Removes what an earlier machine with its logs in `dir` said: consoles are appended to.
///
/// # Errors
/// It is there and cannot be removed.
pub fn forget_console(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(dir.join(CONSOLE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the kernel has said so far, of a boot with its logs in `dir`.
fn console(dir: &Path) -> String {
    let bytes = std::fs::read(dir.join(CONSOLE)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the agent's first words; none if QEMU closed the line.
fn greeting(channel: &mut Channel, deadline: Instant) -> Result<Option<Greeting>, Outage> {
    loop {
        match channel.next(deadline) {
            Some(Incoming::Message(GuestMessage::Hello {
                release, cpus, hotplug, ..
            })) => {
                return Ok(Some(Greeting { release, cpus, hotplug }));
            }
            Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
            Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
            Some(Incoming::Closed) => return Ok(None),
            None => return Err(Outage::NoHello),
        }
    }
}

/// User and system time of a process (`/proc/PID/stat`, fields 14 and 15, in clock ticks).
fn cpu_ms(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and parentheses; the fields that matter come after its last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
