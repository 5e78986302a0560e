//! The device of a disk: the `vhost-blk` binary as a process that never outlives us.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use exit::{Exit, ExitError};
use vhost_blk_api::control::{Client, ClientError, Command as Control, Reply};

use crate::launch::Launch;
use crate::spec::{DiskSpec, Storage};

/// How long the device may take to listen; it has nothing to do but to map a file.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a control command may take.
const CONTROL_WITHIN: Duration = Duration::from_secs(60);

/// A running device. Dropping it kills and reaps it.
pub struct Device {
    child: Child,
    client: Client,
    /// Path of the control socket.
    pub control: PathBuf,
    /// Path of the trace; the device writes it as long as it runs.
    pub trace: PathBuf,
}

/// What can go wrong with a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It could not be started.
    #[error("cannot start the block device {}: {source}", program.display())]
    Start {
        /// Path of the device's binary.
        program: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It did not say that it is ready.
    #[error("the block device did not get ready; it said: {0}")]
    NotReady(String),
    /// A control command failed.
    #[error("the block device does not take the command {command}")]
    Control {
        /// The command's name.
        command: &'static str,
        /// The device said no, or is gone.
        source: ClientError,
    },
}

impl ExitError for DeviceError {
    fn exit(&self) -> Exit {
        match self {
            DeviceError::Start { .. } | DeviceError::NotReady(_) => Exit::Unavailable,
            // The command that a person has a say in is `add`, with a rule of theirs.
            DeviceError::Control { .. } => Exit::Usage,
        }
    }
}

impl Device {
    /// Starts the device of a disk, counted from 0, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started or does not get ready; what it said is in the error.
    pub(crate) fn start(disk: &DiskSpec, number: usize, launch: &Launch) -> Result<Device, DeviceError> {
        let start_error = |source| DeviceError::Start {
            program: launch.vhost_blk.clone(),
            source,
        };
        let log_path = launch.device_log(number);
        let log = File::create(&log_path).map_err(start_error)?;
        let mut child = Command::new(&launch.vhost_blk)
            .args(arguments(disk, number, launch))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(start_error)?;
        let ready = child.stdout.take().is_some_and(says_ready);
        let said = || std::fs::read_to_string(&log_path).unwrap_or_default().trim().to_owned();
        let control = launch.control_socket(number);
        let client = if ready {
            Client::connect(&control, CONTROL_WITHIN).ok()
        } else {
            None
        };
        let Some(client) = client else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(DeviceError::NotReady(said()));
        };
        Ok(Device {
            child,
            client,
            control,
            trace: launch.trace(number),
        })
    }

    /// Sends a control command and waits for its reply.
    ///
    /// # Errors
    /// The device refused it or is gone.
    pub fn call(&mut self, name: &'static str, command: &Control) -> Result<Reply, DeviceError> {
        self.client
            .call(command)
            .map_err(|source| DeviceError::Control { command: name, source })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, for a person, if it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("exited with code {}", status.code().unwrap_or(-1)),
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(disk: &DiskSpec, number: usize, launch: &Launch) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut pair = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    pair("--socket", launch.disk_socket(number).into());
    pair("--image", disk.image.clone().into());
    pair("--control", launch.control_socket(number).into());
    pair("--trace", launch.trace(number).into());
    for dir in &launch.exports {
        pair("--export-dir", dir.into());
    }
    let shape = &disk.shape;
    pair("--num-queues", shape.num_queues.to_string().into());
    pair("--queue-size", shape.queue_size.to_string().into());
    if let Some(seg_max) = shape.seg_max {
        pair("--seg-max", seg_max.to_string().into());
    }
    if let Some(size_max) = shape.size_max {
        pair("--size-max", size_max.to_string().into());
    }
    if disk.storage != Storage::Memory {
        pair("--storage", disk.storage.word().into());
    }
    arguments.push("--die-with-parent".into());
    arguments.extend(disk.options.iter().map(OsString::from));
    arguments
}

/// Waits for the line `ready`; the pipe's end (the device died) or the deadline is a no.
fn says_ready(stdout: std::process::ChildStdout) -> bool {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = sender.send(line);
    });
    receiver
        .recv_timeout(READY_WITHIN)
        .is_ok_and(|line| line.trim() == "ready")
}
