//! What host and guest say to each other: jobs, questions and their answers, and what happened.

use serde::{Deserialize, Serialize};

use crate::event::{Event, ExecTime};
use crate::fs::Fs;
use crate::params::TestParams;

/// A line from the host to the guest; `do` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum HostMessage {
    /// Asks for [`Ready`](GuestMessage::Ready) once the disk is there; sent once a boot, after
    /// [`Hello`](GuestMessage::Hello). A disk may be plugged in only shortly before.
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
    /// Asks for the kernel's symbols, in pages of the guest's memory as [`symbols`](crate::symbols) has them; answered
    /// by [`Symbols`](GuestMessage::Symbols).
    LayOutSymbols {
        /// What the pages are recognised by, chosen anew each time.
        nonce: u64,
    },
    /// Asks for the guest's clock; answered by [`Time`](GuestMessage::Time).
    TellTime,
    /// Asks for the stacks of all blocked tasks: on the console (sysrq-w), followed by the mark [`DUMPED`], and while a
    /// phase goes on as [`Event::Sample`] and [`Event::Log`].
    DumpBlocked,
    /// Powers the guest off without unmounting anything.
    PowerOff,
}

/// What the agent writes into its kernel's log, as it writes all marks, when the stacks that were asked for are in it.
pub const DUMPED: &str = "blocked tasks dumped";

/// One variant of a test, as the guest has to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The case's name (`partial-write.dsync`), repeated in every event.
    pub case: String,
    /// File system that the device holds.
    pub fs: Fs,
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
    /// One of our tests: called once a phase (`setup`, `run`, `verify`) with these parameters as JSON.
    Test {
        /// Parameters of the variant.
        params: TestParams,
    },
    /// A user's own program: called once, in `/mnt`, with these arguments; no `setup` or `verify`.
    Exec {
        /// Arguments after the program's name.
        args: Vec<String>,
        /// How long it may run; none if it has to end by itself.
        #[serde(default)]
        time: Option<ExecTime>,
    },
}

/// A line from the guest to the host; `say` says which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum GuestMessage {
    /// The agent runs and waits to be told to look for its disk; sent once a boot, after the modules were loaded.
    Hello {
        /// `uname -r`.
        release: String,
        /// Time since the kernel started, in milliseconds.
        uptime_ms: u64,
        /// CPUs that are online.
        cpus: u32,
        /// Whether a disk that is plugged in later will be found: the kernel handles hotplug of the machine's PCI
        /// slots.
        hotplug: bool,
    },
    /// Something the rig needs did not work (a module, a device node): no job can be run.
    Unfit {
        /// What did not work, for a person.
        reason: String,
    },
    /// The kernel's symbols lie in memory until the next message comes.
    Symbols {
        /// How many pages they take; 0 if the kernel names none.
        pages: u32,
        /// Their length in bytes, without the heads of the pages.
        bytes: u64,
    },
    /// The guest's clock when the question was read.
    Time {
        /// Time since the kernel started, in milliseconds.
        uptime_ms: u64,
    },
    /// Waits for a job.
    Ready,
    /// Wants something of the host and waits for the answer.
    Ask {
        /// Number that the answer repeats.
        id: u64,
        /// What the host is to do before it answers.
        want: Want,
    },
    /// Something happened in the job named.
    Event {
        /// Name of the case, as in [`Job::case`].
        case: String,
        /// Time since the kernel started, in milliseconds.
        uptime_ms: u64,
        /// What happened in the case's job.
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
    /// Look at the disk with the host's checker. The guest does nothing meanwhile, so that work that its kernel put off
    /// has the time to come before the job's end.
    Check,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{from_line, to_line};
    use crate::params::{Parameters, RwVerify};

    #[test]
    fn a_job_keeps_its_parameters_over_the_line() {
        let message = HostMessage::Run(Job {
            case: "rw-verify".into(),
            fs: Fs::Xfs,
            device: "/dev/vda".into(),
            mount_options: String::new(),
            program: "/bin/rw-verify".into(),
            kind: JobKind::Test {
                params: TestParams::RwVerify(RwVerify::PLAIN),
            },
        });
        let line = to_line(&message).unwrap();
        assert_eq!(
            line,
            "bioscope/8 {\"do\":\"run\",\"case\":\"rw-verify\",\"fs\":\"xfs\",\"device\":\"/dev/vda\",\
             \"mount_options\":\"\",\"program\":\"/bin/rw-verify\",\
             \"kind\":{\"test\":{\"params\":{\"rw-verify\":{\"size\":64,\"sync\":\"none\"}}}}}\n"
        );
        assert_eq!(from_line::<HostMessage>(&line).unwrap(), message);
    }

    #[test]
    fn an_answer_is_a_text_or_a_reason() {
        let (done, refused) = (Ok("done".to_owned()), Err("no such rule".to_owned()));
        assert_eq!(
            to_line(&HostMessage::answer(7, done)).unwrap(),
            "bioscope/8 {\"do\":\"answer\",\"id\":7,\"error\":null,\"text\":\"done\"}\n"
        );
        assert_eq!(
            to_line(&HostMessage::answer(8, refused)).unwrap(),
            "bioscope/8 {\"do\":\"answer\",\"id\":8,\"error\":\"no such rule\",\"text\":\"\"}\n"
        );
    }
}
