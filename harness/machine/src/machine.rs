//! A machine: QEMU, the processes behind its disks, and the line to the program in its guest, from power-on to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::{self, Greeting};
use crate::clock;
use crate::cpus::{self, CpuView};
use crate::device::{Device, DeviceError};
use crate::launch::Launch;
use crate::line::Line;
use crate::outage::Outage;
use crate::spec::MachineSpec;
use crate::start::{self, StartError, Started};
use crate::symbols::{self, SymbolText};
use crate::vitals::{self, Vitals};
use crate::vm::args::{Memory, Start};
use crate::vm::process::{Vm, VmEnd};
use crate::vm::qmp::Qmp;

/// A machine whose devices run and that is not powered on yet.
pub struct Assembled {
    pub(crate) spec: MachineSpec,
    pub(crate) launch: Launch,
    pub(crate) devices: Vec<Device>,
}

/// A running machine. Dropping it ends QEMU and the devices.
pub struct Machine {
    // QEMU first: it goes before the devices do.
    pub(crate) vm: Vm,
    pub(crate) devices: Vec<Device>,
    pub(crate) line: Line,
    pub(crate) monitor: Option<Qmp>,
    /// Threads of QEMU that are the virtual CPUs; none without a monitor.
    cpu_threads: Vec<u32>,
    pub(crate) spec: MachineSpec,
    pub(crate) launch: Launch,
    /// What the agent said of the guest, once it has.
    pub(crate) greeting: Option<Greeting>,
    /// The functions of the kernel, once its agent has told them; as text until somebody asks.
    pub(crate) symbols: SymbolText,
}

impl Assembled {
    /// Starts the devices.
    ///
    /// # Errors
    /// One of them does not get ready.
    pub fn new(spec: MachineSpec, launch: Launch) -> Result<Assembled, StartError> {
        if spec.disks.is_empty() {
            return Err(StartError::NoDisk);
        }
        let devices = spec.disks.iter().enumerate();
        let devices = devices.map(|(number, disk)| Device::start(disk, number, &launch));
        Ok(Assembled {
            devices: devices.collect::<Result<_, _>>()?,
            spec,
            launch,
        })
    }

    /// The device of the first disk.
    pub fn device(&mut self) -> &mut Device {
        &mut self.devices[0]
    }

    /// Starts QEMU; the guest is then booting.
    ///
    /// # Errors
    /// Something of ours could not be started.
    pub fn power_on(self) -> Result<Machine, StartError> {
        let started = start::start(&self.spec, &self.launch, Memory::Anonymous, Start::PowerOn)?;
        Ok(self.with(started))
    }

    pub(crate) fn with(self, started: Started) -> Machine {
        Machine {
            vm: started.vm,
            devices: self.devices,
            line: started.line,
            cpu_threads: started.cpu_threads,
            monitor: started.monitor,
            spec: self.spec,
            launch: self.launch,
            greeting: None,
            symbols: SymbolText::default(),
        }
    }
}

impl Machine {
    /// Starts everything from power-on; the guest is then booting.
    ///
    /// # Errors
    /// Something of ours could not be started.
    pub fn start(spec: MachineSpec, launch: Launch) -> Result<Machine, StartError> {
        Assembled::new(spec, launch)?.power_on()
    }

