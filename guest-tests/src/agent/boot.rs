//! Pid 1: mounts, starts the agent, reaps, powers off. It never panics and never returns.

use std::process::Command;

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::system::RebootCommand;

use super::kmsg;
use super::places::{INIT, MOUNT_POINT};
use crate::errno;
use crate::state;

/// What is mounted before anything else: type and place, and the option that a kernel needs for it.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("devtmpfs", "/dev", "CONFIG_DEVTMPFS"),
    ("proc", "/proc", "CONFIG_PROC_FS"),
    ("sysfs", "/sys", "CONFIG_SYSFS"),
    ("tmpfs", "/run", "CONFIG_TMPFS"),
    ("tmpfs", "/tmp", "CONFIG_TMPFS"),
];

/// Boots the guest. What fails is told in the kernel's log; the host judges by what the agent says, or does not.
pub(crate) fn pid_one() -> ! {
    mount_all();
    // By default the kernel drops what user space logs too often, and with it the marks of cases and phases.
    let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    for dir in [MOUNT_POINT, state::DIR] {
        if let Err(error) = std::fs::create_dir_all(dir) {
            kmsg::write(&format!("mkdir {dir} fails with {}", errno::io_name(&error)));
        }
    }
    match Command::new(INIT).arg("agent").env_clear().spawn() {
        Ok(agent) => {
            let end = reap_until(Pid::from_child(&agent));
            kmsg::write(&format!("agent ended: {end}"));
        }
        Err(error) => kmsg::write(&format!(
            "agent ended: it cannot be started: {}",
            errno::io_name(&error)
        )),
    }
    loop {
        power_off();
        // Only if the power stays on; there is nothing else left to do, and pid 1 must not return.
        rustix::event::pause();
    }
}

/// Mounts what every guest needs.
pub fn mount_all() {
    for (kind, place, option) in MOUNTS {
        if let Err(errno) = mount(kind, place) {
            kmsg::write(&unmounted(kind, place, option, errno));
        }
    }
    // Not every kernel has it, and nothing depends on it.
    let _ = mount("debugfs", "/sys/kernel/debug");
}

fn unmounted(kind: &str, place: &str, option: &str, errno: Errno) -> String {
    let hint = match errno {
        Errno::NODEV => format!(" (it needs {option}=y)"),
        _ => String::new(),
    };
    format!("mount of {kind} on {place} fails with {}{hint}", errno::name(errno))
}

/// Powers the machine off without unmounting anything; returns only if that fails.
pub fn power_off() {
    if let Err(errno) = rustix::system::reboot(RebootCommand::PowerOff) {
        kmsg::write(&format!("power-off fails with {}", errno::name(errno)));
    }
}

fn mount(kind: &str, place: &str) -> Result<(), Errno> {
    match rustix::fs::mkdir(place, 0o755.into()) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    match rustix::mount::mount(kind, place, kind, MountFlags::empty(), None) {
        // Some kernels mount /dev themselves.
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Collects dead children until the agent is among them; says how it ended.
fn reap_until(agent: Pid) -> String {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == agent => return describe(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return format!("wait fails with {}", errno::name(errno)),
        }
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => format!("{status:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_a_file_system_is_told_its_option() {
        assert_eq!(
            unmounted("devtmpfs", "/dev", "CONFIG_DEVTMPFS", Errno::NODEV),
            "mount of devtmpfs on /dev fails with ENODEV (it needs CONFIG_DEVTMPFS=y)"
        );
    }
}
