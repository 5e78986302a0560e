//! QEMU from its arguments until it is connected to everything, and why that may fail.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};

use crate::device::DeviceError;
use crate::launch::Launch;
use crate::line::Line;
use crate::spec::{Accel, Console, MachineSpec};
use crate::tsc;
use crate::vm::args::{Memory, QEMU, Start, Wiring, arguments};
use crate::vm::listener::Listener;
use crate::vm::process::{Vm, VmEnd};
use crate::vm::qmp::{Qmp, QmpError};

/// Why a machine did not start. The guest is not to blame.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to boot from, as it were.
    #[error("a machine needs at least one disk")]
    NoDisk,
    /// A disk's process did not start.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A socket or a log.
    #[error("cannot listen for the guest in {}: {source}", dir.display())]
    Listen {
        /// The directory for the sockets.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// QEMU's process could not be made.
    #[error("cannot start setpriv and {QEMU}: {source}; `cargo xtask doctor` says what is missing")]
    Qemu {
        /// The system's answer.
        source: io::Error,
    },
    /// QEMU ended before it started the guest.
    #[error("QEMU ended before it started the guest ({end:?}); {}", words(log.as_deref()))]
    Ended {
        /// Its exit code or signal.
        end: VmEnd,
        /// What it said, unless that went to the terminal.
        log: Option<PathBuf>,
    },
    /// QEMU runs, but did not connect.
    #[error("QEMU did not connect to the harness")]
    NotConnected,
    /// QEMU's monitor.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// Where QEMU's own words are.
fn words(log: Option<&Path>) -> String {
    log.map_or_else(
        || "its messages, if it had any, stand above".to_owned(),
        |log| format!("see {}", log.display()),
    )
}

impl ExitError for StartError {
    fn exit(&self) -> Exit {
        match self {
            StartError::NoDisk => Exit::Internal,
            StartError::Listen { .. } => Exit::CannotCreate,
            StartError::Device(error) => error.exit(),
            StartError::Qemu { .. } | StartError::Ended { .. } | StartError::NotConnected | StartError::Qmp(_) => {
                Exit::Unavailable
            }
        }
    }
}

/// A QEMU that is connected to everything.
pub(crate) struct Started {
    pub(crate) vm: Vm,
    pub(crate) line: Line,
    pub(crate) monitor: Option<Qmp>,
    pub(crate) cpu_threads: Vec<u32>,
}

/// Starts QEMU; the devices already listen.
pub(crate) fn start(spec: &MachineSpec, launch: &Launch, memory: Memory, start: Start) -> Result<Started, StartError> {
    let reads_counter = spec.accel == Accel::Tcg && start == Start::PowerOn;
    let wiring = Wiring {
        tsc_khz: reads_counter.then(tsc::host_khz).flatten(),
        ..launch.wiring(spec, memory, start)
    };
    let listen = |source| StartError::Listen {
        dir: launch.sockets.clone(),
        source,
    };
    let qemu = |source| StartError::Qemu { source };
    let line = Listener::bind(&wiring.agent).map_err(listen)?;
    let line_log = File::create(launch.line_log()).map_err(listen)?;
    let monitor = wiring.monitor.as_deref().map(Listener::bind);
    let monitor = monitor.transpose().map_err(listen)?;
    let log = (spec.console == Console::Log).then(|| launch.qemu_log());
    let log_file = log.as_deref().map(File::create).transpose().map_err(qemu)?;
    let mut vm = Vm::start(arguments(spec, &wiring), log_file).map_err(qemu)?;
    let mut accept = |listener: Listener| match listener.accept(vm.pid()).map_err(listen)? {
        Some(stream) => Ok(stream),
        None => Err(match vm.ended() {
            Some(end) => StartError::Ended { end, log: log.clone() },
            None => StartError::NotConnected,
        }),
    };
    let line = Line::open(accept(line)?, line_log).map_err(listen)?;
    let monitor = monitor.map(accept).transpose()?;
    let mut monitor = monitor.map(Qmp::begin).transpose()?;
    let cpu_threads = monitor.as_mut().map(Qmp::cpu_threads).transpose()?.unwrap_or_default();
    Ok(Started {
        vm,
        line,
        monitor,
        cpu_threads,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_that_ended_names_a_log_only_where_there_is_one() {
        let ended = |log: Option<&str>| StartError::Ended {
            end: VmEnd::Exited(1),
            log: log.map(PathBuf::from),
        };
        assert_eq!(
            ended(Some("dir/qemu.log")).to_string(),
            "QEMU ended before it started the guest (Exited(1)); see dir/qemu.log"
        );
        assert_eq!(
            ended(None).to_string(),
            "QEMU ended before it started the guest (Exited(1)); its messages, if it had any, stand above"
        );
    }
}