    /// Waits until the guest's agent takes jobs.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn until_ready(&mut self, limit: Duration) -> Result<(), Outage> {
        if self.greeting.is_none() {
            let begun = Instant::now();
            let Machine {
                vm, line, cpu_threads, ..
            } = self;
            let end = || vitals::of(vm.pid(), cpu_threads).end_of(begun, limit);
            match agent::greeting(line, end)? {
                Some(greeting) => self.greeting = Some(greeting),
                None => return Err(self.outage()),
            }
        }
        let deadline = Instant::now() + limit;
        let Some(first) = clock::read(&mut self.line, deadline)? else {
            return Err(self.outage());
        };
        if self.symbols.is_empty() {
            match symbols::fetch(&mut self.line, self.vm.pid(), deadline)? {
                Some(text) => self.symbols = text.into(),
                None => return Err(self.outage()),
            }
        }
        match agent::find_disk(&mut self.line, deadline, limit)? {
            Some(()) => {}
            None => return Err(self.outage()),
        }
        match clock::check(&mut self.line, first, deadline)? {
            Some(()) => Ok(()),
            None => Err(self.outage()),
        }
    }

    /// Serves the guest's line while the machine runs on the terminal; returns when QEMU has ended and the line with
    /// it.
    ///
    /// # Errors
    /// wait(2) failed.
    pub fn in_foreground(&mut self, serve: impl FnOnce(&mut Line) + Send) -> io::Result<VmEnd> {
        let Machine { vm, line, .. } = self;
        thread::scope(|scope| {
            scope.spawn(move || serve(line));
            vm.wait()
        })
    }

    /// Says which part of the machine went away, now that the line is closed.
    pub fn outage(&mut self) -> Outage {
        // A device that dies takes its socket along, but QEMU goes on; a QEMU that dies leaves the devices waiting.
        if let Some(how) = self.devices.iter_mut().find_map(Device::ended) {
            return Outage::DeviceGone(how);
        }
        match self.vm.wait() {
            Ok(end) => Outage::VmGone(end),
            Err(error) => Outage::Rig(format!("cannot wait for QEMU: {error}")),
        }
    }

    /// Ends QEMU if it still runs, and says how it ended; the devices wait for the next one.
    pub fn power_off(&mut self) -> VmEnd {
        self.vm.kill()
    }

    /// Boots again after QEMU's end, with the devices that there are.
    ///
    /// # Errors
    /// QEMU could not be started.
    pub fn power_on_again(&mut self) -> Result<(), StartError> {
        let started = start::start(&self.spec, &self.launch, Memory::Anonymous, Start::PowerOn)?;
        (self.vm, self.line, self.monitor) = (started.vm, started.line, started.monitor);
        self.cpu_threads = started.cpu_threads;
        self.greeting = None;
        self.symbols = SymbolText::default();
        Ok(())
    }

    /// Ends the machine and says how QEMU had ended.
    pub fn end(mut self) -> VmEnd {
        self.vm.kill()
    }

    /// The device of the first disk, `/dev/vda`.
    pub fn device(&mut self) -> &mut Device {
        // No machine is assembled without one.
        &mut self.devices[0]
    }

    /// Starts the device of the first disk again where it was; a QEMU that reconnects finds it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart_device(&mut self) -> Result<(), DeviceError> {
        self.devices[0] = Device::start(&self.spec.disks[0], 0, &self.launch)?;
        Ok(())
    }

    /// The line to the program in the guest.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// QEMU's monitor, if [`Launch::monitor`] asked for one.
    pub fn monitor(&mut self) -> Option<&mut Qmp> {
        self.monitor.as_mut()
    }

    /// The directory with its logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.launch.dir
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

    /// Tells, as often as it is asked, whether QEMU runs and what CPU time its virtual CPUs had. It is of the QEMU that
    /// runs now.
    pub fn vitals_reader(&self) -> impl Fn() -> Vitals + Send + Sync + use<> {
        let (pid, threads) = (self.vm.pid(), self.cpu_threads.clone());
        move || vitals::of(pid, &threads)
    }

    /// Where the virtual CPUs are, by QEMU's monitor; nothing if there is none, or it does not answer at once.
    pub fn look_at_cpus(&mut self) -> Vec<CpuView> {
        let monitor = self.monitor.as_mut();
        monitor.map_or_else(Vec::new, |monitor| cpus::look(monitor, self.symbols.get()))
    }

    /// What the kernel has said so far; nothing where that cannot be read.
    #[must_use]
    pub fn console(&self) -> String {
        self.launch.read_console()
    }

    /// What the kernel has said so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn console_log(&self) -> io::Result<Vec<u8>> {
        std::fs::read(self.launch.console())
    }

    /// How much the console has said so far, in bytes; none where that cannot be known.
    #[must_use]
    pub fn console_bytes(&self) -> u64 {
        std::fs::metadata(self.launch.console()).map_or(0, |log| log.len())
    }

    /// Path of the console's log.
    #[must_use]
    pub fn console_path(&self) -> PathBuf {
        self.launch.console()
    }

    /// What QEMU has said so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn qemu_log(&self) -> io::Result<String> {
        let bytes = std::fs::read(self.launch.qemu_log())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How QEMU ended, if it has.
    pub fn qemu_end(&mut self) -> Option<VmEnd> {
        self.vm.ended()
    }

    /// The kernel's command line.
    #[must_use]
    pub fn command_line(&self) -> &str {
        &self.spec.command_line
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
