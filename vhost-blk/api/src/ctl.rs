//! A device is told what to do in words, and says in words what came of it: for `vhost-blk ctl`, and for whoever else
//! speaks to a device for a person.

mod listen;

use std::path::PathBuf;

use crate::control::{Command, FrontEnd, Reply, Tear, UndecidedRequest};
use crate::plan::Rule;
use crate::plan::units::{parse_bytes, print_bytes};

pub use listen::{CtlError, Over, run};

/// What can be said, for a message.
const EXPECTED: &str = "a rule, or one of list, remove RULE-NAME, clear, release [RULE-NAME], mark NAME, \
                        set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback [MARK], rollback at=MARK [lose=…] \
                        [order=N,N] [torn=…] [seed=N], undecided MARK, resize BYTES, \
                        disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, \
                        subscribe, quit";

/// How a state is exported.
const HOW: [&str; 4] = ["at", "lose", "torn", "seed"];

/// Reads what a device is told: a command, or else a rule, with or without `add` before it.
///
/// # Errors
/// What is wrong with it.
pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Command, String> {
    let mut given = words.iter().map(AsRef::as_ref);
    let words: Vec<&str> = match words {
        // A file's name may have blanks; it was quoted then.
        [verb, file, ..] if matches!(verb.as_ref(), "export" | "log") => {
            let how = given.by_ref().skip(2).flat_map(str::split_whitespace);
            [verb.as_ref(), file.as_ref()].into_iter().chain(how).collect()
        }
        _ => given.flat_map(str::split_whitespace).collect(),
    };
    Ok(match words.as_slice() {
        [] | ["add"] => return Err(format!("nothing is said; expected {EXPECTED}")),
        ["list"] => Command::List,
        ["remove", rule] => Command::Remove {
            rule: (*rule).to_owned(),
        },
        ["clear"] => Command::Clear,
        ["stats"] => Command::Stats,
        ["subscribe"] => Command::Subscribe,
        ["quit"] => Command::Quit,
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
        ["rollback", how @ ..] if how.iter().any(|word| word.contains('=')) => present(how)?,
        ["undecided", at] => Command::Undecided { at: (*at).to_owned() },
        ["rollback", to] => Command::Rollback {
            to: Some((*to).to_owned()),
        },
        ["resize", bytes] => resize(bytes)?,
        ["cut", "now", how @ ..] => cut(how)?,
        ["cut" | "disconnect"] => {
            return Err(format!(
                "`{0}` alone can mean two things: `{0} now` does it at once, `add {0}` adds a rule that does it at the next request",
                words[0]
            ));
        }
        ["export", path, how @ ..] if is_file(path) => export(path, how)?,
        ["log", path] if is_file(path) => Command::ExportLog { path: absolute(path) },
        ["set", var] => Command::Set { var: (*var).to_owned() },
        [
            "list" | "remove" | "clear" | "stats" | "subscribe" | "release" | "mark" | "set" | "power" | "rollback"
            | "undecided" | "resize" | "export" | "log" | "quit",
            ..,
        ]
        | ["disconnect", "now", ..] => {
            return Err(
                "`list`, `clear`, `stats`, `subscribe` and `quit` take nothing more, `power` and `disconnect now` neither, `remove` and `release` a rule's name, `mark`, `undecided` and `rollback` a mark's, `set` NAME:VALUE, `resize` a size, `cut now` how, `export` a file and how, `log` a file; a file with blanks in its name is quoted as one word"
                    .to_owned(),
            );
        }
        ["add", rule @ ..] => add(rule)?,
        rule => add(rule)?,
    })
}

fn add(words: &[&str]) -> Result<Command, String> {
    let rule = words.join(" ");
    match rule.parse::<Rule>() {
        Ok(_) => Ok(Command::Add { rule }),
        Err(error) => Err(format!("bad rule: {}", error.render())),
    }
}

fn resize(bytes: &str) -> Result<Command, String> {
    match parse_bytes(bytes) {
        Some(bytes) => Ok(Command::Resize { bytes }),
        None => Err(format!(
            "bad size `{bytes}`: `resize` takes the disk's new size in bytes, like 67108864, 65536k, 64M or 1G"
        )),
    }
}

fn cut(how: &[&str]) -> Result<Command, String> {
    let [lose, torn, seed] = values(how, ["lose", "torn", "seed"])
        .map_err(|word| format!("`cut now` takes lose=all|some|none, torn=512|4k and seed=N, not `{word}`"))?;
    Ok(Command::Cut {
        lose,
        torn,
        seed: number(seed)?.unwrap_or(0),
    })
}

fn present(how: &[&str]) -> Result<Command, String> {
    let expected = "`rollback` takes a mark to go back to, or at=MARK, lose=all|some|none|N,N, order=N,N, torn=512|4k|N:BYTES and seed=N";
    let [at, lose, order, torn, seed] =
        values(how, ["at", "lose", "order", "torn", "seed"]).map_err(|word| format!("{expected}, not `{word}`"))?;
    Ok(Command::Present {
        at: at.ok_or_else(|| format!("{expected}: of which mark a state is meant is not said"))?,
        lose,
        order,
        torn,
        seed: number(seed)?.unwrap_or(0),
    })
}

