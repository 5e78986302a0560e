//! What the agent cannot do without in a kernel, so that one that lacks it says which option it was built without.

use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::PidfdFlags;
use rustix::time::{TimerfdClockId, TimerfdFlags};

/// What this kernel lacks; nothing if it has all.
pub(super) fn lacking() -> Option<String> {
    let timer = || rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).map(drop);
    let sockets = || {
        let pair = UnixStream::pair().map(drop);
        pair.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let processes = || rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(drop);
    let folder = |path: &str| {
        if Path::new(path).exists() {
            Ok(())
        } else {
            Err(Errno::NOSYS)
        }
    };
    let answers = [
        ("timerfd_create()", "CONFIG_TIMERFD=y", timer()),
        ("Unix sockets", "CONFIG_NET=y and CONFIG_UNIX=y", sockets()),
        ("pidfd_open()", "Linux 5.3 or newer", processes()),
        ("/proc", "CONFIG_PROC_FS=y", folder("/proc/self/stat")),
        ("/sys", "CONFIG_SYSFS=y", folder("/sys/kernel")),
        ("/dev/kmsg", "CONFIG_PRINTK=y", folder("/dev/kmsg")),
    ];
    lack(&answers)
}

/// What is missing of these, by what they need; another error than that a call does not exist is its user's business.
fn lack(answers: &[(&str, &str, Result<(), Errno>)]) -> Option<String> {
    let missing: Vec<String> = answers
        .iter()
        .filter(|(_, _, answer)| matches!(answer, Err(Errno::NOSYS | Errno::AFNOSUPPORT)))
        .map(|(what, needs, _)| format!("no {what} (it needs {needs})"))
        .collect();
    (!missing.is_empty()).then(|| format!("this kernel has {}", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_lacks_a_call_is_told_what_it_needs() {
        // Where the tests run, the log may be hidden.
        let hidden = "this kernel has no /dev/kmsg (it needs CONFIG_PRINTK=y)";
        let expected = (!Path::new("/dev/kmsg").exists()).then_some(hidden);
        assert_eq!(lacking().as_deref(), expected, "this one has all else");
        let answers = [
            ("timerfd_create()", "CONFIG_TIMERFD=y", Err(Errno::NOSYS)),
            ("pidfd_open()", "Linux 5.3 or newer", Err(Errno::MFILE)),
            ("Unix sockets", "CONFIG_UNIX=y", Err(Errno::AFNOSUPPORT)),
        ];
        assert_eq!(
            lack(&answers).as_deref(),
            Some(
                "this kernel has no timerfd_create() (it needs CONFIG_TIMERFD=y), no Unix sockets (it needs \
                CONFIG_UNIX=y)"
            )
        );
    }
}
