//! Answers at the control socket: one thread a client, so that a long export keeps nobody else waiting.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;

use super::{Command, CommandLine, LINE_BYTES_MAX, Reply, ReplyLine, VERSION};
use crate::device::Device;
use crate::export::Exported;
use crate::history::{Cut, PowerCut, Wanted};
use crate::plan::{Action, Rule, RuleError, Var};
use crate::resize::Resized;
use crate::trace::Heard;

/// Takes clients for ever; `quit` is called when one says so, after it was answered.
pub fn serve(listener: &UnixListener, device: &Arc<Device>, quit: fn()) {
    for stream in listener.incoming() {
        let device = Arc::clone(device);
        let started = stream.and_then(|stream| {
            thread::Builder::new().name("control".to_owned()).spawn(move || {
                // A client that goes away in the middle of a line has nobody left to tell of it.
                let _ = talk(&stream, &device, quit);
            })
        });
        if let Err(error) = started {
            anstream::eprintln!("vhost-blk: cannot take a control client: {error}");
        }
    }
}

fn talk(stream: &UnixStream, device: &Device, quit: fn()) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let (reply, ends) = match parse(&line) {
            Ok(Command::Subscribe) => return subscribe(stream, device),
            Ok(command) => {
                let ends = command == Command::Quit;
                (obey(device, command), ends)
            }
            Err(message) => (refusal(message), false),
        };
        let ok = !matches!(reply, Reply::Error { .. });
        let mut answer = serde_json::to_vec(&ReplyLine { v: VERSION, ok, reply })?;
        answer.push(b'\n');
        let written = writer.write_all(&answer);
        if ends {
            quit();
        }
        written?;
    }
}

/// Sends the trace's lines until the client goes away.
fn subscribe(mut stream: &UnixStream, device: &Device) -> io::Result<()> {
    // Before the answer: what happens after it is heard.
    let heard = device.trace().listen();
    let mut answer = serde_json::to_vec(&ReplyLine {
        v: VERSION,
        ok: true,
        reply: Reply::Done,
    })?;
    answer.push(b'\n');
    stream.write_all(&answer)?;
    for heard in heard {
        match heard {
            Heard::Line(line) => stream.write_all(&line)?,
            Heard::Missed(lines) => writeln!(stream, "{{\"ev\":\"missed\",\"lines\":{lines}}}")?,
        }
    }
    Ok(())
}

fn parse(line: &[u8]) -> Result<Command, String> {
    // The version is looked at first: a newer protocol's commands need not look like ours.
    let value: serde_json::Value = serde_json::from_slice(line).map_err(|error| format!("not a command: {error}"))?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        None if value.get("v").is_none() => {}
        Some(v) if v == u64::from(VERSION) => {}
        _ => return Err(format!("protocol version {}: this device speaks {VERSION}", value["v"])),
    }
    serde_json::from_value::<CommandLine>(value)
        .map(|line| line.command)
        .map_err(|error| format!("not a command: {error}"))
}

