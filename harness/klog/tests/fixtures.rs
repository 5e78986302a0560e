//! Logs that real kernels wrote, each with what must come out of it: `fixtures/NAME.log` and `NAME.json`.
//!
//! `fixtures/README.md` says which kernel wrote each and how. The consoles of passing cells are no fixtures: the
//! ignored test below reads those of runs that are on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use klog::{KernelReport, Kind, Reader};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Each log with its reports, by name.
fn fixtures() -> BTreeMap<String, (Vec<u8>, Vec<KernelReport>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder()).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let wanted = fs::read(path.with_extension("json")).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        let wanted = serde_json::from_slice(&wanted).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        found.insert(name, (fs::read(&path).expect("a log"), wanted));
    }
    found
}

/// Reports without what JSON leaves out.
fn plain(mut reports: Vec<KernelReport>) -> Vec<KernelReport> {
    for report in &mut reports {
        report.time_us = None;
    }
    reports
}

fn json(reports: &[KernelReport]) -> String {
    serde_json::to_string_pretty(reports).unwrap()
}

#[test]
fn every_fixture_says_what_it_must() {
    let mut wrong = Vec::new();
    for (name, (log, wanted)) in fixtures() {
        let found = plain(klog::read(&log));
        if found != wanted {
            wrong.push(format!("{name}: expected {}\nfound {}", json(&wanted), json(&found)));
        }
    }
    assert!(wrong.is_empty(), "{} fixtures: {}", wrong.len(), wrong.join("\n"));
}

#[test]
fn there_are_enough_of_enough_kernels() {
    let fixtures = fixtures();
    let version = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    let versions: BTreeSet<String> = fixtures.keys().map(|name| version(name)).collect();
    assert!(fixtures.len() >= 120, "{} fixtures", fixtures.len());
    let kernels = versions
        .iter()
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()));
    assert!(kernels.count() >= 6, "{versions:?}");
    let said: BTreeSet<Kind> = fixtures
        .values()
        .flat_map(|(_, wanted)| wanted.iter().map(|report| report.kind))
        .collect();
    let missing: Vec<&str> = Kind::ALL
        .iter()
        .filter(|kind| !said.contains(kind))
        .map(|kind| kind.name())
        .collect();
    assert!(missing.is_empty(), "no fixture of {missing:?}");
}

#[test]
fn readme_names_every_fixture() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("README.md");
    let named: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let fixtures = fixtures();
    let there: BTreeSet<&str> = fixtures.keys().map(String::as_str).collect();
    assert_eq!(named, there);
}

/// What a line's end is, and how the log is cut on its way, makes no difference.
#[test]
fn line_ends_and_pieces_make_no_difference() {
    for (name, (log, wanted)) in fixtures() {
        let text: Vec<u8> = log.iter().copied().filter(|byte| *byte != b'\r').collect();
        let with_cr = text.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
        assert_eq!(plain(klog::read(&text)), plain(klog::read(&with_cr)), "{name}");
        let mut reader = Reader::new();
        log.chunks(7).for_each(|piece| reader.feed(piece));
        assert_eq!(plain(reader.finish()).len(), wanted.len(), "{name}");
    }
}

/// Nor does what a host puts before the lines: syslog, a level, a machine that builds.
#[test]
fn prefixes_make_no_difference() {
    let is_stamped = |line: &&str| line.starts_with('[') && line.get(..15).is_some_and(|stamp| stamp.contains('.'));
    for (name, (log, wanted)) in fixtures() {
        let text = String::from_utf8_lossy(&log).into_owned();
        for prefix in [
            "Nov 30 03:05:50 host kernel: ",
            "2026-11-30T03:05:50+00:00 host kernel: ",
            "2026-11-30T03:05:50.1234567Z ",
            "<4>",
            "\u{1b}[32m",
        ] {
            let put = |line: &str| format!("{}{line}", if is_stamped(&line) { prefix } else { "" });
            let lines: Vec<String> = text.split('\n').map(put).collect();
            let found = plain(klog::read(lines.join("\n").as_bytes()));
            assert_eq!(json(&found), json(&wanted), "{name}: {prefix}");
        }
    }
}

/// A reader that overlooks a report fails here: without the line that opens it something else comes out.
#[test]
fn no_opening_can_be_taken_away_unnoticed() {
    let titles = |reports: &[KernelReport]| -> Vec<(Kind, String)> {
        reports
            .iter()
            .map(|report| (report.kind, report.title.clone()))
            .collect()
    };
    for (name, (log, wanted)) in fixtures() {
        // What is printed again is there once more.
        if name.contains("-dmesg-again-") {
            continue;
        }
        for report in &wanted {
            let mut lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
            lines.remove(report.line - 1);
            let found = klog::read(&lines.join(&b"\n"[..]));
            assert_ne!(titles(&found), titles(&wanted), "{name}: line {}", report.line);
        }
    }
}

/// Whether a report is of a request that failed, or of what a file system did about it. (Whether a rule made that
/// request fail is the judge's question.)
fn tells_of_failed_request(report: &KernelReport) -> bool {
    let is_of_request = matches!(
        report.kind,
        Kind::IoError | Kind::BufferIoError | Kind::LostWrite | Kind::BtrfsDeviceErrors | Kind::JournalAbort
    );
    let names_error = ["errno=-5 ", "(error -5)", "(-EIO)", "I/O error"];
    is_of_request || names_error.iter().any(|words| report.title.contains(words))
}

/// The consoles of cells that passed, below the folders in `BIOSCOPE_RUNS` (separated by `:`).
#[test]
#[ignore = "reads runs that are on this machine: BIOSCOPE_RUNS=target/bioscope/runs cargo test -p klog --test fixtures -- --ignored"]
fn consoles_of_passing_cells_say_nothing() {
    let runs = std::env::var("BIOSCOPE_RUNS").expect("BIOSCOPE_RUNS: folders of runs, separated by `:`");
    let mut folders: Vec<PathBuf> = runs.split(':').map(PathBuf::from).collect();
    let (mut consoles, mut failing, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let entries: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        folders.extend(
            entries
                .iter()
                .filter(|path| path.is_dir() && !path.is_symlink())
                .cloned(),
        );
        let Ok(cell) = fs::read(folder.join("cell.json")) else {
            continue;
        };
        let cell: serde_json::Value = serde_json::from_slice(&cell).unwrap_or_default();
        let Ok(log) = fs::read(folder.join("console.log")) else {
            continue;
        };
        if cell["verdict"] != "pass" {
            continue;
        }
        // A cell that is stored twice counts once.
        if !consoles.insert(log.clone()) {
            continue;
        }
        let trace = fs::read_to_string(folder.join("trace.jsonl")).unwrap_or_default();
        let fails = trace
            .lines()
            .any(|line| line.contains("\"ioerr\"") && line.contains("\"rule\""));
        failing += usize::from(fails);
        let mut found = klog::read(&log);
        found.retain(|report| !(fails && tells_of_failed_request(report)));
        if !found.is_empty() {
            wrong.push(format!("{}: {}", folder.display(), json(&found)));
        }
    }
    let consoles = consoles.len();
    println!("{consoles} consoles of passing cells, {failing} of them with requests that a rule failed");
    assert!(wrong.is_empty(), "{} of {consoles}: {}", wrong.len(), wrong.join("\n"));
    assert!(consoles > 0, "no cell that passed below {runs}");
}
