//! The control socket: commands and replies as JSON, one a line, over a unix stream socket.
//!
//! ```text
//! → {"v":1,"cmd":"add","rule":"fail write nth=1"}
//! ← {"v":1,"ok":true,"reply":"added","name":"r1"}
//! ```
//!
//! Every command is answered, in order, before the next one is read. `v` is the protocol's version; a command may leave it
//! out, so that a person can type `{"cmd":"list"}` into `socat`.

mod client;
mod page;
mod parse;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::arming::RuleStatus;
pub use crate::history::Cut;
pub use crate::resize::FrontEnd;
pub use crate::stats::Stats;
pub use client::{Client, ClientError, Subscription};
pub use page::reference;
pub use server::serve;

/// Version of the protocol.
pub const VERSION: u32 = 1;

/// Longest line that either side takes, in bytes.
pub const LINE_BYTES_MAX: u64 = 4 << 20;

/// Most clients at once: each costs the device a thread and a descriptor, and one that leaves none would keep front ends out.
pub const CLIENTS_MAX: usize = 64;

/// What a device can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a rule after those in force.
    Add {
        /// Its text.
        rule: String,
    },
    /// Replaces all rules and the seed, sets the counters back, lets go what waits.
    Plan {
        /// The new seed.
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
        /// The name.
        name: String,
    },
    /// Makes the disk the golden image again, or what it was at a mark (if history is kept); refused while requests are outstanding.
    Rollback {
        /// The mark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
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
        /// Seed of what is to be chosen.
        #[serde(default)]
        seed: u64,
    },
    /// Gives power again; what was out when it went is never answered.
    Power,
    /// Hangs up on the front end that is connected; one that connects again is served.
    Disconnect,
    /// Writes the disk to a file of the device's machine: as it stands, as it stood at a mark, or as it would stand after a power cut.
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
    /// Asks for the trace's lines as they are written; after the answer the connection carries nothing else. A listener that does not keep up
    /// misses lines, and gets `{"ev":"missed","lines":N}` in their place.
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
        /// Its name.
        name: String,
    },
    /// The rules in force.
    Rules {
        /// In their order.
        rules: Vec<RuleStatus>,
    },
    /// Requests were let go.
    Released {
        /// How many.
        requests: usize,
    },
    /// The disk has another size, by `resize` or with a rollback.
    Resized {
        /// What it had, in bytes.
        from: u64,
        /// What it has.
        bytes: u64,
        /// Whether the front end knows.
        front_end: FrontEnd,
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
        /// What the power cut did as of which it was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<Cut>,
    },
    /// The history was written to a file.
    Logged {
        /// Entries of the log.
        entries: u64,
        /// The largest size that the disk had: what the log is replayed on must be so large.
        disk_bytes: u64,
    },
    /// The counters.
    Stats(Stats),
    /// It was not done.
    Error {
        /// Why.
        message: String,
        /// For a bad rule: where in its text, in characters from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
        /// For a bad rule of a plan: its index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule_index: Option<usize>,
    },
}

/// A command with the protocol's version, as it is sent; [`parse`] reads it.
#[derive(Debug, Serialize)]
struct CommandLine {
    v: u32,
    #[serde(flatten)]
    command: Command,
}

/// A reply with the protocol's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReplyLine {
    v: u32,
    ok: bool,
    #[serde(flatten)]
    reply: Reply,
}

#[cfg(test)]
mod tests;