fn obey(device: &Device, command: Command) -> Reply {
    match command {
        Command::Add { rule } => match device.add_rule(&rule) {
            Ok(name) => Reply::Added { name },
            Err(error) => rule_refusal(&error, None),
        },
        Command::Plan { seed, rules } => match device.set_plan(seed, &rules) {
            Ok(()) => Reply::Done,
            Err((index, error)) => rule_refusal(&error, Some(index)),
        },
        Command::List => Reply::Rules { rules: device.rules() },
        Command::Clear => Reply::Released {
            requests: device.clear_rules(),
        },
        Command::Release { rule } => match device.release(rule.as_deref()) {
            Ok(requests) => Reply::Released { requests },
            Err(error) => refusal(error.to_string()),
        },
        Command::Set { var } => match Var::read(&var) {
            Some(var) => {
                device.set_var(&var);
                Reply::Done
            }
            None => refusal(format!(
                "bad variable `{var}`: expected a name and a number, like phase:2"
            )),
        },
        Command::Mark { name } => {
            device.mark(&name);
            Reply::Done
        }
        Command::Cut { lose, torn, seed } => match power_cut(lose.as_deref(), torn.as_deref(), seed) {
            Ok(PowerCut { lose, torn, seed }) => {
                let Cut {
                    volatile,
                    lost,
                    torn_bytes,
                } = device.cut(lose, torn, seed);
                Reply::Cut {
                    volatile,
                    lost,
                    torn_bytes,
                }
            }
            Err(refusal) => *refusal,
        },
        Command::Power => Reply::Released {
            requests: device.power_on(),
        },
        Command::Disconnect => {
            if device.hang_up() {
                Reply::Done
            } else {
                refusal("no front end is connected".to_owned())
            }
        }
        Command::Rollback { to } => match device.rollback(to.as_deref()) {
            Ok(None) => Reply::Done,
            Ok(Some(resized)) => told(resized),
            Err(error) => refusal(format!("cannot roll back: {error}")),
        },
        Command::Resize { bytes } => match device.resize(bytes) {
            Ok(resized) => told(resized),
            Err(error) => refusal(format!("cannot resize: {error}")),
        },
        Command::Export {
            path,
            at,
            lose,
            torn,
            seed,
        } => {
            let power_cut = match (lose.as_deref(), torn.as_deref(), seed) {
                (None, None, None) => None,
                (None, None, Some(_)) => {
                    return refusal(
                        "a seed chooses what a power cut loses: say that one is meant, by `lose` or `torn`".to_owned(),
                    );
                }
                (lose, torn, seed) => match power_cut(lose, torn, seed.unwrap_or(0)) {
                    Ok(power_cut) => Some(power_cut),
                    Err(refusal) => return *refusal,
                },
            };
            let at = at.as_deref();
            match device.export(&path, &Wanted { at, power_cut }) {
                Ok(Exported { data_bytes, cut }) => Reply::Exported { data_bytes, cut },
                Err(error) => refusal(device.why_unwritten(&path, &error.to_string(), error.io_error())),
            }
        }
        Command::ExportLog { path } => match device.export_log(&path) {
            Ok((entries, disk_bytes)) => Reply::Logged { entries, disk_bytes },
            Err(error) => refusal(device.why_unwritten(&path, &error.to_string(), error.io_error())),
        },
        Command::Stats => Reply::Stats(device.stats()),
        // It takes the connection over before it comes here.
        Command::Subscribe => refusal("a subscription is answered by the connection itself".to_owned()),
        Command::FlushTrace => {
            device.trace().flush();
            Reply::Done
        }
        Command::Quit => Reply::Done,
    }
}

/// How the power is to be cut; the words are those of the rule.
fn power_cut(lose: Option<&str>, torn: Option<&str>, seed: u64) -> Result<PowerCut, Box<Reply>> {
    let mut text = String::from("cut");
    for (key, value) in [("lose", lose), ("torn", torn)] {
        if let Some(value) = value {
            text.push_str(&format!(" {key}={value}"));
        }
    }
    match text.parse::<Rule>().map(|rule| rule.action) {
        Ok(Action::Cut { lose, torn }) => Ok(PowerCut { lose, torn, seed }),
        // A value cannot make it another action.
        Ok(_) => Err(Box::new(refusal("not a power cut".to_owned()))),
        Err(error) => Err(Box::new(rule_refusal(&error, None))),
    }
}

fn told(resized: Resized) -> Reply {
    let Resized { from, bytes, front_end } = resized;
    Reply::Resized { from, bytes, front_end }
}

fn refusal(message: String) -> Reply {
    Reply::Error {
        message,
        column: None,
        rule_index: None,
    }
}

fn rule_refusal(error: &RuleError, rule_index: Option<usize>) -> Reply {
    Reply::Error {
        message: error.render(),
        column: Some(error.column),
        rule_index,
    }
}
