//! The reference of the control protocol, made of the types that it is spoken in.

use std::fmt::Write as _;

use super::protocol::{
    CLIENTS_MAX, Command, CommandLine, Cut, FrontEnd, LINE_BYTES_MAX, Reply, ReplyLine, RuleStatus, VERSION,
};
use super::stats::Stats;

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = format!(
        "# The control socket

*Made by `vhost-blk reference control`; a test compares it with the code.*

`--control C` listens at a unix stream socket that only its owner can use (mode 0700; a directory that is missing is made with mode 0700). A client
sends commands as JSON, one a line of at most {} MiB, and gets an answer a command, in order, each before the next command is read; after a longer line, and the
error that answers it, the device hangs up. {CLIENTS_MAX} clients can be connected at once: one more gets an error and is hung up on.
`v` is the protocol's version, {VERSION}; a command may leave it out, an answer never does. `ok` is false exactly when `reply` is `error`.
What a command does is done when its answer comes: the next request of the guest meets it.

    $ echo '{{\"cmd\":\"list\"}}' | socat - UNIX-CONNECT:C

`cargo xtask inject` says the same in words to a running `cargo xtask shell`.

",
        LINE_BYTES_MAX >> 20
    );
    for (command, reply) in examples() {
        let name = serde_json::to_value(&command)
            .ok()
            .and_then(|value| Some(value.get("cmd")?.as_str()?.to_owned()));
        let _ = writeln!(page, "## `{}`\n\n{}\n", name.unwrap_or_default(), about(&command));
        let _ = writeln!(page, "    → {}\n    ← {}\n", sent(command), answered(reply));
    }
    page.push_str("## Errors\n\nA command that was not carried out changes nothing. One with a field that it does not know is not carried out. A bad rule is answered with what is wrong with it and where (`column`, in characters from 1; `rule_index` in a plan).\n\n");
    let error = Reply::Error {
        message: "unknown action `fial`: expected one of …".to_owned(),
        column: Some(1),
        rule_index: None,
    };
    let command = Command::Add {
        rule: "fial write".to_owned(),
    };
    let _ = writeln!(page, "    → {}\n    ← {}", sent(command), answered(error));
    page
}

fn sent(command: Command) -> String {
    let line = CommandLine { v: VERSION, command };
    serde_json::to_string(&line).unwrap_or_default()
}

fn answered(reply: Reply) -> String {
    serde_json::to_string(&ReplyLine::from(reply)).unwrap_or_default()
}

const RESIZE: &str = "Makes the disk larger or smaller while it runs, between two requests. `bytes` is a multiple of the block size, not 0 and at most 16 TiB; any other size, and one for which there \
     is no room, is refused and changes nothing. Beyond the image there are zeros. What is cut off is gone: were the disk to grow again, zeros would be there. A request that reaches \
     beyond the end when it is done fails, also one that came before. A power cut does not take it back, and what no flush made durable does not become so. \
     With `--history`, `rollback` to a mark brings back what was cut off.\n\n\
     `front_end` says whether the front end knows: `told` it was and has seen to it, `refused` it was and says that it cannot, `silent` it has not answered within 5 s, \
     `later` it will be told when its first ring starts, `no-channel` it has not chosen the protocol's feature `BACKEND_REQ` and learns of it when it asks, `none` is connected. QEMU from \
     7.2 on is told, and so is its guest.";

const CUT: &str = "Cuts the power: nothing is answered until it comes back, and what was not durable is lost: all of it (`lose`: `all`, if left out), some, chosen by `seed`, \
     or `none`; `torn` tears the last write at a multiple of `512` or `4k` bytes. A write is durable once a flush that came after it is completed; without a write cache (`--no-flush`, a driver \
     that switched it off in the configuration, or one that took neither of the features `FLUSH` and `CONFIG_WCE`), once it is completed. A driver that is gone leaves the cache as it switched it, for \
     nothing tells the next one from the same one connected again. What is durable is known with `--history`, or from when a rule `cut` or `early` came into force; what was written before counts as durable. \
     Where nothing is known of that, a cut that would lose or tear something is refused. Marks outlive it: `rollback` goes back to those before it, too.";

const EXPORT: &str = "Writes the disk to a file on the device's machine, sparse; beside it first, then renamed. Alone that is the disk as it stands; with `at` as it stood at a mark; with `lose`, `torn` and `seed`, \
     which are those of `cut`, as it would stand had the power been cut so, then or now. Nothing is cut or changed, and requests that wait count as for `cut`: they have done nothing. \
     The disk stands still meanwhile: requests wait for the end of the export, but for those of a ring that is stopped, which are \
     dropped after 10 s. All but the disk as it \
     stands needs a history (`--history`); `cut` in the answer is what the power cut did. The sandbox allows it below the directories of `--export-dir`, or, where that was not given, below the \
     device's current directory and that of this socket.";