/// Whether a word can be a file, and not how to export it.
fn is_file(word: &str) -> bool {
    let is_how = HOW
        .iter()
        .any(|key| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')));
    !word.trim().is_empty() && !is_how
}

fn export(path: &str, how: &[&str]) -> Result<Command, String> {
    let [at, lose, torn, seed] = values(how, HOW).map_err(|word| {
        format!(
            "`export` takes a file (quoted as one word if there are blanks in its name), and at=MARK, lose=all|some|none, torn=512|4k and seed=N, not `{word}`"
        )
    })?;
    Ok(Command::Export {
        path: absolute(path),
        at,
        lose,
        torn,
        seed: number(seed)?,
    })
}

/// The values of `key=value` words, each key at most once.
///
/// # Errors
/// The first word that is something else.
fn values<const KEYS: usize>(words: &[&str], keys: [&str; KEYS]) -> Result<[Option<String>; KEYS], String> {
    let mut values = [const { None }; KEYS];
    for word in words {
        let (key, value) = word.split_once('=').ok_or(*word)?;
        let place = keys.iter().zip(&mut values).find(|(known, _)| **known == key);
        match place {
            Some((_, value_of @ None)) => *value_of = Some(value.to_owned()),
            _ => return Err((*word).to_owned()),
        }
    }
    Ok(values)
}

fn number(text: Option<String>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| format!("bad value `{text}` for `seed`: expected a number"))
}

/// A path as the device, which runs elsewhere, understands it.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

/// What a device's reply to a command says, for a person.
#[must_use]
pub fn say(command: &Command, reply: &Reply) -> String {
    match reply {
        Reply::Rules { rules } if rules.is_empty() => "no rules".to_owned(),
        Reply::Rules { rules } => {
            let lines = rules.iter().map(|rule| {
                format!(
                    "{:<10} {:>6} hits {:>3} held  {}",
                    rule.name, rule.hits, rule.holding, rule.text
                )
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Reply::Added { name } => format!("rule {name} is in force"),
        Reply::Released { requests } if let Command::Remove { rule } = command => {
            format!("rule {rule} is off; let go {requests} held requests")
        }
        Reply::Released { requests } if *command == Command::Power => {
            format!("the power is on; {requests} requests are never answered")
        }
        Reply::Released { requests } => format!("let go {requests} held requests"),
        Reply::Cut {
            volatile,
            lost,
            torn_bytes,
        } => {
            let torn = torn(*torn_bytes);
            format!(
                "the power is off; {volatile} requests were not durable, {lost} of them are lost{torn}; `power` or `rollback` ends it"
            )
        }
        Reply::Exported { data_bytes, cut: None } => format!("exported {data_bytes} bytes of data"),
        Reply::Exported {
            data_bytes,
            cut: Some(cut),
        } => {
            let torn = torn(cut.torn_bytes);
            format!(
                "exported {data_bytes} bytes of data, as after a power cut; {} requests were not durable, {} of them are lost{torn}",
                cut.volatile, cut.lost
            )
        }
        Reply::Presented {
            undecided,
            kept,
            torn,
            moved_bytes,
        } => presented(*undecided, kept, *torn, *moved_bytes),
        Reply::Undecided { requests } => undecided(requests),
        Reply::Logged { entries, disk_bytes } => {
            format!(
                "exported a log of {entries} entries, of a disk of {}",
                print_bytes(*disk_bytes)
            )
        }
        Reply::Resized { from, bytes, front_end } => resized(*from, *bytes, *front_end),
        Reply::Done => "done".to_owned(),
        other => serde_json::to_string_pretty(other).unwrap_or_else(|error| format!("{other:?} ({error})")),
    }
}

fn presented(undecided: usize, kept: &[usize], torn: Option<Tear>, moved: u64) -> String {
    let numbers = kept.iter().map(ToString::to_string).collect::<Vec<_>>();
    let kept = match &numbers[..] {
        [] => "none of them is there".to_owned(),
        numbers => format!("of them are there: {}", numbers.join(", ")),
    };
    let torn = torn.map_or_else(String::new, |torn| {
        format!(", {} torn after {} bytes", torn.request, torn.bytes)
    });
    format!("{undecided} requests were undecided at the mark, {kept}{torn}; {moved} bytes were put on the disk")
}

fn undecided(requests: &[UndecidedRequest]) -> String {
    if requests.is_empty() {
        return "all was durable".to_owned();
    }
    let line = |(number, request): (usize, &UndecidedRequest)| {
        let ranges = request
            .sectors
            .iter()
            .map(|(first, sectors)| format!("{first}+{sectors}"));
        let zeros = if request.zeros { "zeros" } else { "data" };
        let state = if request.in_flight { "in flight" } else { "completed" };
        format!(
            "{number:>4}  {state:<9}  {zeros:<5}  sectors {}",
            ranges.collect::<Vec<_>>().join(", ")
        )
    };
    requests.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn torn(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(", the last one torn after {bytes} bytes"))
}

fn resized(from: u64, bytes: u64, front_end: FrontEnd) -> String {
    let knows = match front_end {
        FrontEnd::Told => "the front end was told",
        FrontEnd::Refused => "the front end was told, and says that it cannot do with it",
        FrontEnd::Silent => "the front end was told, and has not answered in time",
        FrontEnd::Later => "the front end will be told when its first ring runs",
        FrontEnd::NoChannel => "the front end cannot be told: it learns of it when it asks",
        FrontEnd::None => "no front end is connected",
    };
    format!(
        "the disk has {} now, it had {}; {knows}",
        print_bytes(bytes),
        print_bytes(from)
    )
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests;
