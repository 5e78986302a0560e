use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use guest_wire::Fs;

use super::super::{FORMAT, Kind, Pending};
use super::*;
use crate::search::{Direction, RunOutcome};
use crate::signature::{Comparison, Obstacle, Reason, Signature};
use verdict::Cause;

fn header() -> Header {
    Header {
        format: FORMAT,
        kind: Kind::Git,
        bad: "6f1e".into(),
        good: "a1b2".into(),
        scope: vec!["fs/btrfs".into()],
        items: 300,
        range: "90ab".into(),
        direction: Direction::Regression,
        case: "partial-write".into(),
        fs: Fs::Btrfs,
        exec: Vec::new(),
        rules: Vec::new(),
        seed: 7,
        error: 0.01,
        versions: [("QEMU".to_owned(), "7.2.11".to_owned())].into(),
    }
}

fn signature() -> Signature {
    Signature {
        case: "partial-write".into(),
        cause: Cause::Corruption,
        kind: None,
        place: Some("data".into()),
        frames: Vec::new(),
        words: None,
    }
}

fn ran(item: &str, showed: Comparison) -> Entry {
    Entry::Ran {
        item: item.into(),
        showed,
        dir: PathBuf::from("runs").join(item),
        ms: 4_000,
    }
}

/// One entry of each sort.
fn entries() -> Vec<Entry> {
    let reason = |obstacle| Reason {
        obstacle,
        detail: "fs/btrfs/inode.c:1: error: \"quoted\", and a line\nbreak; ü".into(),
        files: Vec::new(),
        noted: Vec::new(),
    };
    let other = Signature {
        cause: Cause::Hang,
        ..signature()
    };
    vec![
        Entry::Building {
            item: "6f1e".into(),
            dir: "builds/6f1e".into(),
        },
        Entry::Built {
            item: "6f1e".into(),
            artifact: "sha".into(),
            ms: 360_000,
            spared_ms: Some(-3),
        },
        Entry::Running {
            item: "6f1e".into(),
            dir: "runs/6f1e".into(),
        },
        ran("6f1e", Comparison::Same),
        Entry::Pinned { signature: signature() },
        ran("a1b2", Comparison::Pass),
        ran("c3d4", Comparison::Other(other)),
        ran("e5f6", Comparison::Untestable(reason(Obstacle::Broken))),
        Entry::Skipped {
            item: "e5f6".into(),
            reason: reason(Obstacle::Build),
        },
        Entry::Same {
            item: "0718".into(),
            other: "a1b2".into(),
            why: "nothing of the build differs".into(),
        },
        Entry::Running {
            item: "77aa".into(),
            dir: "runs/77aa".into(),
        },
        Entry::Concluded {
            result: "6f1e is the first bad commit".into(),
        },
    ]
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.jsonl");
    (dir, path)
}

fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let (dir, path) = place();
    let mut journal = Journal::create(&path, &header()).expect("a journal");
    for entry in entries() {
        journal.append(&entry).expect("an entry");
    }
    assert_eq!(*journal.state(), State::of(&entries()));
    let text = std::fs::read(&path).expect("text");
    (dir, path, text)
}

#[test]
fn a_resume_knows_what_was_done() {
    let (_dir, path, _) = written();
    let Resumed { journal, notices } = Journal::resume(&path, &header()).expect("a journal");
    assert!(notices.is_empty(), "{notices:?}");
    let state = journal.state();
    assert_eq!(state.pinned, Some(signature()));
    assert_eq!(state.builds.keys().collect::<Vec<_>>(), ["6f1e"]);
    assert_eq!(state.runs, (4, 16_000));
    assert_eq!(state.skipped.keys().collect::<Vec<_>>(), ["e5f6"]);
    assert_eq!(state.same, [("0718".to_owned(), "a1b2".to_owned())]);
    assert_eq!(state.pending, Some(Pending::Run("77aa".into(), "runs/77aa".into())));
    assert_eq!(state.concluded.as_deref(), Some("6f1e is the first bad commit"));
    let observed: Vec<(&str, RunOutcome)> = state
        .observations
        .iter()
        .map(|(item, outcome)| (item.as_str(), *outcome))
        .collect();
    let wanted = [
        ("6f1e", RunOutcome::Failed),
        ("a1b2", RunOutcome::Passed),
        ("c3d4", RunOutcome::Other),
        ("e5f6", RunOutcome::Untestable),
    ];
    assert_eq!(observed, wanted);
}

