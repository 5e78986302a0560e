//! A soak's machine: the device, QEMU, and the guest that runs fio.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use guest_wire::soak::{Order, Range, Report};
use vhost_blk_api::control::{Command, Reply, Stats};

use kernels::Artifact;
use machine::device::{Config, Device, DeviceError};
use machine::vm::args::{Accel, Disk, DiskShape, Memory, Serial, Spec, Start, test_cmdline};
use machine::vm::process::Vm;

/// Memory of the guest in MiB: fio's libraries lie in it once as the archive and once unpacked.
const MEMORY_MIB: u32 = 768;
/// A queue for each of two CPUs: requests overtake each other, and the device has two threads.
const SHAPE: DiskShape = DiskShape {
    num_queues: 2,
    queue_size: 64,
    seg_max: None,
    size_max: None,
};
/// How long the guest may take to boot.
const BOOT_WITHIN: Duration = Duration::from_secs(300);
/// How often the device is looked at while the guest works: what rules keep for ever is let go then. Only how long a round takes depends on it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many looks at a device that has nothing to do, a guest that says nothing is given up.
const IDLE_LOOKS_MAX: u32 = 360;

/// Where a device keeps what is written (`vhost-blk --storage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In memory.
    Memory,
    /// In a file without a name, by io_uring.
    File,
}

impl Storage {
    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Storage::Memory => "memory",
            Storage::File => "file",
        }
    }
}

/// What every boot of a soak needs.
pub struct Setup<'a> {
    /// The `vhost-blk` binary.
    pub vhost_blk: &'a Path,
    /// The kernel.
    pub artifact: &'a Artifact,
    /// The initramfs with fio.
    pub initramfs: &'a Path,
    /// The disk's content at first.
    pub image: &'a Path,
    /// Where the device keeps what is written: its `--storage`.
    pub storage: Storage,
    /// What executes guest code.
    pub accel: Accel,
    /// Where logs and the trace go.
    pub dir: &'a Path,
    /// Where sockets go.
    pub sockets: &'a Path,
}

/// Why a machine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Something of it did not start.
    #[error("cannot start {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The guest did not get to the point of taking orders.
    #[error("the guest did not get ready: {0}")]
    NotReady(String),
    /// QEMU or the device ended.
    #[error("the guest is gone: {0}")]
    Gone(String),
    /// The guest waits, and the device knows of nothing that it could wait for.
    #[error("{0}")]
    Stuck(String),
    /// Device and harness do not understand each other.
    #[error("the device answers {0} to a question for something else")]
    Answer(String),
}

/// A running machine.
pub struct Machine {
    /// The device.
    pub device: Device,
    vm: Vm,
    writer: UnixStream,
    reports: Receiver<Report>,
    dir: PathBuf,
}

/// What was done to the device so that a run could end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Nudges {
    /// Times that held requests were let go.
    pub releases: u64,
    /// Times that the power was given back.
    pub powers: u64,
}

impl Machine {
    /// Boots until the guest takes orders.
    ///
    /// # Errors
    /// Something did not start, or the guest did not get that far.
    pub fn boot(setup: &Setup<'_>) -> Result<Machine, MachineError> {
        let start = |what| move |source| MachineError::Start { what, source };
        let device = Device::start(&Config {
            program: setup.vhost_blk,
            image: setup.image,
            sockets: setup.sockets,
            dir: setup.dir,
            disk: SHAPE,
            // A soak exports nothing.
            exports: &[],
            options: &["--storage", setup.storage.word()],
        })?;
        let socket = setup.sockets.join("soak.sock");
        // One of an earlier boot.
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(start("the guest's line"))?;
        let spec = Spec {
            accel: setup.accel,
            kernel: setup.artifact.kernel.clone(),
            pvh: setup.artifact.is_elf(),
            initramfs: setup.initramfs.to_owned(),
            // Rules and a busy host make requests wait; what waits for two minutes of guest time is another matter.
            cmdline: format!("{} sysctl.kernel.hung_task_timeout_secs=120", test_cmdline()),
            memory_mib: MEMORY_MIB,
            cpus: u32::from(SHAPE.num_queues),
            console: Serial::File(setup.dir.join("console.log")),
            agent: Some(socket),
            disk: Disk::Present {
                socket: device.socket.clone(),
                shape: SHAPE,
                reconnect: true,
            },
            memory: Memory::Anonymous,
            start: Start::PowerOn,
            monitor: None,
        };
        let mut vm = Vm::start(&spec, &setup.dir.join("qemu.log")).map_err(start("QEMU"))?;
        let stream = accept(&listener, &mut vm)?;
        let reader = stream.try_clone().map_err(start("the guest's line"))?;
        let log = File::create(setup.dir.join("guest.log")).map_err(start("the guest's log"))?;
        let (sender, reports) = channel();
        thread::spawn(move || {
            let mut log = log;
            for line in BufReader::new(reader).split(b'\n') {
                let Ok(line) = line else { return };
                let _ = log.write_all(&[&line[..], b"\n"].concat());
                // Firmware and kernel may have said something before the guest's program.
                let Ok(report) = serde_json::from_slice(&line) else {
                    continue;
                };
                if sender.send(report).is_err() {
                    return;
                }
            }
        });
        let mut machine = Machine {
            device,
            vm,
            writer: stream,
            reports,
            dir: setup.dir.to_owned(),
        };
        machine.until_ready()?;
        Ok(machine)
    }

