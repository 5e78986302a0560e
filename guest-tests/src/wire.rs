//! The lines that guest and host exchange on the second serial port (`ttyS1`).
//!
//! Every line is [`PREFIX`], one JSON object, and a newline. The prefix carries the protocol's version, so that a host
//! and a guest that were not built together say so instead of misreading each other. The guest never goes on past a
//! [`Ask`](GuestMessage::Ask) before its [`Answer`](HostMessage::Answer) arrived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What every line starts with; the number is the protocol's version.
pub const PREFIX: &str = "bioscope/3 ";

/// From the host to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum HostMessage {
    /// Asks for [`Ready`](GuestMessage::Ready) once the disk is there; sent once a boot, after [`Hello`](GuestMessage::Hello). A
    /// disk may be plugged in only shortly before.
    FindDisk,
    /// Runs one variant from its first mount to its last umount.
    Run(Job),
    /// Answers the `Ask` of the same `id`.
    Answer {
        /// The question's number.
        id: u64,
        /// Why the host could not do it; `None` is success.
        error: Option<String>,
        /// What there is to say of it, for a person; nothing with an error.
        text: String,
    },
    /// Asks for the stacks of all blocked tasks: on the console (sysrq-w) and as [`Event::Sample`].
    DumpBlocked,
    /// Powers the guest off without unmounting anything.
    PowerOff,
}

/// One variant of a test, as the guest has to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The case's name (`partial-write.dsync`), repeated in every event.
    pub case: String,
    /// File system type for mount(2).
    pub fs: String,
    /// Block device that holds it.
    pub device: String,
    /// Options for mount(2), comma separated.
    pub mount_options: String,
    /// The program, as an absolute path in the initramfs.
    pub program: String,
    /// How the program is to be run.
    pub kind: JobKind,
}

/// The two kinds of program that a guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// One of our tests: called once a phase (`setup`, `run`, `verify`) with these parameters as `key=value`.
    Test {
        /// Parameters of the variant.
        params: BTreeMap<String, String>,
    },
    /// A user's own program: called once, in `/mnt`, with these arguments; no `setup` or `verify`.
    Exec {
        /// Arguments after the program's name.
        args: Vec<String>,
    },
}

/// From the guest to the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum GuestMessage {
    /// The agent runs and waits to be told to look for its disk; sent once a boot, after the modules were loaded.
    Hello {
        /// `uname -r`.
        release: String,
        /// Time since the kernel started, in milliseconds.
        uptime_ms: u64,
        /// Online CPUs.
        cpus: u32,
        /// Whether a disk that is plugged in later will be found: the kernel handles hotplug of the machine's PCI slots.
        hotplug: bool,
    },
    /// Something the rig needs did not work (a module, a device node): no job can be run.
    Unfit {
        /// What did not work, for a person.
        reason: String,
    },
    /// Waits for a job.
    Ready,
    /// Wants something of the host and waits for the answer.
    Ask {
        /// Number that the answer repeats.
        id: u64,
        /// What is wanted.
        want: Want,
    },
    /// Something happened in the job named.
    Event {
        /// The case that it belongs to.
        case: String,
        /// Time since the kernel started, in milliseconds.
        uptime_ms: u64,
        /// What happened.
        event: Event,
    },
}

/// What a guest can ask the host for; done before the guest goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// Put the case's fault plan in force.
    Arm,
    /// Take every rule off and let go what is held.
    Disarm,
    /// Tell the device this, in the words of `cargo xtask inject`.
    Command {
        /// The words: a rule (`fail write nth=1`), or a command (`mark here`, `release`, `stats`).
        words: Vec<String>,
    },
}

impl HostMessage {
    /// The answer to a question: what there is to say, or why it was not done.
    #[must_use]
    pub fn answer(id: u64, done: Result<String, String>) -> HostMessage {
        let (error, text) = match done {
            Ok(text) => (None, text),
            Err(reason) => (Some(reason), String::new()),
        };
        HostMessage::Answer { id, error, text }
    }
}

