//! What client and device say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::stats::Stats;

/// Version of the protocol. Every reply has it as `v`, and a command that names another one is refused.
pub const VERSION: u32 = 1;

/// Longest line that either side takes, in bytes.
pub const LINE_BYTES_MAX: u64 = 4 << 20;

/// Most clients at once: each costs the device a thread and a descriptor, and one that leaves none would keep front
/// ends out.
pub const CLIENTS_MAX: usize = 64;

/// What a device can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a rule after those in force.
    Add {
        /// One rule in the rule language.
        rule: String,
    },
    /// Replaces all rules and the seed, sets the counters back, lets go what waits.
    Plan {
        /// Seed of all that the new rules choose.
        seed: u64,
        /// The new rules' texts.
        rules: Vec<String>,
    },
    /// Asks for the rules in force.
    List,
    /// Takes one rule off and lets go what it keeps waiting.
    Remove {
        /// The rule's name.
        rule: String,
    },
    /// Takes all rules off and lets go everything that waits.
    Clear,
    /// Lets go what one rule keeps waiting, or all that is held.
    Release {
        /// The rule's name.
        #[serde(default)]
        rule: Option<String>,
    },
    /// Sets a state variable.
    Set {
        /// Its name and value, as in `when=`: `phase:2`.
        var: String,
    },
    /// Makes a mark: a name in the trace, for which rules can wait.
    Mark {
        /// Names may come again; the later mark counts.
        name: String,
    },
    /// Makes the disk the golden image again, or what it was at a mark (if history is kept); refused while requests are
    /// outstanding.
    Rollback {
        /// A mark in the history; the golden image without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Makes the disk what a power cut at a mark would have left of it, in one of the ways that it may; refused while
    /// requests are outstanding.
    Present {
        /// The mark.
        at: String,
        /// Which undecided requests are lost: `all` (the default), `some`, `none`, or their numbers, as in `0,3`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lose: Option<String>,
        /// The order of those that were in flight and are there, by their numbers, as in `5,4`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<String>,
        /// Tears one at a multiple of `512` or `4k` bytes, or the one of a number after so many bytes, as in `3:4096`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torn: Option<String>,
        /// Seed of what is to be chosen.
        #[serde(default)]
        seed: u64,
    },
    /// Asks for the requests of which a power cut at a mark leaves all, nothing or a part.
    Undecided {
        /// The mark.
        at: String,
    },
    /// Makes the disk larger or smaller while it runs, and tells the front end.
    Resize {
        /// Its new size; a multiple of the block size.
        bytes: u64,
    },
    /// Cuts the power: nothing is answered until it comes back, and what was not durable is lost.
    Cut {
        /// What of the volatile write cache is lost: `all` (the default), `some` or `none`.
        #[serde(default)]
        lose: Option<String>,
        /// Tears the last write at a multiple of `512` or `4k` bytes.
        #[serde(default)]
        torn: Option<String>,
        /// Seed that decides which requests are lost and where the last one tears.
        #[serde(default)]
        seed: u64,
    },
    /// Gives power again; what was out when it went is never answered.
    Power,
    /// Hangs up on the front end that is connected; one that connects again is served.
    Disconnect,
    /// Writes the disk to a file of the device's machine: as it stands, as it stood at a mark, or as it would stand
    /// after a power cut.
    Export {
        /// The file; a relative path is the device's.
        path: PathBuf,
        /// As it stood at this mark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
        /// As after a power cut that loses this, as of `cut`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lose: Option<String>,
        /// As after one that tears the last write, as of `cut`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torn: Option<String>,
        /// Seed of what such a power cut chooses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    /// Writes the history, from the golden image to now, as a log of dm-log-writes, to a file of the device's machine.
    ExportLog {
        /// The file; a relative path is the device's.
        path: PathBuf,
    },
    /// Asks for the counters.
    Stats,
    /// Asks for the trace's lines as they are written; after the answer the connection carries nothing else. A listener
    /// that does not keep up misses lines, and gets `{"ev":"missed","lines":N}` in their place.
    Subscribe,
    /// Hands the trace to the kernel.
    FlushTrace,
    /// Ends the device.
    Quit,
}

impl Command {
    /// To write the disk to a file, as it stands.
    #[must_use]
    pub fn export(path: PathBuf) -> Command {
        Command::Export {
            path,
            at: None,
            lose: None,
            torn: None,
            seed: None,
        }
    }
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done; there is nothing to say.
    Done,
    /// A rule was added.
    Added {
        /// As the rule's text has it, or `r1` and so on.
        name: String,
    },
    /// The rules in force, with their counters.
    Rules {
        /// In the order in which rules are asked.
        rules: Vec<RuleStatus>,
    },
    /// Requests were let go.
    Released {
        /// Requests that waited for a rule and do not any more.
        requests: usize,
    },
    /// The disk has another size, by `resize` or with a rollback.
    Resized {
        /// What it had, in bytes.
        from: u64,
        /// What it has, in bytes.
        bytes: u64,
        /// Whether the front end knows.
        front_end: FrontEnd,
    },
    /// A state of a mark is presented.
    Presented {
        /// How many requests were undecided.
        undecided: usize,
        /// The numbers of those that are there, in the order in which they lie upon each other.
        kept: Vec<usize>,
        /// The one of them that is torn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torn: Option<Tear>,
        /// Bytes that were put on the disk to come to this state from the one before.
        moved_bytes: u64,
    },
    /// The requests that were undecided at a mark.
    Undecided {
        /// By their numbers, from 0.
        requests: Vec<UndecidedRequest>,
    },
    /// The power was cut.
    Cut {
        /// Requests whose changes were not durable.
        volatile: usize,
        /// How many of them are lost wholly.
        lost: usize,
        /// Bytes of the last one that got to the disk, if it was torn.
        torn_bytes: Option<u64>,
    },
    /// The disk was written to a file.
    Exported {
        /// Bytes of data in it; the rest are holes.
        data_bytes: u64,
        /// Result of the simulated power cut; none of an export of the disk as it stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<Cut>,
    },
    /// The history was written to a file.
    Logged {
        /// Entries of the log: changes, flushes and marks.
        entries: u64,
        /// The largest size that the disk had: what the log is replayed on must be so large.
        disk_bytes: u64,
    },
    /// The counters, since the device started.
    Stats(Stats),
    /// It was not done.
    Error {
        /// One line for a person: what is wrong, and what to do.
        message: String,
        /// For a bad rule: where in its text, in characters from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
        /// For a bad rule of a plan: its index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule_index: Option<usize>,
    },
}

/// A command with the protocol's version, as it is sent; [`parse`](super::parse::parse) reads it.
#[derive(Debug, Serialize)]
pub(super) struct CommandLine {
    pub(super) v: u32,
    #[serde(flatten)]
    pub(super) command: Command,
}

/// A reply with the protocol's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReplyLine {
    pub(super) v: u32,
    pub(super) ok: bool,
    #[serde(flatten)]
    pub(super) reply: Reply,
}