    fn until_ready(&mut self) -> Result<(), MachineError> {
        let deadline = Instant::now() + BOOT_WITHIN;
        loop {
            match self
                .reports
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Report::Ready) => return Ok(()),
                Ok(Report::Unfit { reason }) => return Err(MachineError::NotReady(reason)),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let reason = format!("it said nothing for {} s", BOOT_WITHIN.as_secs());
                    return Err(MachineError::NotReady(reason));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            }
        }
    }

    /// Runs fio, and zeroes beside it, until both have ended; hands on what the guest reports.
    ///
    /// # Errors
    /// The machine is gone, or the guest waits for nothing.
    pub fn run(&mut self, jobs: String, zero: Vec<Range>, nudges: &mut Nudges) -> Result<Vec<Report>, MachineError> {
        self.order(&Order::Run { jobs, zero })?;
        let mut reports = Vec::new();
        let mut last = None;
        let mut idle = 0;
        loop {
            match self.reports.recv_timeout(LOOK_EVERY) {
                Ok(Report::End { how }) => {
                    reports.push(Report::End { how });
                    return Ok(reports);
                }
                Ok(Report::Unfit { reason }) => return Err(MachineError::NotReady(reason)),
                Ok(report) => {
                    idle = 0;
                    reports.push(report);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) => {
                    let stats = self.stats()?;
                    if last.as_ref().is_some_and(|last| moved(last, &stats)) {
                        idle = 0;
                    } else {
                        idle += 1;
                        self.nudge(&stats, nudges)?;
                    }
                    if idle > IDLE_LOOKS_MAX {
                        return Err(self.stuck(&stats));
                    }
                    last = Some(stats);
                }
            }
        }
    }

    /// Gives power back, and lets go what rules keep.
    fn nudge(&mut self, stats: &Stats, nudges: &mut Nudges) -> Result<(), MachineError> {
        if stats.dark {
            self.device.call("power", &Command::Power)?;
            // What was out is handed in again by a front end that connects again, and by no other.
            if stats.connected {
                self.device.call("disconnect", &Command::Disconnect)?;
            }
            nudges.powers += 1;
        } else if stats.held > 0 {
            self.device.call("release", &Command::Release { rule: None })?;
            nudges.releases += 1;
        }
        Ok(())
    }

    /// Sends an order.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn order(&mut self, order: &Order) -> Result<(), MachineError> {
        let line = serde_json::to_string(order)
            .map_err(std::io::Error::other)
            .and_then(|line| self.writer.write_all(format!("{line}\n").as_bytes()));
        line.map_err(|_| self.gone())
    }

    /// The device's counters.
    ///
    /// # Errors
    /// The device is gone.
    pub fn stats(&mut self) -> Result<Stats, MachineError> {
        match self.device.call("stats", &Command::Stats)? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(MachineError::Answer(format!("{other:?}"))),
        }
    }

    /// What the kernel has said so far.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("console.log")).unwrap_or_default()).into_owned()
    }

    fn stuck(&mut self, stats: &Stats) -> MachineError {
        // Its stacks are for the evidence; nothing depends on them.
        if self.order(&Order::DumpBlocked).is_ok() {
            let _ = self.reports.recv_timeout(LOOK_EVERY * 10);
        }
        MachineError::Stuck(format!(
            "the guest's fio does not end, and the device has {} requests outstanding, {} of them held by rules",
            stats.outstanding, stats.held
        ))
    }

    /// Says which part of the machine ended, now that its line is closed.
    fn gone(&mut self) -> MachineError {
        if let Some(how) = self.device.ended() {
            return MachineError::Gone(format!("the device {how}"));
        }
        match self.vm.wait() {
            Ok(end) => MachineError::Gone(format!("QEMU ended: {end:?}")),
            Err(error) => MachineError::Gone(format!("QEMU ended: {error}")),
        }
    }
}

/// Whether the device has done something between two looks.
fn moved(before: &Stats, now: &Stats) -> bool {
    (before.submitted, before.completed, before.connections) != (now.submitted, now.completed, now.connections)
}

/// Waits for QEMU to connect, which it does before it starts the guest.
fn accept(listener: &UnixListener, vm: &mut Vm) -> Result<UnixStream, MachineError> {
    let failed = |source| MachineError::Start {
        what: "the guest's line",
        source,
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let deadline = Instant::now() + BOOT_WITHIN;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
        if let Some(end) = vm.ended() {
            return Err(MachineError::Gone(format!("QEMU ended: {end:?}; see qemu.log")));
        }
        if Instant::now() > deadline {
            return Err(MachineError::NotReady("QEMU did not connect".to_owned()));
        }
        // Two things are waited for at once, and one of them is a process.
        thread::sleep(Duration::from_millis(20));
    }
}
