//! The agent's life: modules, hello, the disk, then one job after another.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::ExitCode;

use guest_wire::{GuestMessage, HostMessage};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::job::{self, Runner};
use super::serial::{PORT, Serial};
use super::symbols::LaidOut;
use super::{boot, kmsg, needs, sample};
use crate::errno;

/// Modules to load, one absolute path a line, in load order.
const MODULES: &str = "/etc/bioscope/modules";
/// The disk under test.
pub const DISK: &str = "/dev/vda";
/// A directory a PCI slot; where the kernel handles its hotplug there is a file `power` in it
/// (drivers/pci/hotplug/pci_hotplug_core.c).
const SLOTS: &str = "/sys/bus/pci/slots";
/// How long the disk may take to appear, in guest time.
const DISK_DEADLINE_MS: u64 = 20_000;
/// Time between two looks for it.
const DISK_LOOK_MS: u64 = 500;
/// The same where no event tells of it.
const DISK_ASK_MS: u64 = 20;

/// Runs the agent to its end, which is the guest's.
#[must_use]
pub(crate) fn agent() -> ExitCode {
    // Orphans of a phase come to the agent, which ends them before it goes on.
    if let Err(errno) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        kmsg::write(&format!(
            "prctl(PR_SET_CHILD_SUBREAPER) fails with {}",
            errno::name(errno)
        ));
    }
    let mut serial = match Serial::open() {
        Ok(serial) => serial,
        Err(errno) => {
            kmsg::write(&format!("{PORT} cannot be opened: {}", errno::name(errno)));
            return ExitCode::FAILURE;
        }
    };
    match serve(&mut serial) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            kmsg::write(&format!("agent cannot go on: {}", errno::io_name(&error)));
            ExitCode::FAILURE
        }
    }
}

fn serve(serial: &mut Serial) -> io::Result<()> {
    if let Some(reason) = needs::lacking() {
        unfit(serial, reason)?;
    }
    if let Err(reason) = load_modules() {
        unfit(serial, reason)?;
    }
    serial.send(&GuestMessage::Hello {
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        uptime_ms: sample::uptime_ms(),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        hotplug: finds_what_is_plugged_in(),
    })?;
    let mut next_question = 0;
    let mut laid_out = LaidOut::default();
    loop {
        let message = serial.wait()?;
        // Whatever the host says next, it has read the symbols or given them up.
        drop(std::mem::take(&mut laid_out));
        match message {
            Ok(HostMessage::LayOutSymbols { nonce }) => {
                laid_out = LaidOut::new(nonce);
                serial.send(&GuestMessage::Symbols {
                    pages: laid_out.pages,
                    bytes: laid_out.bytes,
                })?;
            }
            Ok(HostMessage::TellTime) => serial.send(&GuestMessage::Time {
                uptime_ms: sample::uptime_ms(),
            })?,
            Ok(HostMessage::FindDisk) => match await_disk() {
                Ok(()) => serial.send(&GuestMessage::Ready)?,
                Err(reason) => unfit(serial, reason)?,
            },
            Ok(HostMessage::Run(job)) => {
                Runner::new(serial, &mut next_question, &job).run()?;
                serial.send(&GuestMessage::Ready)?;
            }
            Ok(HostMessage::PowerOff) => boot::power_off(),
            Ok(HostMessage::DumpBlocked) => job::dump_blocked(),
            Ok(HostMessage::Answer { id, .. }) => kmsg::write(&format!("answer {id} to no question")),
            // A host that was not built together with this guest.
            Err(error) => serial.send(&GuestMessage::Unfit {
                reason: error.to_string(),
            })?,
        }
    }
}

/// Whether the kernel handles hotplug of the machine's PCI slots.
fn finds_what_is_plugged_in() -> bool {
    let slots = std::fs::read_dir(SLOTS).into_iter().flatten().flatten();
    slots.into_iter().any(|slot| slot.path().join("power").exists())
}

/// Tells the host, and the kernel's log, that no job can be run.
fn unfit(serial: &mut Serial, reason: String) -> io::Result<()> {
    kmsg::write(&format!("unfit: {reason}"));
    serial.send(&GuestMessage::Unfit { reason })
}

/// Loads what the initramfs lists; no list means that everything is built in.
///
/// # Errors
/// The module that does not load, and why.
pub fn load_modules() -> Result<(), String> {
    let list = match std::fs::read_to_string(MODULES) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{MODULES}: {}", errno::io_name(&error))),
    };
    for path in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let file = File::open(path).map_err(|error| format!("module {path}: {}", errno::io_name(&error)))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(format!("module {path} does not load: {}", errno::name(errno))),
        }
    }
    Ok(())
}

/// Waits until devtmpfs has the disk: its driver probes on its own time.
///
/// # Errors
/// It did not come, or cannot be waited for.
pub fn await_disk() -> Result<(), String> {
    let disk = Path::new(DISK);
    let failed = |errno: Errno| format!("waiting for {DISK}: {}", errno::name(errno));
    // A kernel without inotify is asked again and again.
    let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Err(Errno::NOSYS) => None,
        watch => Some(watch.map_err(failed)?),
    };
    if let Some(watch) = &watch {
        inotify::add_watch(watch, "/dev", WatchFlags::CREATE).map_err(failed)?;
    }
    let look_ms = if watch.is_some() { DISK_LOOK_MS } else { DISK_ASK_MS };
    // Looked for after the watch began, so that it cannot appear unseen in between.
    let mut waited_ms = 0;
    while !disk.exists() {
        if waited_ms >= DISK_DEADLINE_MS {
            let seconds = DISK_DEADLINE_MS / 1000;
            return Err(format!(
                "no {DISK} after {seconds} s: is there a disk, and are virtio_pci and virtio_blk loaded?"
            ));
        }
        let left = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(look_ms * 1_000_000).unwrap_or(0),
        };
        let since_ms = sample::uptime_ms();
        let mut polled: Vec<PollFd<'_>> = watch.iter().map(|watch| PollFd::new(watch, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // What was created does not matter; only that the watch is quiet again.
        if let Some(watch) = &watch {
            let mut buffer = [MaybeUninit::uninit(); 1024];
            let mut events = inotify::Reader::new(watch, &mut buffer);
            while events.next().is_ok() {}
        }
        // The clock of a machine that was stopped jumps when it goes on; the disk had no time to appear.
        waited_ms += (sample::uptime_ms() - since_ms).min(DISK_LOOK_MS);
    }
    Ok(())
}
