//! Helper processes of the agent: each does one thing that may never return.

use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::places::MOUNT_POINT;
use super::procfs;
use crate::errno;
use crate::reporter::{ReportError, Reporter};
use crate::test::{EXIT_TROUBLE, chain};

/// Tries of umount(2) while it says EBUSY, and the time between them: two seconds.
const UMOUNT_TRIES: usize = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Runs a helper; what it fails with becomes the phase's outcome.
#[must_use]
pub(crate) fn run(helper: impl FnOnce() -> Result<(), String>) -> ExitCode {
    run_with_reporter(|reporter| match helper() {
        Ok(()) => Ok(()),
        Err(what) => reporter.failed(what),
    })
}

/// Runs a helper that reports by itself.
#[must_use]
pub(crate) fn run_with_reporter(helper: impl FnOnce(&Reporter) -> Result<(), ReportError>) -> ExitCode {
    let result = Reporter::from_env().and_then(|reporter| helper(&reporter));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("init: {}", chain(&error));
            ExitCode::from(EXIT_TROUBLE)
        }
    }
}

/// Mounts the file system under test.
///
/// # Errors
/// `mount: REASON`.
pub(crate) fn mount(fs: &str, device: &str, options: &str) -> Result<(), String> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !procfs::knows_file_system(&known, fs) {
        let known = procfs::device_file_systems(&known);
        return Err(format!(
            "mount: this kernel has no {fs}: its module is missing or did not load (known: {known}); `--modules` names \
             the directory or package that has it"
        ));
    }
    let options = CString::new(options).map_err(|_| "mount: a NUL byte in the options".to_owned())?;
    rustix::mount::mount(device, MOUNT_POINT, fs, MountFlags::empty(), options.as_c_str())
        .map_err(|errno| format!("mount: {}", errno::name(errno)))
}

/// Unmounts it.
///
/// # Errors
/// `umount: REASON`.
pub(crate) fn umount() -> Result<(), String> {
    for _ in 0..UMOUNT_TRIES {
        match rustix::mount::unmount(MOUNT_POINT, UnmountFlags::empty()) {
            // The kernel drops a dead process's io_uring and its files from a work queue, which cannot be waited for.
            Err(Errno::BUSY) => std::thread::sleep(BETWEEN_TRIES),
            result => return result.map_err(|errno| format!("umount: {}", errno::name(errno))),
        }
    }
    Err("umount: EBUSY".to_owned())
}

/// Unmounts and mounts, so that nothing of the file system is cached.
///
/// # Errors
/// `umount: REASON` or `mount: REASON`.
pub(crate) fn remount(fs: &str, device: &str, options: &str) -> Result<(), String> {
    umount()?;
    mount(fs, device, options)
}

/// Becomes a program whose working directory is the file system under test.
///
/// The agent does not start it there itself: entering a stuck file system would stop the agent until the exec.
///
/// # Errors
/// `chdir: REASON` or `exec PROGRAM: REASON`; on success it does not return.
pub(crate) fn exec(program: &str, args: &[&str]) -> Result<(), String> {
    rustix::process::chdir(MOUNT_POINT).map_err(|errno| format!("chdir {MOUNT_POINT}: {}", errno::name(errno)))?;
    let error = Command::new(program).args(args).exec();
    Err(format!("exec {program}: {}", errno::io_name(&error)))
}
