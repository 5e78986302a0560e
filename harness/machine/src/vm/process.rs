//! QEMU as a process that we started and that never outlives us.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::args::QEMU;

/// A running QEMU. Dropping it kills and reaps it.
pub(crate) struct Vm {
    child: Child,
}

/// How QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmEnd {
    /// It was still running when its work was over, and we ended it.
    EndedByUs,
    /// It exited by itself with this code (0 after a guest's power-off, or after a reset or panic with `-no-reboot`).
    Exited(i32),
    /// Somebody else's signal ended it.
    Signalled(i32),
}

impl Vm {
    /// Starts QEMU with its messages going to `log`, or on the terminal if there is none.
    ///
    /// It is started through setpriv(1) of util-linux, which asks the kernel to kill it when our thread's process goes
    /// away, in whatever way; QEMU has no option for that before 10.2. No new session: a runner that kills our process
    /// group kills QEMU too.
    pub(crate) fn start(arguments: Vec<OsString>, log: Option<File>) -> io::Result<Vm> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", QEMU]).args(arguments);
        if let Some(log) = log {
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        }
        Ok(Vm {
            child: command.spawn()?,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<VmEnd> {
        self.child.try_wait().ok().flatten().map(end_of)
    }

    /// Waits for it to end by itself; for callers that know it is ending, such as after its sockets were closed.
    pub(crate) fn wait(&mut self) -> io::Result<VmEnd> {
        self.child.wait().map(end_of)
    }

    /// Ends it if it still runs, and says how it ended.
    pub(crate) fn kill(&mut self) -> VmEnd {
        if let Some(end) = self.ended() {
            return end;
        }
        // It can end between the look and the signal; kill(2) then fails and wait(2) tells the truth.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) if status.signal() == Some(9) => VmEnd::EndedByUs,
            Ok(status) => end_of(status),
            Err(_) => VmEnd::EndedByUs,
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end_of(status: ExitStatus) -> VmEnd {
    match status.signal() {
        Some(signal) => VmEnd::Signalled(signal),
        None => VmEnd::Exited(status.code().unwrap_or(-1)),
    }
}
