//! A guest that does to its disk what a test says, and the device behind it.

mod disk;
mod talk;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::places::Places;
use host::scratch;
use kernels::modules;
use kernels::{Manifest, Options};
use machine::device::{Config, Device};
use machine::initramfs;
use machine::vm::args::{Accel, Disk, DiskShape, MEMORY_MIB, Memory, Serial, Spec, Start, test_cmdline};
use machine::vm::process::{Vm, VmEnd};
use machine::vm::qmp::{Qmp, Waiting};
use run::prepare;

pub use disk::status;

use crate::bed::{KERNEL, kill};

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
    pub device: Device,
    pub qmp: Qmp,
    pub vm: Vm,
    line: BufReader<UnixStream>,
    answers: BTreeMap<u32, String>,
    asked: u32,
    /// Bytes of the console that a test has looked at.
    console_seen: usize,
    spec: Spec,
    image: PathBuf,
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
        let manifest_path = places.root.join("kernels.toml");
        let manifest = Manifest::load(&manifest_path).expect("kernels.toml");
        let selected = manifest.select(&[KERNEL]).expect("the kernel");
        let offline = Options {
            offline: true,
            ..Options::default()
        };
        let artifacts = prepare::kernels(&manifest_path, &selected, &offline).expect("the kernel in the store");
        let drivers = [&["virtio_pci", "virtio_blk"], setup.modules].concat();
        let drivers = modules::closure(&artifacts[0], &drivers).expect("modules");
        let initramfs = dir.path().join("initramfs.cpio");
        let entries = initramfs::spec(&places.guest_bins.join("disk-shell"), &[], &drivers);
        initramfs::write(&initramfs, &entries).expect("the initramfs");
        let device = start_device(setup, dir.path(), image);
        let image = image.to_owned();
        let spec = Spec {
            accel: Accel::Tcg,
            kernel: artifacts[0].kernel.clone(),
            pvh: artifacts[0].is_elf(),
            initramfs,
            cmdline: test_cmdline(),
            memory_mib: MEMORY_MIB,
            cpus: setup.cpus,
            console: Serial::File(dir.path().join("console.log")),
            agent: Some(dir.path().join("agent.sock")),
            disk: Disk::Present {
                socket: device.socket.clone(),
                shape: setup.shape,
                reconnect: setup.reconnect,
            },
            memory: Memory::Anonymous,
            start: Start::PowerOn,
            monitor: Some(dir.path().join("monitor.sock")),
        };
        let (vm, qmp, line) = power_on(&spec, dir.path());
        let mut guest = Guest {
            device,
            qmp,
            vm,
            line,
            answers: BTreeMap::new(),
            asked: 0,
            console_seen: 0,
            spec,
            image,
            dir,
        };
        guest.until_ready();
        guest
    }

    /// Kills the device: nothing is put in order.
    pub fn kill_device(&mut self) {
        kill(self.device.pid().cast_signed());
        while self.device.ended().is_none() {
            // Nobody tells; a killed process is gone in no time.
            std::thread::yield_now();
        }
    }

    /// Starts the device again where it was; a QEMU that reconnects finds it.
    pub fn restart_device(&mut self) {
        let Disk::Present { shape, .. } = self.spec.disk else {
            panic!("the guest has no disk");
        };
        self.device = start_device(
            &Setup {
                shape,
                ..Setup::default()
            },
            self.dir.path(),
            &self.image,
        );
    }

    /// Kills QEMU, which has no time to tell the device.
    pub fn kill_guest(&mut self) {
        self.vm.kill();
    }

    /// Boots the guest again, with the device that there is.
    pub fn power_on_again(&mut self) {
        for socket in [&self.spec.agent, &self.spec.monitor].into_iter().flatten() {
            std::fs::remove_file(socket).expect("the socket of before");
        }
        (self.vm, self.qmp, self.line) = power_on(&self.spec, self.dir.path());
        self.answers.clear();
        self.until_ready();
    }

    /// Descriptors and threads that the device's process has.
    pub fn device_has(&self) -> (usize, usize) {
        let pid = self.device.pid();
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
        // QEMU closes the line as it exits; a guest that does not power off runs into the line's time limit.
        let mut line = String::new();
        while self.line.read_line(&mut line).expect("the guest powers off") > 0 {}
        assert_eq!(self.vm.wait().expect("QEMU's end"), VmEnd::Exited(0));
    }
}

fn start_device(setup: &Setup<'_>, dir: &Path, image: &Path) -> Device {
    Device::start(&Config {
        program: &Places::find().vhost_blk,
        image,
        sockets: dir,
        dir,
        exports: &[dir],
        disk: setup.shape,
        options: setup.options,
    })
    .expect("the device")
}

/// Starts QEMU; gives it with its monitor and the guest's line.
fn power_on(spec: &Spec, dir: &Path) -> (Vm, Qmp, BufReader<UnixStream>) {
    let listener = UnixListener::bind(spec.agent.as_ref().expect("a line")).expect("a socket");
    let waiting = Waiting::listen(spec.monitor.as_ref().expect("a monitor")).expect("a socket");
    let vm = Vm::start(spec, &dir.join("qemu.log")).expect("QEMU");
    // QEMU connects to all of its sockets before it answers on its monitor.
    let qmp = waiting.accept(vm.pid()).expect("QEMU's monitor");
    let (stream, _) = listener.accept().expect("the guest's line");
    stream.set_read_timeout(Some(WITHIN)).expect("a time limit");
    (vm, qmp, BufReader::new(stream))
}
