//! The reference of the control protocol, made of the types that it is spoken in.

use std::fmt::Write as _;

use super::about::about;
use super::protocol::{
    CLIENTS_MAX, Command, CommandLine, Cut, FrontEnd, LINE_BYTES_MAX, Reply, ReplyLine, RuleStatus, Tear,
    UndecidedRequest, VERSION,
};
use super::stats::Stats;
use crate::markdown::wrapped;

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = format!(
        "# The control socket\n\n\
         *Made by `vhost-blk reference control`; a test compares it with the code.*\n\n\
         `--control C` listens at a unix stream socket that only its owner can use (mode 0700; a missing directory \
         is made with mode 0700). A client sends commands as JSON, one per line of at most {} MiB, and gets one \
         answer per command, in order; each command is answered before the next one is read. After a longer line, \
         and the error that answers it, the device closes the connection. {CLIENTS_MAX} clients can be connected at \
         once: one more gets an error and is disconnected.\n\n\
         `v` is the protocol's version, {VERSION}; a command may leave it out, an answer never does. `ok` is false \
         exactly when `reply` is `error`. A command has taken effect when its answer comes: it applies to the \
         guest's next request.\n\n    \
         $ echo '{{\"cmd\":\"list\"}}' | socat - UNIX-CONNECT:C\n\n\
         `vhost-blk ctl C` takes the same commands in words: `vhost-blk ctl C list`, `vhost-blk ctl C 'fail write \
         limit=1'`. So does `cargo xtask inject`, for a running `cargo xtask shell`.\n\n",
        LINE_BYTES_MAX >> 20
    );
    for (command, reply) in examples() {
        let name = serde_json::to_value(&command)
            .ok()
            .and_then(|value| Some(value.get("cmd")?.as_str()?.to_owned()));
        let _ = writeln!(page, "## `{}`\n\n{}\n", name.unwrap_or_default(), about(&command));
        let _ = writeln!(page, "    → {}\n    ← {}\n", sent(command), answered(reply));
    }
    page.push_str(
        "## Errors\n\n\
         A command that is answered with an error changes nothing. One with an unknown field is refused. A bad rule \
         is answered with what is wrong with it and where (`column`, in characters from 1; `rule_index` in a \
         plan).\n\n",
    );
    let error = Reply::Error {
        message: "unknown action `fial`: expected one of …".to_owned(),
        column: Some(1),
        rule_index: None,
    };
    let command = Command::Add {
        rule: "fial write".to_owned(),
    };
    let _ = writeln!(page, "    → {}\n    ← {}", sent(command), answered(error));
    wrapped(&page)
}

fn sent(command: Command) -> String {
    let line = CommandLine { v: VERSION, command };
    serde_json::to_string(&line).unwrap_or_default()
}

fn answered(reply: Reply) -> String {
    serde_json::to_string(&ReplyLine::from(reply)).unwrap_or_default()
}

/// Every command with an answer that it can get.
fn examples() -> Vec<(Command, Reply)> {
    [
        about_rules(),
        about_state(),
        about_states(),
        about_disk_and_power(),
        about_the_device(),
    ]
    .concat()
}

/// Of commands that change rules.
fn about_rules() -> Vec<(Command, Reply)> {
    vec![
        (
            Command::Add {
                rule: "fail write nth=3".to_owned(),
            },
            Reply::Added { name: "r1".to_owned() },
        ),
        (
            Command::Plan {
                seed: 7,
                rules: vec!["delay any for=1ms..5ms p=0.1 name=slow".to_owned()],
            },
            Reply::Done,
        ),
        (
            Command::List,
            Reply::Rules {
                rules: vec![RuleStatus {
                    name: "slow".to_owned(),
                    text: "delay any for=1ms..5ms p=0.1 name=slow".to_owned(),
                    seen: 120,
                    hits: 11,
                    holding: 1,
                }],
            },
        ),
        (
            Command::Remove {
                rule: "slow".to_owned(),
            },
            Reply::Released { requests: 1 },
        ),
        (Command::Clear, Reply::Released { requests: 1 }),
        (
            Command::Release {
                rule: Some("slow".to_owned()),
            },
            Reply::Released { requests: 1 },
        ),
    ]
}

