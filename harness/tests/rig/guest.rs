//! A guest that does to its disk what a test says, and the device behind it.

mod disk;
mod talk;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use host::places::Places;
use host::scratch;
use kernels::modules;
use machine::initramfs;
use machine::{Accel, Arrival, Device, DiskShape, DiskSpec, Launch, Machine, MachineSpec, Outage, Qmp, VmEnd};

pub use disk::status;

use crate::bed::{kill, stored_kernel};

/// How long anything may take that has to happen, on a busy machine.
pub const WITHIN: Duration = Duration::from_secs(180);
/// Size of the disk that a test gets unless it brings one.
pub const DISK_BYTES: u64 = 64 * MIB;
/// Every byte of that disk.
pub const FILL: u8 = 0x5a;

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;

/// What a test wants.
pub struct Setup<'a> {
    /// The device's queues.
    pub shape: DiskShape,
    /// Further options of the device.
    pub options: &'a [&'a str],
    /// The disk's content instead of [`FILL`].
    pub image: Option<&'a Path>,
    /// Modules besides those of the disk.
    pub modules: &'a [&'a str],
    /// Virtual CPUs.
    pub cpus: u32,
    /// Whether QEMU connects again when the device hangs up.
    pub reconnect: bool,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            shape: DiskShape::ORDINARY,
            options: &[],
            image: None,
            modules: &[],
            cpus: 1,
            reconnect: false,
        }
    }
}

/// A running guest with its device.
pub struct Guest {
    machine: Machine,
    answers: BTreeMap<u32, String>,
    asked: u32,
    /// Bytes of the console that a test has looked at.
    console_seen: usize,
    dir: tempfile::TempDir,
}

impl Guest {
    /// Boots and waits until the guest has found its disk.
    pub fn boot(setup: &Setup<'_>) -> Guest {
        let places = Places::find();
        let dir = scratch::make().expect("a directory");
        let own = dir.path().join("disk.raw");
        let image = setup.image.unwrap_or(&own);
        if setup.image.is_none() {
            std::fs::write(&own, vec![FILL; DISK_BYTES as usize]).expect("an image");
        }
        let kernel = stored_kernel(&places);
        let drivers = [&["virtio_pci", "virtio_blk"], setup.modules].concat();
        let drivers = modules::closure(&kernel, &drivers).expect("modules");
        let initramfs = dir.path().join("initramfs.cpio");
        let entries = initramfs::spec(&places.guest_bins.join("disk-shell"), &[], &drivers);
        initramfs::write(&initramfs, &entries).expect("the initramfs");
        let disk = DiskSpec {
            reconnect: setup.reconnect,
            options: setup.options.iter().map(|&option| option.to_owned()).collect(),
            ..DiskSpec::new(image, setup.shape)
        };
        let spec = MachineSpec {
            cpus: setup.cpus,
            ..MachineSpec::for_test(Accel::Tcg, &kernel, initramfs, disk)
        };
        let launch = Launch {
            exports: vec![dir.path().to_owned()],
            monitor: true,
            ..Launch::new(&places.vhost_blk, dir.path(), dir.path())
        };
        let mut guest = Guest {
            machine: Machine::start(spec, launch).expect("the machine"),
            answers: BTreeMap::new(),
            asked: 0,
            console_seen: 0,
            dir,
        };
        guest.until_ready();
        guest
    }

    /// The device behind the disk.
    pub fn device(&mut self) -> &mut Device {
        self.machine.device()
    }

    /// QEMU's monitor.
    pub fn qmp(&mut self) -> &mut Qmp {
        self.machine.monitor().expect("a monitor")
    }

    /// Kills the device: nothing is put in order.
    pub fn kill_device(&mut self) {
        kill(self.device().pid().cast_signed());
        while self.device().ended().is_none() {
            // Nobody tells; a killed process is gone in no time.
            std::thread::yield_now();
        }
    }

    /// Starts the device again where it was; a QEMU that reconnects finds it.
    pub fn restart_device(&mut self) {
        self.machine.restart_device().expect("the device");
    }

    /// Kills QEMU, which has no time to tell the device.
    pub fn kill_guest(&mut self) {
        self.machine.power_off();
    }

    /// Boots the guest again, with the device that there is.
    pub fn power_on_again(&mut self) {
        self.machine.power_on_again().expect("QEMU");
        self.answers.clear();
        self.until_ready();
    }

    /// Descriptors and threads that the device's process has.
    pub fn device_has(&mut self) -> (usize, usize) {
        let pid = self.device().pid();
        let count = |what| {
            std::fs::read_dir(format!("/proc/{pid}/{what}"))
                .expect("its folder")
                .count()
        };
        (count("fd"), count("task"))
    }

    /// Powers the guest off and waits for QEMU's end.
    pub fn end(mut self) {
        self.begin("power-off");
        // QEMU closes the line as it exits.
        let deadline = Instant::now() + WITHIN;
        loop {
            match self.machine.line().next_text(deadline) {
                Some(Arrival::Text(_)) => {}
                Some(Arrival::Closed) => break,
                None => panic!("the guest does not power off"),
            }
        }
        assert_eq!(self.machine.outage(), Outage::VmGone(VmEnd::Exited(0)));
    }
}
