//! Who makes a system call that is not allowed ends by SIGSYS, as seccomp does it, but says first which one it was.

use std::ffi::{c_int, c_uint, c_void};
use std::io::{Cursor, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

/// `si_code` of a SIGSYS that seccomp sends.
const SYS_SECCOMP: c_int = 1;
/// What a shell makes of an end by SIGSYS.
const EXIT_CODE: c_int = 128 + libc::SIGSYS;

/// The kernel's `siginfo_t` as it is with SIGSYS; the crate libc has no access to these fields.
#[repr(C)]
struct SysInfo {
    signo: c_int,
    errno: c_int,
    code: c_int,
    call_addr: *mut c_void,
    syscall: c_int,
    arch: c_uint,
}

/// From here on a SIGSYS of seccomp says which system call it was, before it ends the process.
pub(super) fn set() -> std::io::Result<()> {
    register_signal_handler(libc::SIGSYS, on_sigsys).map_err(|error| std::io::Error::from_raw_os_error(error.errno()))
}

/// Safe in a signal handler: it makes text on its stack, and system calls that are allowed.
extern "C" fn on_sigsys(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid one, larger than these fields.
    let info = unsafe { &*info.cast::<SysInfo>() };
    if info.code == SYS_SECCOMP {
        say(info.syscall);
    }
    // SAFETY: the default action is always valid.
    unsafe { libc::signal(libc::SIGSYS, libc::SIG_DFL) };
    // It is held back until this handler returns, and ends the process then, before it gets to anything else.
    // SAFETY: the signal is one.
    if unsafe { libc::raise(libc::SIGSYS) } != 0 {
        // SAFETY: nothing of ours is to run any more.
        unsafe { libc::_exit(EXIT_CODE) };
    }
}

fn say(number: c_int) {
    let name = usize::try_from(number).ok().and_then(Sysno::new);
    let name = name.map_or("of an unknown name", |name| name.name());
    let mut text = [0; 512];
    let mut line = Cursor::new(&mut text[..]);
    // It has room.
    let _ = writeln!(
        line,
        "vhost-blk: the sandbox ends this process: it made the system call {name} ({number}), which it has no need \
         of, or not with such arguments. That is a mistake in vhost-blk, or somebody's attack through it. \
         `--no-sandbox` runs the device without a sandbox"
    );
    let length = usize::try_from(line.position()).unwrap_or_default();
    let stderr = rustix::stdio::stderr();
    // Nobody may read there: this must not wait for it.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if let Ok(1) = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&now)) {
        let _ = rustix::io::write(stderr, text.get(..length).unwrap_or_default());
    }
}
