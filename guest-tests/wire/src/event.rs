//! What happens in a job, as the guest reports it: phases, results of system calls, findings, samples.

use serde::{Deserialize, Serialize};

use crate::digest::LogDigest;

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
    /// The umount after the run; the page cache is written back.
    Umount,
    /// Mount of what is on disk now.
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
    /// A phase starts. One that never ends is a hang or the end of the guest.
    PhaseStart {
        /// The one after that which ended last.
        phase: Phase,
    },
    /// A phase is over, for good or bad.
    PhaseEnd {
        /// The one that started last.
        phase: Phase,
        /// How it went.
        outcome: PhaseOutcome,
    },
    /// The test says whether the thing under test is set up to happen; several may be said, all must hold.
    Armed {
        /// What was looked at: `source-pages-absent`, `fault-during-write`, …
        what: String,
        /// Whether it is so; a case that is not armed is no pass.
        holds: bool,
        /// Figures behind it.
        detail: String,
    },
    /// A system call under test returned.
    Syscall {
        /// Name of the call: `pwrite`.
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
    /// Something worth having in the evidence that is neither good nor bad (extents, sizes, a test's output).
    Note {
        /// One line for a person.
        text: String,
    },
    /// Part of what a user's own program wrote to standard output and standard error, in the order in which it came.
    Output {
        /// Bytes that were left out before this part, as the whole would be too long.
        #[serde(default, skip_serializing_if = "is_default")]
        left_out: u64,
        /// The bytes as text, with their line ends; what is no UTF-8 has replacement characters.
        text: String,
    },
    /// A look at a phase that has been going on for a while.
    Sample(Sample),
    /// What the kernel counts of its own failures; once after [`Begin`](Event::Begin), once before
    /// [`End`](Event::End).
    Counters(Counters),
    /// Part of the kernel's log as `/dev/kmsg` has it, from the mark at which the job begins to that at which it ends.
    Log(LogPiece),
    /// All that the job has sent so far, said after each phase and each sample: a job that does not come to its end is
    /// whole up to the last of these. [`EventSeal`](crate::EventSeal) makes it.
    SoFar {
        /// How many events of the job came before.
        events: u64,
        /// Hash of these events.
        hash: u64,
    },
    /// The job is over and the file system unmounted. [`EventSeal`](crate::EventSeal) makes it.
    End {
        /// How many events of the job came before.
        events: u64,
        /// Hash of these events.
        hash: u64,
    },
}

/// What a kernel counts of its own failures; what it does not count is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// `/sys/kernel/warn_count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<u64>,
    /// `/sys/kernel/oops_count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oopses: Option<u64>,
    /// `/proc/sys/kernel/tainted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<u64>,
    /// `debug_locks` of `/proc/lockdep_stats`: false once lockdep has spoken, from when on it checks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockdep_on: Option<bool>,
    /// Messages of a lower number than this go to the console (the first number of `/proc/sys/kernel/printk`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_level: Option<u8>,
}

/// Records of the kernel's log that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    /// Sequence number of the first record.
    pub first: u64,
    /// Sequence number of the last record.
    pub last: u64,
    /// The records; none if there is too much text to send.
    pub records: Vec<LogRecord>,
    /// Then these are in their place. A guest of old had only the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<LogDigest>,
    /// Whether the kernel says that it overwrote records before the first of these which nobody had read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overran: bool,
}

/// A record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Sequence number.
    pub seq: u64,
    /// Severity: 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Who wrote it: 0 for the kernel, which nobody else can say of himself. A guest of old did not tell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub facility: u32,
    /// The log's clock, in microseconds.
    pub time_us: u64,
    /// The message; it may have several lines.
    pub text: String,
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseOutcome {
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
    /// The program ran for as long as it may, and the agent ended it.
    TimeUp(ExecTime),
}

/// How long a user's own program may run, in guest time of which pauses of the whole machine are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecTime {
    /// Milliseconds after which the agent ends the program.
    pub limit_ms: u64,
    /// What it means that it had to be ended.
    pub then: WhenOver,
}

/// What is said of a program that ran for as long as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenOver {
    /// It was meant to run on; it counts like one that exited with 0.
    Pass,
    /// It should have ended by itself.
    Error,
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
    /// Idle time since boot, summed over the CPUs, in milliseconds (idle and iowait of `/proc/stat`).
    pub idle_ms: u64,
    /// Runnable tasks, the sampler included (`procs_running` of `/proc/stat`).
    pub runnable: u32,
    /// Reads and writes in flight at the disk as the block layer counts them (`/sys/block/…/inflight`).
    pub inflight: [u64; 2],
    /// Timers of io_uring that have not run out (`/proc/timer_list`); counted only if a watched task waits for a ring.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ring_timers: u32,
    /// The watched tasks (threads of the phase's process) first, then every other task that is in uninterruptible sleep
    /// or runnable.
    pub tasks: Vec<Task>,
}

/// A field of samples as they were before it is left out, so that their hashes stay as they were.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A thread as [`Sample`] sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Thread id.
    pub tid: u32,
    /// Whether it belongs to the phase's own process.
    pub watched: bool,
    /// Whether it is a thread of the kernel.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kthread: bool,
    /// Command name.
    pub comm: String,
    /// State letter of `/proc/PID/stat`.
    pub state: char,
    /// Context switches so far, voluntary and not.
    pub switches: u64,
    /// User and system time so far, in milliseconds.
    pub cpu_ms: u64,
    /// The part of it in user space.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user_ms: u64,
    /// The system call that it sleeps in: its number and its arguments (`/proc/PID/syscall`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscall: Vec<u64>,
    /// Kernel stack, innermost first, symbol names without offsets (`/proc/PID/stack`).
    pub stack: Vec<String>,
}