/// Where lines end.
fn ends(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).collect()
}

#[test]
fn a_journal_cut_at_any_byte_keeps_every_whole_line() {
    let (_dir, _, text) = written();
    let ends = ends(&text);
    for cut in 0..=text.len() {
        let parsed = parse(&text[..cut]);
        if cut < ends[0] {
            // Not by a kill: the header comes into being whole.
            assert!(matches!(parsed, Err(ParseError::Header(_))), "{cut}");
            continue;
        }
        let parsed = parsed.expect("a journal");
        // An entry that lacks its end of line only is whole.
        let whole = ends.iter().filter(|end| **end <= cut + 1).count() - 1;
        assert_eq!(parsed.entries, entries()[..whole], "cut at {cut}");
        assert_eq!(parsed.open_ended, ends.contains(&(cut + 1)), "cut at {cut}");
        assert_eq!(
            parsed.whole == cut,
            ends.contains(&cut) || ends.contains(&(cut + 1)),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_journal_that_was_cut_short_is_gone_on_with() {
    let (_dir, path, text) = written();
    let ends = ends(&text);
    let last = ends[ends.len() - 2];
    for cut in [ends[0], ends[0] + 1, ends[1] - 1]
        .into_iter()
        .chain(last - 3..=text.len())
    {
        std::fs::write(&path, &text[..cut]).expect("a cut journal");
        let Resumed { mut journal, notices } = Journal::resume(&path, &header()).expect("a journal");
        let whole = ends.iter().filter(|end| **end <= cut + 1).count() - 1;
        assert_eq!(*journal.state(), State::of(&entries()[..whole]), "cut at {cut}");
        let torn = !ends.iter().any(|end| *end == cut || *end == cut + 1);
        assert_eq!(notices.len(), usize::from(torn), "cut at {cut}: {notices:?}");
        journal.append(&ran("later", Comparison::Pass)).expect("an entry");
        drop(journal);
        let again = Journal::resume(&path, &header()).expect("a journal");
        assert!(again.notices.is_empty());
        let later = [&entries()[..whole], &[ran("later", Comparison::Pass)]].concat();
        assert_eq!(*again.journal.state(), State::of(&later), "cut at {cut}");
    }
}

#[test]
fn a_damaged_line_is_named() {
    let (_dir, path, text) = written();
    let text = String::from_utf8(text).expect("text");
    std::fs::write(&path, text.replacen("\"artifact\"", "\"artefact\"", 1)).expect("a journal");
    let error = Journal::resume(&path, &header()).expect_err("an error").to_string();
    assert!(error.contains("journal.jsonl: line 3 is not an entry: "), "{error}");
    assert!(error.ends_with("; move the directory away to start over"), "{error}");

    std::fs::write(&path, text.replacen("\"format\":1", "\"format\":99", 1)).expect("a journal");
    let error = Journal::resume(&path, &header()).expect_err("an error").to_string();
    assert!(
        error.contains("it has the format 99, expected 1: another version of bioscope wrote it"),
        "{error}"
    );
}

#[test]
fn a_journal_of_another_bisection_is_refused_and_the_differences_named() {
    let (_dir, path, text) = written();
    let wanted = Header {
        case: "overlap".into(),
        bad: "ffff".into(),
        error: 0.05,
        ..header()
    };
    let error = Journal::resume(&path, &wanted).expect_err("an error").to_string();
    assert!(
        error.ends_with(
            " belongs to another bisection: the bad end is 6f1e there and ffff now, the case is partial-write there \
            and overlap now, \
             the error is 0.01 there and 0.05 now; ask for the same one to go on with it, or name another directory"
        ),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).expect("text"), text, "it is left alone");
    // Every field but the versions makes another bisection.
    let fields = serde_json::to_value(header()).expect("json");
    for field in fields.as_object().expect("an object").keys() {
        let mut other = fields.clone();
        other[field] = match field.as_str() {
            "format" | "versions" => continue,
            "kind" => "delta".into(),
            "direction" => "fix".into(),
            "fs" => "xfs".into(),
            "scope" | "exec" | "rules" => serde_json::json!(["x"]),
            "items" | "seed" => 3.into(),
            "error" => 0.2.into(),
            _ => "x".into(),
        };
        let other: Header = serde_json::from_value(other).expect("a header");
        assert_eq!(header().differences(&other).len(), 1, "{field}");
    }
}

#[test]
fn other_versions_are_a_notice() {
    let (_dir, path, _) = written();
    let mut now = header();
    now.versions.insert("QEMU".into(), "9.0".into());
    now.versions.insert("gcc".into(), "12.2".into());
    let notices = Journal::resume(&path, &now).expect("a journal").notices;
    assert_eq!(
        notices,
        [
            "QEMU was 7.2.11 when the bisection began and is 9.0 now",
            "gcc was absent when the bisection began and is 12.2 now"
        ]
    );
}

#[test]
fn there_is_one_journal_and_one_who_writes_it() {
    let (_dir, path) = place();
    assert!(matches!(
        Journal::resume(&path, &header()),
        Err(JournalError::Io { .. })
    ));
    let journal = Journal::create(&path, &header()).expect("a journal");
    assert!(matches!(
        Journal::resume(&path, &header()),
        Err(JournalError::InUse { .. })
    ));
    assert!(matches!(
        Journal::create(&path, &header()),
        Err(JournalError::Exists { .. })
    ));
    drop(journal);
    assert!(Journal::resume(&path, &header()).is_ok());
}

/// The environment variable that tells a test that it is the child of another one.
const CHILD: &str = "BIOSCOPE_TEST_JOURNAL";

/// Not a test by itself: appends to a journal for ever and says so on its standard output, until it is killed.
#[test]
#[ignore = "the child of another test"]
fn child_that_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let path = PathBuf::from(path);
    let mut journal = match Journal::resume(&path, &header()) {
        Ok(resumed) => resumed.journal,
        Err(_) => Journal::create(&path, &header()).expect("a journal"),
    };
    loop {
        let done = journal.state().runs.0;
        journal
            .append(&ran(&done.to_string(), Comparison::Pass))
            .expect("an entry");
        println!("appended {done}");
    }
}

#[test]
fn nothing_that_was_written_down_is_lost_by_kill_9() {
    let (_dir, path) = place();
    let mut seen = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "--nocapture",
                "--ignored",
                "state::file::tests::child_that_appends_until_it_is_killed",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let appended = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("appended ")?.parse().ok());
        let last: Option<u32> = appended.take(1 + round * 3).last();
        child.kill().expect("a kill");
        child.wait().expect("its end");
        let last = last.expect("some were appended");
        let Resumed { journal, .. } = Journal::resume(&path, &header()).expect("a journal");
        let state = journal.state();
        assert!(
            state.runs.0 > last && last >= seen,
            "{} runs, {last} seen",
            state.runs.0
        );
        let items: Vec<String> = state.observations.iter().map(|(item, _)| item.clone()).collect();
        assert_eq!(
            items,
            (0..state.runs.0).map(|run| run.to_string()).collect::<Vec<_>>(),
            "each once, in order"
        );
        seen = state.runs.0;
    }
}

#[test]
fn runs_of_a_kernel_are_those_of_every_item_that_comes_to_it() {
    let built = |item: &str, artifact: &str| Entry::Built {
        item: item.into(),
        artifact: artifact.into(),
        ms: 1,
        spared_ms: None,
    };
    let ran = |item: &str, showed| Entry::Ran {
        item: item.into(),
        showed,
        dir: PathBuf::from("runs").join(item),
        ms: 1,
    };
    let entries = [
        built("before", "k1"),
        built("parent", "k1"),
        built("change", "k2"),
        ran("before", Comparison::Pass),
        ran("before", Comparison::Pass),
        ran("change", Comparison::Same),
        ran("unbuilt", Comparison::Pass),
    ];
    let state = State::of(&entries);
    let runs = |name| state.shown_by(name).count();
    // The parent itself was never run; its kernel was, twice.
    assert_eq!(
        [
            runs("parent"),
            runs("before"),
            runs("change"),
            runs("unbuilt"),
            runs("nobody")
        ],
        [2, 2, 1, 1, 0]
    );
}
