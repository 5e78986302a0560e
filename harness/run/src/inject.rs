//! The words of `inject`, the same in a terminal of the host and inside a guest: commands for a device, and what its
//! replies say.

mod serve;

use std::path::PathBuf;

use vhost_blk_api::control::{Command, FrontEnd, Reply};
use vhost_blk_api::plan::Rule;
use vhost_blk_api::plan::units::{parse_bytes, print_bytes};

pub use serve::serve;

use evidence::parts::{ARM_MARK, BEGIN_MARK, DISARM_MARK, END_MARK};

/// What can be said, for a message.
const EXPECTED: &str = "a rule, or one of list, remove RULE-NAME, clear, release [RULE-NAME], mark NAME, \
                        set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback [MARK], resize BYTES, \
                        disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe";

/// Reads what stands after `inject`: a command, or else a rule, with or without `add` before it.
///
/// # Errors
/// What is wrong with it.
pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.as_ref().split_whitespace()).collect();
    Ok(match words.as_slice() {
        [] | ["add"] => return Err(format!("`inject` is told nothing; expected {EXPECTED}")),
        ["list"] => Command::List,
        ["remove", rule] => Command::Remove {
            rule: (*rule).to_owned(),
        },
        ["clear"] => Command::Clear,
        ["stats"] => Command::Stats,
        ["subscribe"] => Command::Subscribe,
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
        ["resize", bytes] => resize(bytes)?,
        ["cut", "now", how @ ..] => cut(how)?,
        ["export", path, how @ ..] if !path.contains('=') => export(path, how)?,
        ["log", path] => Command::ExportLog { path: absolute(path) },
        ["set", var] => Command::Set { var: (*var).to_owned() },
        [
            "list" | "remove" | "clear" | "stats" | "subscribe" | "release" | "mark" | "set" | "power" | "rollback"
            | "resize" | "export" | "log",
            ..,
        ] => {
            return Err(
                "`list`, `clear`, `stats` and `subscribe` take nothing more, `power` neither, `remove` and `release` a rule's name, `mark` and `rollback` a mark's, `set` NAME:VALUE, `resize` a size, `export` a file and how, `log` a file"
                    .to_owned(),
            );
        }
        ["add", rule @ ..] => add(rule)?,
        rule => add(rule)?,
    })
}