/// Of commands that change what rules and requests meet.
fn about_state() -> Vec<(Command, Reply)> {
    vec![
        (
            Command::Set {
                var: "phase:2".to_owned(),
            },
            Reply::Done,
        ),
        (
            Command::Mark {
                name: "mounted".to_owned(),
            },
            Reply::Done,
        ),
        (
            Command::Rollback {
                to: Some("mounted".to_owned()),
            },
            Reply::Done,
        ),
    ]
}

/// Of the states of a mark.
fn about_states() -> Vec<(Command, Reply)> {
    vec![
        (
            Command::Present {
                at: "mounted".to_owned(),
                lose: Some("0".to_owned()),
                order: None,
                torn: Some("2:4096".to_owned()),
                seed: 0,
            },
            Reply::Presented {
                undecided: 3,
                kept: vec![1, 2],
                torn: Some(Tear {
                    request: 2,
                    bytes: 4096,
                }),
                moved_bytes: 12_288,
            },
        ),
        (
            Command::Undecided {
                at: "mounted".to_owned(),
            },
            Reply::Undecided {
                requests: vec![UndecidedRequest {
                    sectors: vec![(2048, 8)],
                    zeros: false,
                    in_flight: true,
                }],
            },
        ),
    ]
}

/// Of commands that change the disk's size and its power.
fn about_disk_and_power() -> Vec<(Command, Reply)> {
    vec![
        (
            Command::Resize { bytes: 128 << 20 },
            Reply::Resized {
                from: 64 << 20,
                bytes: 128 << 20,
                front_end: FrontEnd::Told,
            },
        ),
        (
            Command::Cut {
                lose: Some("some".to_owned()),
                torn: Some("512".to_owned()),
                seed: 1,
            },
            Reply::Cut {
                volatile: 12,
                lost: 5,
                torn_bytes: Some(1536),
            },
        ),
        (Command::Power, Reply::Released { requests: 0 }),
        (Command::Disconnect, Reply::Done),
    ]
}

/// Of commands that take something out of the device, and its end.
fn about_the_device() -> Vec<(Command, Reply)> {
    vec![
        (
            Command::Export {
                path: "disk.raw".into(),
                at: Some("mounted".to_owned()),
                lose: Some("some".to_owned()),
                torn: None,
                seed: Some(7),
            },
            Reply::Exported {
                data_bytes: 1_048_576,
                cut: Some(Cut {
                    volatile: 12,
                    lost: 5,
                    torn_bytes: None,
                }),
            },
        ),
        (
            Command::ExportLog {
                path: "writes.log".into(),
            },
            Reply::Logged {
                entries: 42,
                disk_bytes: 64 << 20,
            },
        ),
        (
            Command::Stats,
            Reply::Stats(Stats {
                sandbox: "landlock v6, seccomp".to_owned(),
                ..Stats::default()
            }),
        ),
        (Command::Subscribe, Reply::Done),
        (Command::FlushTrace, Reply::Done),
        (Command::Quit, Reply::Done),
    ]
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::super::parse::{COMMANDS, parse};
    use super::*;

    #[test]
    fn every_command_has_an_example_that_reads_back() {
        let page = reference();
        let headings: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
            .collect();
        assert_eq!(headings, COMMANDS.map(|(word, _)| word), "in their order");
        for line in page.lines() {
            if let Some(command) = line.strip_prefix("    → ") {
                parse(command.as_bytes()).expect(command);
            }
            if let Some(reply) = line.strip_prefix("    ← ") {
                serde_json::from_str::<ReplyLine>(reply).expect(reply);
            }
        }
    }
}