const EXPORT_LOG: &str = "Writes the history, from the image to now, as a log of dm-log-writes (`replay-log` and fstests read it), to a file on the device's machine; where, is as with `export`. \
     It is replayed on a copy of the image, made as large as `disk_bytes`, the largest size that the disk had; what `resize` cut off stands there as a discard. \
     Changes are whole sectors there. A power cut stands there as writes of what it left where it took something, and a flush; a flush that was dropped, or answered before its time (`early`), is none there. \
     Marks are marks there (`replay-log --log writes.log --replay copy.raw --end-mark mounted`), and the last is `dm-log-writes-end`, as in the kernel's own logs.";

/// What a command does.
fn about(command: &Command) -> &'static str {
    match command {
        Command::Add { .. } => {
            "Adds a rule after those in force; its text is that of [the rule language](rule-language.md). A rule without `name=` gets one. Refused in a replay (`--replay`): no rule is asked there."
        }
        Command::Plan { .. } => {
            "Replaces all rules and the seed, sets all counters, marks and variables back, and lets go what waits. With a bad rule nothing changes. Refused in a replay."
        }
        Command::List => {
            "Asks for the rules in force, in their order: how many requests looked like each one's trigger (`seen`), to how many it was applied (`hits`: 0 is \
             a rule that never fired), and how many it makes wait now (`holding`). In a replay they are the trace's, as they were in force at its last request that came; no trigger is asked, and `seen` is `hits`."
        }
        Command::Clear => {
            "Takes all rules off and lets go everything that waits. In a replay it only lets go: the decisions are the trace's, also those that are still to come."
        }
        Command::Remove { .. } => {
            "Takes one rule off and lets go what it keeps waiting, as `clear` does with all; the others go on as they are. That it was applied stays true for `after=rule(…)` and \
             `before=rule(…)`, until a rule of the same name is added. In a replay it only lets go."
        }
        Command::Release { .. } => "Lets go what one rule keeps waiting, or, without `rule`, all that is held.",
        Command::Set { .. } => "Sets a state variable, for which rules ask with `when=`. In a replay none asks.",
        Command::Mark { .. } => {
            "Makes a mark: a name in the trace, for which rules can wait (`until=mark(…)`, `after=mark(…)`), and to which `rollback` can go back while history is kept. Its name is one \
             as rules have them: at most 64 letters, digits, `_` and `-`, the first a letter or `_`."
        }
        Command::Rollback { .. } => {
            "Makes the disk the image again, or, with `to`, what it was at a mark (`--history` keeps what that takes). The disk's size goes back as well, to the image's or the mark's; \
             if that is another one, the front end is told, and the answer is that of `resize`. If the power was cut, it is given again. Refused while requests are outstanding."
        }
        Command::Resize { .. } => RESIZE,
        Command::Cut { .. } => CUT,
        Command::Power => "Gives power again. What was out when it went is never answered.",
        Command::Disconnect => {
            "Hangs up on the front end. One that connects again is served, or one that has waited: the device serves one at a time, and another waits until the first is gone, also \
             while that one says nothing."
        }
        Command::Export { .. } => EXPORT,
        Command::ExportLog { .. } => EXPORT_LOG,
        Command::Stats => {
            "Asks for the counters since the start. `outstanding` requests are submitted and not completed, `held` of them by rules; `dropped` ones were out when their ring or connection ended; \
             `trace_lost` lines of the trace found no room on its disk; `diverged_at` is the first request that was another one than in the trace that is replayed, `replay_left` how many of the trace's requests have not come as they did there; \
             `sandbox` says what keeps the device from what it does not need."
        }
        Command::Subscribe => {
            "Asks for the trace's lines as they are written. After the answer the connection carries nothing else. A listener that does not keep up misses lines and gets \
             `{\"ev\":\"missed\",\"lines\":N}` in their place."
        }
        Command::FlushTrace => "Hands the trace to the kernel: what happened until now can be read from its file.",
        Command::Quit => {
            "Ends the device, in order, after the answer. Rules that never fired are named on its standard error, and, in a replay, the request at which the guest diverged or before which it stopped."
        }
    }
}

/// Every command with an answer that it can get.
fn examples() -> Vec<(Command, Reply)> {
    [about_rules(), about_state(), about_the_device()].concat()
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