/// The phases of a job, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// First mount of the golden image.
    Mount,
    /// The test makes its files.
    Setup,
    /// Unmount and mount again, so that nothing is in the page cache.
    Remount,
    /// The thing under test.
    Run,
    /// Commit without waiting for ordered extents, then look at the space still reserved.
    Leak,
    /// The umount after it.
    Umount,
    /// Mount from disk.
    MountAgain,
    /// Data compared from disk.
    Verify,
    /// The last umount, after which the host looks at the image.
    LastUmount,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Phase; 9] = [
        Phase::Mount,
        Phase::Setup,
        Phase::Remount,
        Phase::Run,
        Phase::Leak,
        Phase::Umount,
        Phase::MountAgain,
        Phase::Verify,
        Phase::LastUmount,
    ];

    /// The phase's name as it stands on the wire and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Mount => "mount",
            Phase::Setup => "setup",
            Phase::Remount => "remount",
            Phase::Run => "run",
            Phase::Leak => "leak",
            Phase::Umount => "umount",
            Phase::MountAgain => "mount-again",
            Phase::Verify => "verify",
            Phase::LastUmount => "last-umount",
        }
    }
}

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The job is accepted and starts; without it nothing that follows counts.
    Begin,
    /// A phase starts.
    PhaseStart {
        /// Which.
        phase: Phase,
    },
    /// A phase is over.
    PhaseEnd {
        /// Which.
        phase: Phase,
        /// How it went.
        outcome: Outcome,
    },
    /// The test says whether the thing under test is set up to happen; several may be said, all must hold.
    Armed {
        /// What was looked at: `source-pages-absent`, `fault-during-write`, …
        what: String,
        /// Whether it holds.
        holds: bool,
        /// Figures behind it.
        detail: String,
    },
    /// A system call under test returned.
    Syscall {
        /// Name of the call.
        call: String,
        /// File offset in bytes.
        offset: u64,
        /// Length asked for in bytes.
        len: u64,
        /// Return value; -1 on error.
        ret: i64,
        /// Name of the error (`EIO`), if it failed.
        errno: Option<String>,
        /// Page faults that the calling thread took during the call.
        faults: u64,
    },
    /// An oracle found something wrong. Any finding fails the cell.
    Finding {
        /// What kind of failure.
        cause: FindingCause,
        /// Which oracle: `data`, `size`, `extents`, `reserved`, `result`.
        oracle: String,
        /// One line for a person.
        detail: String,
    },
    /// Something worth having in the evidence that is neither good nor bad (extents, sizes, a reproducer's output).
    Note {
        /// One line for a person.
        text: String,
    },
    /// A look at a phase that has been going on for a while.
    Sample(Sample),
    /// The job is over and the file system unmounted.
    End,
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what it should (findings are events of their own).
    Done,
    /// The program says that it does not apply here (exit code 77).
    Skipped,
    /// The program's exit code.
    Exited(i32),
    /// The program was ended by this signal.
    Signalled(i32),
    /// A system call of the agent failed: its name and the error's (`mount: EINVAL`).
    Failed(String),
}

/// Kinds of failure that the guest itself can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingCause {
    /// Data or size on disk is not what the system calls promised.
    Corruption,
    /// Space or an ordered extent is still held when nothing should hold it.
    Leak,
    /// A system call answered what it must not answer.
    Error,
}

/// A look at the guest while a phase goes on; a hang is judged on a row of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The phase that is being watched.
    pub phase: Phase,
    /// How long it has been going on, in milliseconds of guest time.
    pub phase_ms: u64,
    /// Idle time since boot, summed over the CPUs, in milliseconds (`/proc/uptime`).
    pub idle_ms: u64,
    /// Runnable tasks, the sampler included (`procs_running` of `/proc/stat`).
    pub runnable: u32,
    /// Reads and writes in flight at the disk as the block layer counts them (`/sys/block/…/inflight`).
    pub inflight: [u64; 2],
    /// The watched tasks (threads of the phase's process) first, then every other task in uninterruptible sleep.
    pub tasks: Vec<Task>,
}

/// One task of a [`Sample`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Thread id.
    pub tid: u32,
    /// Whether it belongs to the phase's own process.
    pub watched: bool,
    /// Command name.
    pub comm: String,
    /// State letter of `/proc/PID/stat`.
    pub state: char,
    /// Context switches so far, voluntary and not.
    pub switches: u64,
    /// User and system time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Kernel stack, innermost first, symbol names without offsets (`/proc/PID/stack`).
    pub stack: Vec<String>,
}

/// Why a line is not a message.
#[derive(Debug)]
pub enum LineError {
    /// The line does not start with [`PREFIX`]; it may be of another protocol version.
    Prefix(String),
    /// What follows the prefix is not the JSON expected.
    Json(serde_json::Error),
}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineError::Prefix(line) => write!(f, "line does not start with {PREFIX:?}: {line:?}"),
            LineError::Json(error) => write!(f, "line is not a known message: {error}"),
        }
    }
}

impl std::error::Error for LineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LineError::Prefix(_) => None,
            LineError::Json(error) => Some(error),
        }
    }
}

/// Writes a message as one line, newline included.
///
/// # Errors
/// Only if serialisation fails, which no type of this module does.
pub fn to_line<T: Serialize>(message: &T) -> Result<String, serde_json::Error> {
    Ok(format!("{PREFIX}{}\n", serde_json::to_string(message)?))
}

/// Reads a message from a line, with or without its line end.
///
/// # Errors
/// The line has another prefix or holds no message of type `T`.
pub fn from_line<T: for<'de> Deserialize<'de>>(line: &str) -> Result<T, LineError> {
    let line = line.trim_end_matches(['\r', '\n']);
    let json = line
        .strip_prefix(PREFIX)
        .ok_or_else(|| LineError::Prefix(line.to_owned()))?;
    serde_json::from_str(json).map_err(LineError::Json)
}