impl From<Reply> for ReplyLine {
    fn from(reply: Reply) -> ReplyLine {
        let ok = !matches!(reply, Reply::Error { .. });
        ReplyLine { v: VERSION, ok, reply }
    }
}

impl Reply {
    /// The line that answers a command.
    ///
    /// # Errors
    /// It holds a path or name that JSON cannot say.
    pub fn into_line(self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&ReplyLine::from(self))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// A rule in force, as `list` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// As the rule's text has it, or `r1` and so on.
    pub name: String,
    /// The rule as it is printed, which can be parsed again.
    pub text: String,
    /// Requests that looked like its trigger.
    pub seen: u64,
    /// Requests to which it was applied.
    pub hits: u64,
    /// Requests that it makes wait now.
    pub holding: usize,
}

/// A request of which only the first bytes are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tear {
    /// Its number.
    pub request: usize,
    /// How many bytes of it are there.
    pub bytes: u64,
}

/// A request of which a power cut leaves all, nothing or a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndecidedRequest {
    /// What it changes: first sector and number of sectors, of 512 bytes.
    pub sectors: Vec<(u64, u64)>,
    /// Whether it makes them zeros, as a discard does.
    pub zeros: bool,
    /// Whether it was not completed at the mark.
    pub in_flight: bool,
}

/// What a power cut did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cut {
    /// Requests that were in the volatile cache, or in flight.
    pub volatile: usize,
    /// How many of them are lost wholly.
    pub lost: usize,
    /// Bytes of the last one that were still written, if it was torn.
    pub torn_bytes: Option<u64>,
}

/// Whether the front end knows that the disk has another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontEnd {
    /// It was told, and says that it has seen to it (if it can say so: `REPLY_ACK`).
    Told,
    /// It was told, and says that it cannot.
    Refused,
    /// It was told, or could not be told while it waited for something else, and has not answered in time.
    Silent,
    /// None of its rings runs, and it would not listen: it will be told when one does.
    Later,
    /// It has given the device no channel to tell it anything: it learns of it when it asks.
    NoChannel,
    /// None is connected: the next one will find it so.
    None,
}
