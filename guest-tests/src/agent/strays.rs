//! What a program leaves running: killed all at once, then waited for.
//!
//! A process that SIGKILL has reached forks no more: the kernel looks for the signal under the lock that makes a child
//! visible. So a signal to a group, or to all processes, ends any storm of forks. One by one, only what stands still
//! would be reached.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::places::INIT;
use super::sample;

/// Zombies that are collected before everything else gets its turn.
const REAPED_AT_ONCE: usize = 1024;

/// Whether any child is left after the dead ones were collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// Of all descendants none is left: orphans become children of the agent.
    Gone,
    Left,
}

/// Collects dead children, and says how this one ended if it is among them.
///
/// # Errors
/// wait(2) failed.
pub(super) fn reap(awaited: Pid) -> io::Result<(Children, Option<WaitStatus>)> {
    let mut ended = None;
    for _ in 0..REAPED_AT_ONCE {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == awaited => ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => break,
            Err(Errno::CHILD) => return Ok((Children::Gone, ended)),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok((Children::Left, ended))
}

/// Kills a process and the group that it leads; either may be gone.
pub(super) fn kill(pid: Pid) {
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    // The group of pid 1 would be every process there is.
    if !pid.is_init() {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// The descendants of the agent after the program has ended.
#[derive(Debug)]
pub(super) struct Strays {
    /// Nothing else runs here but pid 1.
    is_alone: bool,
    /// Those of the last look that have not been waited for.
    left: Vec<Pid>,
}

impl Strays {
    /// Descendants of the agent of a guest: pid 1's child, with pid 1's binary.
    pub(super) fn in_guest() -> Strays {
        let is_agent = rustix::process::getppid().is_some_and(Pid::is_init)
            && std::fs::read_link("/proc/self/exe").is_ok_and(|exe| exe == Path::new(INIT));
        Strays::new(is_agent)
    }

    /// Descendants of a process that is alone with them, or not.
    pub(super) fn new(is_alone: bool) -> Strays {
        Strays {
            is_alone,
            left: Vec::new(),
        }
    }

    /// What tells of the end of one that is left. Kills all of them first if none is known; there may be nothing to
    /// wait for even so, because they have ended meanwhile.
    ///
    /// # Errors
    /// pidfd_open(2) failed.
    pub(super) fn next_end(&mut self) -> io::Result<Option<OwnedFd>> {
        if let Some(end) = self.end_of_known()? {
            return Ok(Some(end));
        }
        self.kill_all();
        self.end_of_known()
    }

    fn end_of_known(&mut self) -> io::Result<Option<OwnedFd>> {
        while let Some(pid) = self.left.pop() {
            match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                Ok(end) => return Ok(Some(end)),
                // Its number may be a thread's by now, which is EINVAL.
                Err(Errno::SRCH | Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    /// Kills all of them, whatever group they are in.
    pub(super) fn kill_all(&mut self) {
        if self.is_alone {
            // kill(-1): all but pid 1 and the caller.
            let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
        }
        let agent = std::process::id();
        let processes = sample::processes();
        let found = sample::descendants(&processes, agent);
        // As /proc has it: pid 1 and the agent of a guest are in group 0, which getpgrp(2) has no word for.
        let own_group = processes.get(&agent).map(|stat| stat.group);
        let strays = found.iter().filter_map(|id| processes.get(id));
        let groups: BTreeSet<u32> = strays.clone().map(|stat| stat.group).collect();
        for group in groups {
            let is_theirs = found.contains(&group) || !processes.contains_key(&group);
            if is_theirs
                && Some(group) != own_group
                && let Some(group) = pid(group).filter(|group| !group.is_init())
            {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
        }
        self.left = Vec::new();
        for stray in strays {
            let Some(pid) = pid(stray.id) else { continue };
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            // A zombie of another's is gone when its parent is, which may never be; its end would be told for ever.
            if stray.state != 'Z' || stray.parent == agent {
                self.left.push(pid);
            }
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().filter(|id| *id > 0).and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use guest_wire::PhaseOutcome;

    use super::*;
    use crate::agent::phase::{PhaseProcess, Wake};

    /// How long a storm rages if nobody ends it, and how long one may that is ended.
    const STORM: Duration = Duration::from_secs(25);
    const SOON: Duration = Duration::from_secs(8);
    /// Processes that fork and exit, and those that stand still beside them.
    const COMETS: usize = 60;
    const CROWD: usize = 100;

    /// Goes on in a child, or nowhere if there is none.
    fn fork() -> bool {
        // SAFETY: the child makes nothing but system calls until it ends.
        unsafe { libc::fork() == 0 }
    }

    fn exit() -> ! {
        // SAFETY: it ends the process at once, which nothing can object to.
        unsafe { libc::_exit(0) }
    }

    /// Forks and exits over and over, if wanted in a session of its own each time. Only one of it is alive at a time.
    fn comet(leaves_group: bool, until: Instant) -> ! {
        while Instant::now() < until && fork() {
            if leaves_group {
                let _ = rustix::process::setsid();
            }
        }
        exit()
    }

    /// Sleeps to the end of the storm, in a group of its own or not.
    fn sleeper(leaves_group: bool, until: Instant) -> ! {
        if leaves_group {
            let _ = rustix::process::setsid();
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        exit()
    }

    /// Leaves a storm behind, and ends. How it was ended, and how long that took.
    fn end_storm(leaves_group: bool, is_alone: bool) -> (Wake, Duration) {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let start = Instant::now();
        let until = start + STORM;
        let storm = move || {
            // SAFETY: no descriptor is used any more; the one that `spawn` waits for would stay open.
            unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
            for at in 0..CROWD {
                if fork() {
                    sleeper(leaves_group && at % 2 == 0, until);
                }
            }
            for _ in 0..COMETS {
                if fork() {
                    comet(leaves_group, until);
                }
            }
            exit()
        };
        let mut command = Command::new("/bin/true");
        // SAFETY: what runs in the child makes nothing but system calls.
        unsafe { command.pre_exec(storm) };
        let (host, _other) = UnixStream::pair().unwrap();
        let mut process = PhaseProcess::spawn(&mut command, Strays::new(is_alone)).unwrap();
        loop {
            let wake = process.wait(&host).unwrap();
            if matches!(wake, Wake::Over(_)) {
                return (wake, start.elapsed());
            }
        }
    }

    #[test]
    fn a_storm_of_forks_is_ended() {
        let _alone = sample::CHILDREN.lock().unwrap();
        let (wake, took) = end_storm(false, false);
        assert_eq!(wake, Wake::Over(PhaseOutcome::Done));
        assert!(took < SOON, "{took:?}");
        assert_eq!(rustix::process::wait(WaitOptions::NOHANG).err(), Some(Errno::CHILD));
    }

    /// In a namespace of processes of its own, where kill(-1) reaches nobody else.
    #[test]
    fn a_storm_that_leaves_its_group_is_ended() {
        if rustix::process::getpid().is_init() {
            let (wake, took) = end_storm(true, true);
            assert_eq!(wake, Wake::Over(PhaseOutcome::Done));
            assert!(took < SOON, "{took:?}");
            return;
        }
        let _alone = sample::CHILDREN.lock().unwrap();
        let mut words = vec![
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ];
        let may_enter = |words: &[&str]| {
            let tried = Command::new("unshare").args(words).arg("true").output();
            tried.is_ok_and(|output| output.status.success())
        };
        if !may_enter(&words) {
            words.drain(..2);
        }
        let output = Command::new("unshare")
            .args(words)
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "agent::strays::tests::a_storm_that_leaves_its_group_is_ended",
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    }

    #[test]
    fn only_groups_of_descendants_are_killed() {
        let _alone = sample::CHILDREN.lock().unwrap();
        // A child in our own group; if that were killed, so were we.
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let mut strays = Strays::new(false);
        let end = strays.next_end().unwrap();
        assert!(end.is_some() && child.wait().unwrap().code().is_none());
        assert!(strays.next_end().unwrap().is_none());
    }
}