/// Reads the same inside a guest, which may do to its disk what it likes and nothing to its host.
///
/// # Errors
/// What is wrong with it, or why a guest must not say it.
pub(crate) fn parse_in_guest<S: AsRef<str>>(words: &[S]) -> Result<Command, String> {
    let first = words.iter().flat_map(|word| word.as_ref().split_whitespace()).next();
    if let Some(word @ ("export" | "log")) = first {
        return Err(format!(
            "a guest cannot write files of its host: run `cargo xtask inject {word} FILE` there"
        ));
    }
    if first == Some("subscribe") {
        return Err("what a guest says is answered and done with, and `subscribe` goes on: run `cargo xtask inject subscribe` on the host".to_owned());
    }
    if first == Some("quit") {
        return Err("a guest cannot end its device; `poweroff` ends guest and device".to_owned());
    }
    match parse(words)? {
        Command::Mark { name }
            if [ARM_MARK, DISARM_MARK].contains(&&*name)
                || [BEGIN_MARK, END_MARK].iter().any(|mark| name.starts_with(mark)) =>
        {
            Err(format!(
                "the mark `{name}` is the harness's own, it tells where a case's faults begin and end: choose another name"
            ))
        }
        command => Ok(command),
    }
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

fn export(path: &str, how: &[&str]) -> Result<Command, String> {
    let [at, lose, torn, seed] = values(how, ["at", "lose", "torn", "seed"]).map_err(|word| {
        format!("`export` takes a file, and at=MARK, lose=all|some|none, torn=512|4k and seed=N, not `{word}`")
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
                "the power is off; {volatile} requests were not durable, {lost} of them are lost{torn}; `inject power` or `inject rollback` ends it"
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
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        parse_in_guest(words).expect_err("a refusal")
    }

    #[test]
    fn a_guest_says_what_a_terminal_says() {
        for words in [
            &["fail write nth=1"][..],
            &["add", "fail write nth=1"],
            &["add fail", "write", "nth=1"],
        ] {
            let rule = "fail write nth=1".to_owned();
            assert_eq!(parse_in_guest(words), Ok(Command::Add { rule }));
        }
        for words in [
            "list",
            "remove r1",
            "clear",
            "release r1",
            "mark here",
            "set phase:2",
            "cut now lose=some torn=4k seed=7",
            "power",
            "rollback here",
            "resize 1G",
            "disconnect now",
            "stats",
        ] {
            let command = parse(&[words]).expect(words);
            assert!(!matches!(command, Command::Add { .. }), "{words}");
            assert_eq!(parse_in_guest(&[words]), Ok(command));
        }
    }

    #[test]
    fn a_guest_does_nothing_to_its_host() {
        insta::assert_snapshot!(
            refused(&["export", "/etc/passwd"]),
            @"a guest cannot write files of its host: run `cargo xtask inject export FILE` there"
        );
        insta::assert_snapshot!(
            refused(&["log", "/tmp/log"]),
            @"a guest cannot write files of its host: run `cargo xtask inject log FILE` there"
        );
        insta::assert_snapshot!(
            refused(&["subscribe"]),
            @"what a guest says is answered and done with, and `subscribe` goes on: run `cargo xtask inject subscribe` on the host"
        );
        insta::assert_snapshot!(refused(&["quit"]), @"a guest cannot end its device; `poweroff` ends guest and device");
        assert!(refused(&["mark", "begin-overlap"]).contains("choose another name"));
        insta::assert_snapshot!(
            refused(&["mark", "arm"]),
            @"the mark `arm` is the harness's own, it tells where a case's faults begin and end: choose another name"
        );
    }

    #[test]
    fn a_state_to_be_exported_is_told_in_words() {
        let parsed = parse(&["export", "/f", "at=mounted", "lose=some seed=7", "torn=4k"]);
        let expected = Command::Export {
            path: "/f".into(),
            at: Some("mounted".to_owned()),
            lose: Some("some".to_owned()),
            torn: Some("4k".to_owned()),
            seed: Some(7),
        };
        assert_eq!(parsed, Ok(expected));
        assert_eq!(parse(&["export /f"]), Ok(Command::export("/f".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        insta::assert_snapshot!(refused(&[]), @"`inject` is told nothing; expected a rule, or one of list, remove RULE-NAME, clear, release [RULE-NAME], mark NAME, set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback [MARK], resize BYTES, disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe");
        insta::assert_snapshot!(
            refused(&["resize", "1T"]),
            @"bad size `1T`: `resize` takes the disk's new size in bytes, like 67108864, 65536k, 64M or 1G"
        );
        insta::assert_snapshot!(
            refused(&["cut", "now", "lots"]),
            @"`cut now` takes lose=all|some|none, torn=512|4k and seed=N, not `lots`"
        );
        insta::assert_snapshot!(
            refused(&["cut now lose=all lose=none"]),
            @"`cut now` takes lose=all|some|none, torn=512|4k and seed=N, not `lose=none`"
        );
        insta::assert_snapshot!(refused(&["cut now seed=x"]), @"bad value `x` for `seed`: expected a number");
        let export = |words: &str| parse(&[words]).expect_err("a refusal");
        insta::assert_snapshot!(
            export("export f at=x loose=all"),
            @"`export` takes a file, and at=MARK, lose=all|some|none, torn=512|4k and seed=N, not `loose=all`"
        );
        assert!(export("export at=x").contains("`export` a file and how"));
        assert!(refused(&["fial write"]).contains("did you mean `fail`?"));
        assert!(refused(&["remove"]).contains("`remove` and `release` a rule's name"));
        assert!(refused(&["list", "more"]).contains("take nothing more"));
    }

    #[test]
    fn replies_in_words() {
        let said = |reply| say(&Command::Clear, &reply);
        assert_eq!(said(Reply::Done), "done");
        assert_eq!(said(Reply::Rules { rules: Vec::new() }), "no rules");
        assert_eq!(said(Reply::Released { requests: 2 }), "let go 2 held requests");
        let rule = "r1".to_owned();
        assert_eq!(
            say(&Command::Remove { rule }, &Reply::Released { requests: 2 }),
            "rule r1 is off; let go 2 held requests"
        );
        assert_eq!(
            say(&Command::Power, &Reply::Released { requests: 2 }),
            "the power is on; 2 requests are never answered"
        );
        let resized = |front_end| {
            said(Reply::Resized {
                from: 64 << 20,
                bytes: 1 << 30,
                front_end,
            })
        };
        assert_eq!(
            resized(FrontEnd::Told),
            "the disk has 1G now, it had 64M; the front end was told"
        );
        assert_eq!(
            resized(FrontEnd::None),
            "the disk has 1G now, it had 64M; no front end is connected"
        );
        assert!(said(Reply::Stats(vhost_blk_api::control::Stats::default())).contains("\"submitted\": 0"));
    }
}
