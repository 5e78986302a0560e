#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use super::*;
use crate::{Failure, FailureKind, Stage};

/// Every verdict that can be said, with and without a place.
fn verdicts() -> Vec<Verdict> {
    let kinds = [
        FailureKind::Corruption,
        FailureKind::Leak,
        FailureKind::Crash,
        FailureKind::Warning,
        FailureKind::Error,
    ];
    let hangs = Phase::ALL.map(|phase| FailureKind::Hang { phase });
    let failures = kinds.into_iter().chain(hangs).flat_map(|kind| {
        [None, Some("run: lock_extent_bits".to_owned())].map(|place| Verdict::Fail(Failure { kind, place }))
    });
    failures
        .chain(Stage::all().map(|stage| Verdict::Broken { stage }))
        .chain([Verdict::Pass, Verdict::Inconclusive, Verdict::Skipped])
        .collect()
}

fn cell(judgement: Judgement) -> Cell {
    Cell {
        duration_ms: 7,
        dir: PathBuf::from("runs/1"),
        ..Cell::new("debian-6.12", Fs::Btrfs, "overlap", judgement, None)
    }
}

fn fields(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_verdict_survives_being_stored() {
    let details = ["", "data: zeros", "boot: not the stage", "a\nb", ": ", "vm:"];
    for verdict in verdicts() {
        for detail in details {
            for (armed, evidence) in [(false, Vec::new()), (true, vec!["stack: x < y".to_owned()])] {
                let judgement = Judgement::new(verdict.clone(), detail).with_grounds(armed, evidence);
                let cell = cell(judgement);
                let text = serde_json::to_string(&cell).unwrap();
                assert_eq!(serde_json::from_str::<Cell>(&text).unwrap(), cell, "{text}");
            }
        }
    }
}

#[test]
fn every_word_on_disk_is_that_of_the_verdict() {
    for verdict in verdicts() {
        let stored = fields(&serde_json::to_string(&cell(Judgement::new(verdict.clone(), "x"))).unwrap());
        assert_eq!(stored["verdict"], verdict.word());
        assert_eq!(stored["cause"].as_str(), verdict.cause().map(Cause::word));
        let detail = match verdict {
            Verdict::Broken { stage } => format!("{stage}: x"),
            _ => "x".to_owned(),
        };
        assert_eq!(stored["detail"], detail);
    }
}

#[test]
fn a_cell_is_stored_flat() {
    let hang = FailureKind::Hang { phase: Phase::Run };
    let mut hung = cell(Judgement::fail(hang, Some("run: wait"), "in run, x blocked for ever"));
    hung.judgement.evidence.push("stack: wait".to_owned());
    hung.extents = Some(Extents {
        count: 1,
        data_bytes: 2,
        allocated_bytes: 3,
    });
    let broken = cell(Judgement::broken(Stage::Device, "the block device went away"));
    for (cell, stored) in [
        (
            hung,
            r#"{"kernel":"debian-6.12","fs":"btrfs","case":"overlap","verdict":"fail","cause":"hang","phase":"run",
            "detail":"in run, x blocked for ever","place":"run: wait","expected":false,"armed":false,"duration_ms":7,
            "extents":{"count":1,"data_bytes":2,"allocated_bytes":3},"dir":"runs/1","machine":"booted",
            "evidence":["stack: wait"]}"#,
        ),
        (
            broken,
            r#"{"kernel":"debian-6.12","fs":"btrfs","case":"overlap","verdict":"broken","cause":null,
            "detail":"device: the block device went away","expected":false,"armed":false,"duration_ms":7,
            "dir":"runs/1","machine":"booted"}"#,
        ),
    ] {
        // The order counts, too: people read it.
        assert_eq!(
            serde_json::to_string(&cell).unwrap(),
            stored.replace("\n            ", "")
        );
        assert_eq!(serde_json::from_str::<Cell>(stored).unwrap(), cell);
    }
}

#[test]
fn nonsense_is_refused_by_the_fields_name() {
    let pass = serde_json::to_string(&cell(Judgement::new(Verdict::Pass, "x"))).unwrap();
    for (changes, begins) in [
        (r#"{"verdict": "fail"}"#, "`cause` is missing"),
        (
            r#"{"verdict": "fail", "cause": null, "phase": "run"}"#,
            "`cause` is missing",
        ),
        (r#"{"verdict": "fail", "cause": "hang"}"#, "`phase` is missing"),
        (
            r#"{"verdict": "fail", "cause": "leak", "phase": "run"}"#,
            "`phase` stands without cause",
        ),
        (r#"{"cause": "leak"}"#, "`cause` stands without verdict"),
        (r#"{"phase": "run"}"#, "`phase` stands without verdict"),
        (r#"{"place": "data"}"#, "`place` stands without verdict"),
        (
            r#"{"verdict": "inconclusive", "cause": "hang"}"#,
            "`cause` stands without verdict",
        ),
        (
            r#"{"verdict": "skipped", "place": "data"}"#,
            "`place` stands without verdict",
        ),
        (
            r#"{"verdict": "broken", "detail": "boot: x", "cause": "crash"}"#,
            "`cause` stands without verdict",
        ),
        (r#"{"verdict": "broken"}"#, "`detail` names no stage"),
        (
            r#"{"verdict": "broken", "detail": "the guest never answered"}"#,
            "`detail` names no stage",
        ),
        (
            r#"{"verdict": "broken", "detail": "weather: it rains"}"#,
            "`detail` names no stage",
        ),
        (r#"{"verdict": "broken", "detail": "boot"}"#, "`detail` names no stage"),
        (r#"{"verdict": "passed"}"#, "unknown variant `passed`"),
        (r#"{"verdict": "fail", "cause": "lost"}"#, "unknown variant `lost`"),
        (
            r#"{"verdict": "fail", "cause": "hang", "phase": "walk"}"#,
            "unknown variant `walk`",
        ),
    ] {
        let mut stored = fields(&pass);
        stored.extend(fields(changes));
        let error = serde_json::from_value::<Cell>(stored.into()).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{changes}: {error}");
    }
}
