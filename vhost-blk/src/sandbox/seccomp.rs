//! System calls, by seccomp: what the device and its libraries make once they serve, by what it is for, and nothing
//! else.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::allowed::{Allowed, SandboxError};
use super::trap;

/// Calls that are allowed whatever their arguments.
const PLAIN: &[&[c_long]] = &[
    // Requests: events of queues and of the timer, guest memory to files and back, the trace.
    &[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_ppoll,
        libc::SYS_eventfd2,
    ],
    // Front ends and control clients.
    &[
        libc::SYS_accept4,
        libc::SYS_listen,
        libc::SYS_getsockname,
        libc::SYS_getsockopt,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_shutdown,
        libc::SYS_close,
        libc::SYS_memfd_create,
    ],
    // Exports, the file of a disk in files as it is emptied, and the sockets' end. Which files: landlock.
    &[
        libc::SYS_openat,
        libc::SYS_statx,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_lseek,
        libc::SYS_ftruncate,
        libc::SYS_renameat2,
        libc::SYS_unlinkat,
        libc::SYS_readlinkat,
        libc::SYS_getcwd,
    ],
    // Memory. What is executable: below.
    &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap],
    // Threads and their locks. `clone3` is never done, see `no_clone3`.
    &[
        libc::SYS_clone3,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ],
    // Signals.
    &[
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
    ],
    // Time, where the kernel's vDSO has none, and chance.
    &[libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_getrandom],
    // What the C library makes of some of these where it can.
    #[cfg(target_arch = "x86_64")]
    &[
        libc::SYS_epoll_wait,
        libc::SYS_poll,
        libc::SYS_rename,
        libc::SYS_unlink,
        libc::SYS_readlink,
    ],
    #[cfg(target_arch = "aarch64")]
    &[libc::SYS_renameat],
];

/// Length of the address that lets the kernel find an abstract socket's name.
const NO_NAME_BYTES: u64 = 2;
/// Length of an address with such a name: the family, a zero, five digits.
const FOUND_NAME_BYTES: u64 = 8;

/// Kinds of threads and processes that are none of a process's own threads.
const OTHER_SPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Restricts every thread; says why not where the kernel cannot.
pub(super) fn restrict(allowed: &Allowed) -> Result<Option<String>, SandboxError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(Some(gap(&"none is known for this processor")));
    };
    // In this order: after the second no more can be set.
    let programs = [no_clone3(arch), filter(allowed, arch)];
    trap::set().map_err(|error| SandboxError::seccomp(&error))?;
    for program in programs {
        let program = program.map_err(|error| SandboxError::seccomp(&error))?;
        match seccompiler::apply_filter_all_threads(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error)) if is_missing(&error) => {
                return Ok(Some(gap(&error)));
            }
            Err(error) => return Err(SandboxError::seccomp(&error)),
        }
    }
    Ok(None)
}

fn gap(why: &dyn std::fmt::Display) -> String {
    format!("no seccomp filter ({why}): the device can make any system call")
}

/// Whether a kernel without seccomp says so.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL))
}

/// All calls end the process but those that are allowed.
fn filter(allowed: &Allowed, arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut calls: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for number in PLAIN.iter().copied().flatten() {
        calls.insert(*number, Vec::new());
    }
    if allowed.io_uring {
        // With rings that were made before: none can be made.
        calls.insert(libc::SYS_io_uring_enter, Vec::new());
    }
    let mut only = |number: c_long, argument, values: &[u64]| {
        let rules: Result<_, _> = values
            .iter()
            .map(|value| rule(argument, SeccompCmpOp::Eq, *value))
            .collect();
        rules.map(|rules| calls.insert(number, rules))
    };
    only(libc::SYS_socket, 0, &[of(libc::AF_UNIX)])?;
    // So the device neither makes a socket with a name nor gets to one, but for paths of six bytes at most.
    only(libc::SYS_bind, 2, &[NO_NAME_BYTES])?;
    only(libc::SYS_connect, 2, &[FOUND_NAME_BYTES])?;
    // To itself, as an abort does it.
    only(libc::SYS_tgkill, 0, &[std::process::id().into()])?;
    only(libc::SYS_prctl, 0, &[of(libc::PR_SET_NAME), of(libc::PR_SET_VMA)])?;
    only(
        libc::SYS_fcntl,
        1,
        &[
            of(libc::F_DUPFD_CLOEXEC),
            of(libc::F_GETFD),
            of(libc::F_SETFD),
            of(libc::F_GETFL),
            of(libc::F_SETFL),
            of(libc::F_ADD_SEALS),
        ],
    )?;
    // Whether a descriptor blocks, closes on exec, is a terminal; and what the disk's memory needs.
    let mut ioctls = vec![libc::FIONBIO, libc::FIOCLEX, libc::TCGETS, libc::TCGETS2];
    ioctls.extend(crate::disk::fill::IOCTLS.map(u64::from));
    only(libc::SYS_ioctl, 1, &ioctls)?;
    let none_of = |argument, bits: libc::c_int| rule(argument, SeccompCmpOp::MaskedEq(of(bits)), 0);
    calls.insert(libc::SYS_mmap, vec![none_of(2, libc::PROT_EXEC)?]);
    calls.insert(libc::SYS_mprotect, vec![none_of(2, libc::PROT_EXEC)?]);
    // Not to take pages away from the whole machine, as root can.
    let tame = [
        rule(2, SeccompCmpOp::Lt, of(libc::MADV_HWPOISON))?,
        rule(2, SeccompCmpOp::Gt, of(libc::MADV_SOFT_OFFLINE))?,
    ];
    calls.insert(libc::SYS_madvise, tame.into());
    let thread = SeccompCmpOp::MaskedEq(of(libc::CLONE_THREAD | OTHER_SPACES));
    calls.insert(libc::SYS_clone, vec![rule(0, thread, of(libc::CLONE_THREAD))?]);
    SeccompFilter::new(calls, SeccompAction::Trap, SeccompAction::Allow, arch)?.try_into()
}

/// `clone3` has its flags in memory, where a filter cannot look. So there is none, as on older kernels, and the C
/// library does with `clone`. This filter stands above the other one, of which the more severe answer counts.
fn no_clone3(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let calls = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, missing, arch)?.try_into()
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    // All of these are numbers of 32 bits, of which the kernel looks at no more.
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

fn of(constant: libc::c_int) -> u64 {
    u64::from(constant.cast_unsigned())
}
