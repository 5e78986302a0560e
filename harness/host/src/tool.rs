//! Runs the host's tools: found also in the sbin directories, with a deadline, and with errors that name the package to
//! install.

use exit::{Exit, ExitError};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Where administrators' tools live; an ordinary user's `PATH` on Debian does not name these.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How much of a failed tool's standard error goes into the error.
const STDERR_LINES_MAX: usize = 8;

/// How tools say that a disk is full; tar says the last when the rest of a block would not fit, and nothing else.
const FULL: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "enough free space",
    "Wrote only",
];

/// Why a host tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error(
        "`{program}` is not installed (Debian package {package}); `cargo xtask doctor` lists and installs what is \
        missing"
    )]
    Missing {
        /// Name or path, as it was started.
        program: String,
        /// Debian package that has the program.
        package: &'static str,
    },
    /// It could not be started or waited for.
    #[error("cannot run `{program}`")]
    Run {
        /// Name or path, as it was started.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It was killed because it took too long.
    #[error("`{program}` did not end within {deadline_ms} ms and was killed")]
    Deadline {
        /// Name or path, as it was started.
        program: String,
        /// The limit, counted from the program's start.
        deadline_ms: u128,
    },
    /// It could not write.
    #[error(
        "no space left on the disk for `{program}` ({stderr}); free some, or set BIOSCOPE_CACHE to a directory on \
        another disk"
    )]
    DiskFull {
        /// Name or path, as it was started.
        program: String,
        /// The line of its standard error that says so.
        stderr: String,
    },
    /// Its exit code is not 0, or a signal ended it.
    #[error("`{program}` failed ({status}): {stderr}")]
    Failed {
        /// Name or path, as it was started.
        program: String,
        /// Exit code or signal.
        status: ExitStatus,
        /// The last lines of its standard error.
        stderr: String,
    },
}

impl ExitError for ToolError {
    fn exit(&self) -> Exit {
        match self {
            ToolError::Missing { .. } => Exit::Unavailable,
            ToolError::DiskFull { .. } => Exit::CannotCreate,
            ToolError::Run { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Exit::CannotCreate,
            ToolError::Run { .. } | ToolError::Deadline { .. } | ToolError::Failed { .. } => Exit::Internal,
        }
    }
}

/// What a tool that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Standard output and error as text, in this order.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&self.stderr));
        text
    }
}

/// The path of a program, searched for in `PATH` and then in the sbin directories.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// A command for a program of the Debian package `package`, in the C locale so that its messages can be read.
///
/// # Errors
/// The program is not installed.
pub fn command(program: &str, package: &'static str) -> Result<Command, ToolError> {
    let path = find(program).ok_or_else(|| ToolError::Missing {
        program: program.to_owned(),
        package,
    })?;
    let mut command = Command::new(path);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    Ok(command)
}

/// Runs a command to its end and gives back what it said, however it ended.
///
/// # Errors
/// It cannot be started, or does not end in time (then it is killed).
pub fn run(command: &mut Command, deadline: Duration) -> Result<Finished, ToolError> {
    run_watched(command, deadline, |_| {})
}

/// Like [`run`], and hands every line of standard output to `on_line` while the command goes on.
///
/// # Errors
/// As with [`run`].
pub fn run_watched(
    command: &mut Command,
    deadline: Duration,
    mut on_line: impl FnMut(&str) + Send,
) -> Result<Finished, ToolError> {
    let program = name_of(command.get_program());
    let failed = |source: std::io::Error| ToolError::Run {
        program: program.clone(),
        source,
    };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let out = scope.spawn(move || out.map_or_else(Vec::new, |out| read_lines(out, &mut on_line)));
        let err = scope.spawn(move || err.map_or_else(Vec::new, read_all));
        let in_time = wait_until_ended(&child, deadline);
        if !matches!(in_time, Ok(true)) {
            // The tool may be gone by now; then there is nothing to kill.
            let _ = child.kill();
        }
        let status = child.wait().map_err(failed)?;
        let stdout = out.join().unwrap_or_default();
        let stderr = err.join().unwrap_or_default();
        match in_time {
            Ok(true) => Ok(Finished { status, stdout, stderr }),
            Ok(false) => Err(ToolError::Deadline {
                program: program.clone(),
                deadline_ms: deadline.as_millis(),
            }),
            Err(source) => Err(failed(source)),
        }
    })
}

/// Like [`run`], and takes any end but exit code 0 for an error.
///
/// # Errors
/// As with [`run`], and when the tool says that it failed.
pub fn run_ok(command: &mut Command, deadline: Duration) -> Result<Finished, ToolError> {
    let finished = run(command, deadline)?;
    check(command, finished)
}

/// Turns a finished tool that failed into the error that tells why.
///
/// # Errors
/// The tool did not exit with 0.
pub fn check(command: &Command, finished: Finished) -> Result<Finished, ToolError> {
    if finished.status.success() {
        return Ok(finished);
    }
    let program = name_of(command.get_program());
    let stderr = String::from_utf8_lossy(&finished.stderr);
    if let Some(line) = stderr.lines().find(|line| says_full(line)) {
        return Err(ToolError::DiskFull {
            program,
            stderr: line.trim().to_owned(),
        });
    }
    let stderr = tail(&stderr);
    Err(ToolError::Failed {
        program,
        status: finished.status,
        stderr,
    })
}

/// Whether a tool's line says that the disk, or what the user may have of it, is full.
#[must_use]
pub fn says_full(line: &str) -> bool {
    FULL.iter().any(|words| line.contains(words))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(STDERR_LINES_MAX)..].join("; ")
}

fn name_of(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned()
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A broken pipe ends the output; what came before it still counts.
    let _ = from.read_to_end(&mut bytes);
    bytes
}

fn read_lines(mut from: impl Read, on_line: &mut impl FnMut(&str)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Where the line that is not told yet begins, and up to where it is known to go on: what says megabytes without a
    // line's end is not searched anew with each piece.
    let (mut told, mut searched) = (0, 0);
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        while let Some(end) = bytes[searched..].iter().position(|&byte| byte == b'\n') {
            let end = searched + end;
            on_line(&String::from_utf8_lossy(&bytes[told..end]));
            (told, searched) = (end + 1, end + 1);
        }
        searched = bytes.len();
    }
    bytes
}

/// Whether the child ended before the deadline; waits on its pidfd, so it neither sleeps nor reaps.
fn wait_until_ended(child: &std::process::Child, deadline: Duration) -> std::io::Result<bool> {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Ok(true);
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let until = std::time::Instant::now() + deadline;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = command("no-such-tool", "toolbox").unwrap_err();
        assert_eq!(error.exit().code(), 69);
        assert!(error.to_string().contains("Debian package toolbox"));
    }

    #[test]
    fn a_tool_that_hangs_is_killed() {
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, ToolError::Deadline { deadline_ms: 50, .. }), "{error}");
    }

    #[test]
    fn lines_arrive_and_the_whole_is_kept() {
        let mut lines = Vec::new();
        let mut command = Command::new("printf");
        command.arg("a\\nb\\nrest");
        let finished = run_watched(&mut command, Duration::from_secs(5), |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(finished.stdout, b"a\nb\nrest");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        for words in ["No space left on device", "Disk quota exceeded"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo 'tar: {words}' >&2; exit 2")]);
            let error = run_ok(&mut command, Duration::from_secs(5)).unwrap_err();
            assert_eq!(error.exit().code(), 73);
        }
    }
}
