//! Answers at the control socket: one thread a client, so that a long export keeps nobody else waiting.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use vhost_blk_api::control::{CLIENTS_MAX, Command, Cut, LINE_BYTES_MAX, Reply, parse};
use vhost_blk_api::plan::{Lose, RuleError, Torn, Var, hint, is_name};

use crate::device::Device;
use crate::device::resize::Resized;
use crate::disk::export::Exported;
use crate::power::log::PowerCut;
use crate::power::picture::Wanted;
use crate::trace::Heard;

/// How long after a client could not be taken the next is tried: descriptors that have run out come back at no event.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Takes clients for ever; `quit` is called when one says so, after it was answered.
pub fn serve(listener: &UnixListener, device: &Arc<Device>, quit: fn()) {
    // Each client's thread has one of these.
    let clients = Arc::new(());
    let mut failing = false;
    loop {
        let taken = listener.accept().and_then(|(stream, _)| {
            if Arc::strong_count(&clients) > CLIENTS_MAX {
                turn_away(&stream);
                return Ok(());
            }
            let (device, client) = (Arc::clone(device), Arc::clone(&clients));
            let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
                // A client that goes away in the middle of a line has nobody left to tell of it.
                let _ = talk(&stream, &device, quit);
                drop(client);
            });
            thread.map(drop)
        });
        if let Err(error) = &taken {
            if !failing {
                crate::say!("cannot take a control client: {error}: it is tried again until that is possible");
            }
            thread::sleep(TRY_AGAIN);
        }
        failing = taken.is_err();
    }
}

/// Says to a client why it is not served. It has said nothing yet, and what it will say is not waited for.
fn turn_away(stream: &UnixStream) {
    // It may be gone already.
    let _ = answer(
        stream,
        refusal(format!(
            "{CLIENTS_MAX} clients are connected already, and no more are taken: close one, or send its commands over one connection"
        )),
    );
}

fn answer(mut stream: &UnixStream, reply: Reply) -> io::Result<()> {
    stream.write_all(&reply.into_line()?)
}

fn talk(stream: &UnixStream, device: &Device, quit: fn()) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            // Where its next line begins is not known, and what is left of this one is no command.
            let limit = LINE_BYTES_MAX >> 20;
            return answer(
                stream,
                refusal(format!(
                    "a line of more than {limit} MiB: expected a command of at most that"
                )),
            );
        }
        let (reply, ends) = match parse(&line) {
            Ok(Command::Subscribe) => return subscribe(stream, device),
            Ok(command) => {
                let ends = command == Command::Quit;
                (obey(device, command), ends)
            }
            Err(message) => (refusal(message), false),
        };
        let written = answer(stream, reply);
        if ends {
            quit();
        }
        written?;
    }
}

/// Sends the trace's lines until the client goes away.
fn subscribe(mut stream: &UnixStream, device: &Device) -> io::Result<()> {
    // Before the answer: what happens after it is heard.
    let heard = match device.trace().listen() {
        Ok(heard) => heard,
        Err(error) => return answer(stream, refusal(format!("cannot listen to the trace: {error}"))),
    };
    answer(stream, Reply::Done)?;
    loop {
        while let Some(heard) = heard.next() {
            match heard {
                Heard::Line(line) => stream.write_all(&line)?,
                Heard::Missed(lines) => writeln!(stream, "{{\"ev\":\"missed\",\"lines\":{lines}}}")?,
            }
        }
        // A client that has only closed its own side, as at the end of what a pipe sends, listens still.
        let mut polled = [
            PollFd::new(stream, PollFlags::empty()),
            PollFd::from_borrowed_fd(heard.event(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => return Ok(()),
            Ok(_) => {}
        }
    }
}

fn obey(device: &Device, command: Command) -> Reply {
    match command {
        Command::Add { .. } | Command::Plan { .. } if device.is_replay() => refusal(
            "this device makes the decisions of a trace again (--replay) and asks no rules: start one without --replay to add some".to_owned(),
        ),
        Command::Add { rule } => match device.add_rule(&rule) {
            Ok(name) => Reply::Added { name },
            Err(error) => rule_refusal(&error, None),
        },
        Command::Plan { seed, rules } => match device.set_plan(seed, &rules) {
            Ok(()) => Reply::Done,
            Err((index, error)) => rule_refusal(&error, Some(index)),
        },
        Command::List => Reply::Rules { rules: device.rules() },
        Command::Remove { rule } => match device.remove_rule(&rule) {
            Ok(requests) => Reply::Released { requests },
            Err(error) => refusal(error.to_string()),
        },
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
        Command::Mark { name } if is_name(&name) => {
            device.mark(&name);
            Reply::Done
        }
        Command::Mark { name } => refusal(format!(
            "bad mark name `{}`: expected a name as rules have them: at most 64 letters, digits, `_` and `-`, the first a letter or `_`",
            name.escape_debug()
        )),
        Command::Cut { lose, torn, seed } => match power_cut(lose.as_deref(), torn.as_deref(), seed) {
            Ok(PowerCut { lose, torn, seed }) => match device.cut(lose, torn, seed) {
                Ok(Cut {
                    volatile,
                    lost,
                    torn_bytes,
                }) => Reply::Cut {
                    volatile,
                    lost,
                    torn_bytes,
                },
                Err(error) => refusal(format!("cannot cut the power: {error}")),
            },
            Err(refusal) => *refusal,
        },
        Command::Power => Reply::Released {
            requests: device.power_on(),
        },
        Command::Disconnect => {
            if device.front_end().hang_up() {
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

/// How the power is to be cut; the words are those of the rule, and nothing of a rule goes with them.
fn power_cut(lose: Option<&str>, torn: Option<&str>, seed: u64) -> Result<PowerCut, Box<Reply>> {
    let lose = lose.map_or(Ok(Lose::All), |lose| {
        choice("lose", lose, Lose::ALL, Lose::name, "all, some or none")
    })?;
    let torn = torn.map(|torn| choice("torn", torn, Torn::ALL, Torn::name, "512 or 4k"));
    Ok(PowerCut {
        lose,
        torn: torn.transpose()?,
        seed,
    })
}

/// The one of all that has this name.
fn choice<T: Copy, const N: usize>(
    field: &str,
    value: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
    expected: &str,
) -> Result<T, Box<Reply>> {
    let found = all.into_iter().find(|item| name(*item) == value);
    found.ok_or_else(|| {
        let hint = hint(value, all.map(name));
        let value = value.escape_debug();
        Box::new(refusal(format!(
            "bad value `{value}` for `{field}`: expected {expected}{hint}"
        )))
    })
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

#[cfg(test)]
mod tests;
