//! `cargo xtask inject`: speaks to the device of a running shell.

use std::path::PathBuf;
use std::time::Duration;

use vhost_blk::control::{Client, Command, Reply};

use super::shell;
use crate::cli::InjectArgs;
use crate::error::{Failure, NO_INPUT, UNAVAILABLE, USAGE};
use crate::host::Places;

const WITHIN: Duration = Duration::from_secs(10);

/// Runs the command.
///
/// # Errors
/// There is no running device, or it refuses the rule.
pub fn run(args: &InjectArgs) -> Result<u8, Failure> {
    let command = parse(&args.words)?;
    if let Command::Add { rule } = &command {
        super::prepare::check_rule(rule)?;
    }
    let socket = args.control.clone().map_or_else(running_shell, Ok)?;
    let mut client = Client::connect(&socket, WITHIN).map_err(|error| {
        let mut failure = Failure::of(UNAVAILABLE, &error);
        failure.message = format!(
            "no device answers at {}; start one with `cargo xtask shell --kernel ID`",
            socket.display()
        );
        failure
    })?;
    let reply = client.call(&command).map_err(|error| Failure::of(USAGE, &error))?;
    match (&command, &reply) {
        (Command::Power, Reply::Released { requests }) => {
            anstream::println!("the power is on; {requests} requests are never answered");
        }
        _ => print(&reply),
    }
    Ok(0)
}

/// The words after `inject`: a command of the control socket, or else a rule.
fn parse(words: &[String]) -> Result<Command, Failure> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    Ok(match words.as_slice() {
        ["list"] => Command::List,
        ["clear"] => Command::Clear,
        ["stats"] => Command::Stats,
        ["release"] => Command::Release { rule: None },
        ["release", rule] => Command::Release {
            rule: Some((*rule).to_owned()),
        },
        ["mark", name] => Command::Mark {
            name: (*name).to_owned(),
        },
        ["power"] => Command::Power,
        ["disconnect", "now"] => Command::Disconnect,
        ["rollback"] => Command::Rollback { to: None },
        ["rollback", to] => Command::Rollback {
            to: Some((*to).to_owned()),
        },
        ["cut", "now", how @ ..] => {
            let value = |key: &str| {
                let value = how.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
                value.map(str::to_owned)
            };
            if let Some(word) = how
                .iter()
                .find(|word| !word.starts_with("lose=") && !word.starts_with("torn="))
            {
                let message = format!("`cut now` takes lose=all|some|none and torn=512|4k, not `{word}`");
                return Err(Failure::new(USAGE, message));
            }
            Command::Cut {
                lose: value("lose"),
                torn: value("torn"),
                seed: 0,
            }
        }
        ["export", path] => Command::Export { path: absolute(path) },
        ["log", path] => Command::ExportLog { path: absolute(path) },
        ["set", var] => Command::Set { var: (*var).to_owned() },
        [
            "list" | "clear" | "stats" | "release" | "mark" | "set" | "power" | "rollback",
            ..,
        ] => {
            return Err(Failure::new(
                USAGE,
                "`list`, `clear` and `stats` take nothing more, `power` neither, `release` a rule's name, `mark` and `rollback` a mark's, `set` NAME:VALUE, `export` and `log` a file",
            ));
        }
        _ => Command::Add { rule: words.join(" ") },
    })
}

/// A path as the device, which runs elsewhere, understands it.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

fn running_shell() -> Result<PathBuf, Failure> {
    shell::current(&Places::find()).ok_or_else(|| {
        Failure::new(NO_INPUT, "no shell is running; start one with `cargo xtask shell --kernel ID`, or name a device with --control SOCKET")
    })
}

fn print(reply: &Reply) {
    match reply {
        Reply::Rules { rules } if rules.is_empty() => anstream::println!("no rules"),
        Reply::Rules { rules } => {
            for rule in rules {
                anstream::println!(
                    "{:<10} {:>6} hits {:>3} held  {}",
                    rule.name,
                    rule.hits,
                    rule.holding,
                    rule.text
                );
            }
        }
        Reply::Added { name } => anstream::println!("rule {name} is in force"),
        Reply::Released { requests } => anstream::println!("let go {requests} held requests"),
        Reply::Cut {
            volatile,
            lost,
            torn_bytes,
        } => {
            let torn = torn_bytes.map(|bytes| format!(", the last one torn after {bytes} bytes"));
            anstream::println!(
                "the power is off; {volatile} requests were not durable, {lost} of them are lost{}; `inject power` or `inject rollback` ends it",
                torn.unwrap_or_default()
            );
        }
        Reply::Exported { data_bytes } => anstream::println!("exported {data_bytes} bytes of data"),
        Reply::Logged { entries } => anstream::println!("exported a log of {entries} entries"),
        Reply::Done => anstream::println!("done"),
        other => match serde_json::to_string_pretty(other) {
            Ok(json) => anstream::println!("{json}"),
            Err(error) => anstream::println!("{other:?} ({error})"),
        },
    }
}
