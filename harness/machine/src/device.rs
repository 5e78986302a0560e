//! The block device of a boot: the `vhost-blk` binary as a process that never outlives us.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use vhost_blk_api::control::{Client, ClientError, Command as Control, Reply};

use crate::vm::args::DiskShape;

/// How long the device may take to listen; it has nothing to do but to map a file.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a control command may take.
const CONTROL_WITHIN: Duration = Duration::from_secs(60);

/// A running device. Dropping it kills and reaps it.
pub struct Device {
    child: Child,
    client: Client,
    /// The vhost-user socket.
    pub socket: PathBuf,
    /// The control socket.
    pub control: PathBuf,
    /// The trace that it writes.
    pub trace: PathBuf,
}

/// What can go wrong with a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It could not be started.
    #[error("cannot start the block device {}: {source}", program.display())]
    Start {
        /// The binary.
        program: PathBuf,
        /// Why.
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
        /// Why.
        source: ClientError,
    },
}

/// What a device is started with.
pub struct Config<'a> {
    /// The `vhost-blk` binary.
    pub program: &'a Path,
    /// The golden image; never written.
    pub image: &'a Path,
    /// Directory for the sockets; short, since a unix socket's path is limited to 107 bytes.
    pub sockets: &'a Path,
    /// Directory for the trace and the log.
    pub dir: &'a Path,
    /// Directories below which it may write exports; those that it has by itself, if none is named.
    pub exports: &'a [&'a Path],
    /// How the disk looks to the guest.
    pub disk: DiskShape,
    /// Further options of the device's command line.
    pub options: &'a [&'a str],
}

impl Device {
    /// Starts the device and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started or does not get ready; what it said is in the error.
    pub fn start(config: &Config<'_>) -> Result<Device, DeviceError> {
        let program = config.program.to_path_buf();
        let start_error = |source| DeviceError::Start {
            program: program.clone(),
            source,
        };
        let socket = config.sockets.join("disk.sock");
        let control = config.sockets.join("control.sock");
        let trace = config.dir.join("trace.jsonl");
        let log_path = config.dir.join("device.log");
        let log = File::create(&log_path).map_err(start_error)?;
        let mut command = Command::new(config.program);
        command
            .arg("--socket")
            .arg(&socket)
            .arg("--image")
            .arg(config.image)
            .arg("--control")
            .arg(&control);
        command.arg("--trace").arg(&trace).arg("--die-with-parent");
        for dir in config.exports {
            command.arg("--export-dir").arg(dir);
        }
        command.args(["--num-queues", &config.disk.num_queues.to_string()]);
        command.args(["--queue-size", &config.disk.queue_size.to_string()]);
        if let Some(seg_max) = config.disk.seg_max {
            command.args(["--seg-max", &seg_max.to_string()]);
        }
        if let Some(size_max) = config.disk.size_max {
            command.args(["--size-max", &size_max.to_string()]);
        }
        let mut child = command
            .args(config.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(start_error)?;
        let ready = child.stdout.take().is_some_and(says_ready);
        let said = || std::fs::read_to_string(&log_path).unwrap_or_default().trim().to_owned();
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
            socket,
            control,
            trace,
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
