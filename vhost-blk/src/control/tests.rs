//! The control socket against a device with a real image, and no front end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vhost_blk_api::control::{Client, ClientError};
use vhost_blk_api::plan::Plan;
use vhost_blk_api::trace::{self, Record};

use super::*;
use crate::config::Config;
use crate::device::Device;
use crate::disk::Disk;
use crate::trace::Writer;

struct Rig {
    dir: tempfile::TempDir,
    client: Client,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().expect("tempdir");
    let image = dir.path().join("image");
    std::fs::File::create(&image)
        .and_then(|file| file.set_len(1 << 20))
        .expect("image");
    let started = Instant::now();
    let trace = Writer::create(Some(&dir.path().join("trace")), started).expect("trace");
    let disk = Disk::open(&image, 512).expect("disk");
    let device = Arc::new(Device::new(Config::default(), disk, trace, started, &Plan::default()));
    let listener = UnixListener::bind(dir.path().join("control")).expect("bind");
    thread::spawn(move || serve(&listener, &device, || ()));
    let client = Client::connect(&dir.path().join("control"), Duration::from_secs(10)).expect("connect");
    Rig { dir, client }
}

impl Rig {
    fn call(&mut self, command: &Command) -> Reply {
        self.client.call(command).expect("reply")
    }

    fn refused(&mut self, command: &Command) -> (String, Option<usize>, Option<usize>) {
        match self.client.call(command) {
            Err(ClientError::Refused {
                message,
                column,
                rule_index,
            }) => (message, column, rule_index),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn names(&mut self) -> Vec<String> {
        let Reply::Rules { rules } = self.call(&Command::List) else {
            panic!("no rules")
        };
        rules.into_iter().map(|rule| rule.name).collect()
    }
}

#[test]
fn rules_come_and_go() {
    let mut rig = rig();
    assert_eq!(
        rig.call(&Command::Add {
            rule: "fail write".into()
        }),
        Reply::Added { name: "r1".into() }
    );
    assert_eq!(
        rig.call(&Command::Add {
            rule: "fail read name=r2".into()
        }),
        Reply::Added { name: "r2".into() }
    );
    assert_eq!(
        rig.call(&Command::Add {
            rule: "fail flush".into()
        }),
        Reply::Added { name: "r3".into() },
        "a given name is not given twice"
    );
    let plan = ["fail write".to_owned(), "fail read name=r1".to_owned()];
    assert_eq!(
        rig.call(&Command::Plan {
            seed: 7,
            rules: plan.to_vec()
        }),
        Reply::Done
    );
    assert_eq!(rig.names(), ["r2", "r1"], "a plan's own names come first");
    assert_eq!(rig.call(&Command::Clear), Reply::Released { requests: 0 });
    assert_eq!(rig.names(), [""; 0]);
}

#[test]
fn one_rule_is_taken_off_by_its_name() {
    let mut rig = rig();
    for rule in ["fail write", "fail read name=b", "hold any until=release"] {
        rig.call(&Command::Add { rule: rule.into() });
    }
    let remove = |rule: &str| Command::Remove { rule: rule.into() };
    assert_eq!(rig.call(&remove("b")), Reply::Released { requests: 0 });
    assert_eq!(rig.names(), ["r1", "r3"]);
    let (message, ..) = rig.refused(&remove("b"));
    insta::assert_snapshot!(message, @"no rule is named `b`: known rules: r1, r3");
    let rule = "fail flush".into();
    assert_eq!(rig.call(&Command::Add { rule }), Reply::Added { name: "r4".into() });
    let records = trace::read(&rig.dir.path().join("trace")).expect("trace");
    let removed = records.iter().filter_map(|record| match record {
        Record::RuleRemoved { name, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(removed.collect::<Vec<_>>(), ["b"]);
}

#[test]
fn bad_rules_change_nothing_and_say_where() {
    let mut rig = rig();
    rig.call(&Command::Add {
        rule: "fail write name=keep".into(),
    });
    let (message, column, _) = rig.refused(&Command::Add {
        rule: "fail wriet".into(),
    });
    assert_eq!(column, Some(6));
    assert!(message.contains("did you mean `write`?"), "{message}");
    let (_, column, _) = rig.refused(&Command::Add {
        rule: "fail read name=keep".into(),
    });
    assert_eq!(column, Some(11));
    let rules = vec!["fail write".to_owned(), "fial".to_owned()];
    let (_, column, index) = rig.refused(&Command::Plan { seed: 0, rules });
    assert_eq!((column, index), (Some(1), Some(1)));
    let (message, ..) = rig.refused(&Command::Release {
        rule: Some("kep".into()),
    });
    assert!(message.contains("known rules: keep"), "{message}");
    assert_eq!(rig.names(), ["keep"]);
}

#[test]
fn disk_commands() {
    let mut rig = rig();
    assert_eq!(rig.call(&Command::Rollback { to: None }), Reply::Done);
    let path = rig.dir.path().join("export");
    assert_eq!(
        rig.call(&Command::export(path.clone())),
        Reply::Exported {
            data_bytes: 0,
            cut: None
        }
    );
    assert_eq!(path.metadata().expect("export").len(), 1 << 20);
    let (message, ..) = rig.refused(&Command::export(Path::new("/no/such/place").to_owned()));
    assert!(message.contains("/no/such/place"), "{message}");
    assert_eq!(rig.call(&Command::Mark { name: "here".into() }), Reply::Done);
    let records = trace::read(&rig.dir.path().join("trace")).expect("trace");
    assert!(matches!(&records[1], Record::Rollback { .. }));
    assert!(
        matches!(&records[2], Record::Mark { name, .. } if name == "here"),
        "flushed by the mark"
    );
    let Reply::Stats(stats) = rig.call(&Command::Stats) else {
        panic!("no stats")
    };
    assert_eq!((stats.submitted, stats.connected), (0, false));
}

#[test]
fn lines_by_hand() {
    let rig = rig();
    let mut stream = UnixStream::connect(rig.dir.path().join("control")).expect("connect");
    let lines = "{\"cmd\":\"release\"}\nnonsense\n{\"v\":2,\"cmd\":\"list\"}\n{\"cmd\":\"lsit\"}\n";
    stream.write_all(lines.as_bytes()).expect("write");
    stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("read");
    insta::assert_snapshot!(answers, @r#"
    {"v":1,"ok":true,"reply":"released","requests":0}
    {"v":1,"ok":false,"reply":"error","message":"not a command: expected ident at line 1 column 2"}
    {"v":1,"ok":false,"reply":"error","message":"protocol version 2: this device speaks 1"}
    {"v":1,"ok":false,"reply":"error","message":"unknown command `lsit`: expected one of add, plan, list, remove, clear, release, set, mark, rollback, present, undecided, resize, cut, power, disconnect, export, export-log, stats, subscribe, flush-trace, quit; did you mean `list`?"}
    "#);
}

#[test]
fn a_mark_has_a_name_that_rules_can_say() {
    let mut rig = rig();
    let names = ["", "a b\nc", "1st", "a.b", &"x".repeat(65)];
    for bad in names {
        let (message, ..) = rig.refused(&Command::Mark { name: bad.into() });
        assert!(message.contains("expected a name as rules have them"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    for good in ["a", "_", "round-1", &"x".repeat(64)] {
        assert_eq!(rig.call(&Command::Mark { name: good.into() }), Reply::Done);
    }
    let records = trace::read(&rig.dir.path().join("trace")).expect("trace");
    let marks = (0..).zip(&records).filter_map(|(number, record)| match record {
        Record::Mark { records, .. } => Some((number, *records)),
        _ => None,
    });
    let marks: Vec<(u64, Option<u64>)> = marks.collect();
    assert_eq!(marks.len(), 4);
    for (number, records) in marks {
        assert_eq!(records, Some(number), "a mark says how many records came before it");
    }
}

#[test]
fn what_a_cut_loses_is_one_word() {
    let mut rig = rig();
    let words = |lose: Option<&str>, torn: Option<&str>| (lose.map(str::to_owned), torn.map(str::to_owned));
    for (lose, torn) in [
        words(Some("all nth=3"), None),
        words(Some("all # x"), None),
        words(Some(""), None),
        words(None, Some("512 name=x")),
        words(Some("all torn=512"), Some("4k")),
    ] {
        let cut = Command::Cut {
            lose: lose.clone(),
            torn: torn.clone(),
            seed: 0,
        };
        let (message, ..) = rig.refused(&cut);
        assert!(message.starts_with("bad value `"), "{message}");
        let export = Command::Export {
            path: rig.dir.path().join("export"),
            at: None,
            lose,
            torn,
            seed: None,
        };
        let (message, ..) = rig.refused(&export);
        assert!(message.starts_with("bad value `"), "{message}");
    }
    let (message, ..) = rig.refused(&Command::Cut {
        lose: Some("al".into()),
        torn: None,
        seed: 0,
    });
    insta::assert_snapshot!(message, @"bad value `al` for `lose`: expected all, some or none; did you mean `all`?");
}

#[test]
fn a_subscriber_hears_the_trace() {
    let mut rig = rig();
    let mut stream = UnixStream::connect(rig.dir.path().join("control")).expect("connect");
    stream.write_all(b"{\"cmd\":\"subscribe\"}\n").expect("write");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    assert_eq!(lines.next().expect("the answer"), r#"{"v":1,"ok":true,"reply":"done"}"#);
    rig.call(&Command::Mark { name: "here".into() });
    let line = lines.next().expect("the mark");
    assert!(
        line.contains(r#""ev":"mark""#) && line.contains(r#""name":"here""#),
        "{line}"
    );
}

#[test]
fn a_plan_of_very_many_rules_is_in_force_at_once() {
    let mut rig = rig();
    let rules = |count: usize, rule: fn(usize) -> String| Command::Plan {
        seed: 1,
        rules: (0..count).map(rule).collect(),
    };
    // The client waits for 10 s: time that grew with the square of their number would be minutes.
    assert_eq!(rig.call(&rules(60_000, |_| "hang any".to_owned())), Reply::Done);
    assert_eq!(
        rig.call(&rules(60_000, |number| format!("hang any name=n{number}"))),
        Reply::Done
    );
    // Names that a rule without one would get after them.
    assert_eq!(
        rig.call(&rules(60_000, |number| format!("hang any name=r{}", number + 60_001))),
        Reply::Done
    );
    let add = Command::Add {
        rule: "hang any".to_owned(),
    };
    assert_eq!(
        rig.call(&add),
        Reply::Added {
            name: "r120001".to_owned()
        }
    );
}

#[test]
fn a_line_that_is_too_long_is_answered_and_what_is_left_of_it_is_no_command() {
    let rig = rig();
    let mut stream = UnixStream::connect(rig.dir.path().join("control")).expect("connect");
    let mut line = vec![b' '; usize::try_from(LINE_BYTES_MAX).expect("small")];
    line.extend(b"{\"cmd\":\"mark\",\"name\":\"never\"}\n");
    // It hangs up before it has read all.
    let _ = stream.write_all(&line);
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    reader.read_line(&mut answer).expect("an answer");
    assert!(answer.contains("a line of more than 4 MiB"), "{answer}");
    let mut more = String::new();
    // Whether the end comes with a reset depends on what was read.
    let _ = reader.read_to_string(&mut more);
    assert_eq!(more, "", "and it hangs up");
}
