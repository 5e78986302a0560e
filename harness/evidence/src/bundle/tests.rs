#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use super::*;
use crate::hang::{Behind, Stall, StallKind};
use crate::judge;
use crate::parts::VmEnd;
use crate::steal::StealPoint;

/// A bundle of which no part is empty.
fn full() -> EvidenceBundle {
    let needs = [
        Need::Hits("fault", 1),
        Need::ReleasedByCondition("order"),
        Need::WriteRequests { tag: 1, at_least: 2 },
    ];
    let timed = |event| Timed {
        host_ms: 12,
        uptime_ms: 3400,
        event,
    };
    let mark = |name: &str| Record::Mark {
        t_us: 7,
        name: name.to_owned(),
    };
    EvidenceBundle {
        events: vec![
            timed(Event::Begin),
            timed(Event::Note {
                text: "several\nlines \u{2028} and \"quotes\"".to_owned(),
            }),
            timed(Event::End),
        ],
        trace: vec![mark("begin-overlap"), mark(ARM_MARK)],
        rules: vec![RuleHits {
            name: "fault".to_owned(),
            text: "fail write limit=1 name=fault".to_owned(),
            hits: 1,
        }],
        fsck: Some(Fsck {
            clean: true,
            output: "[1/7] checking root items\n".to_owned(),
        }),
        steal: vec![StealPoint {
            host_ms: 7,
            run_ms: 5,
            stolen_ms: 2,
        }],
        ..EvidenceBundle::silent(
            ProgramKind::Test,
            &needs,
            Ending::Finished,
            "[    1.0] bioscope: begin overlap\r\n".to_owned(),
        )
    }
}

fn saved(bundle: &EvidenceBundle) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    bundle.save(dir.path()).unwrap();
    dir
}

fn endings() -> Vec<Ending> {
    vec![
        Ending::Finished,
        Ending::Stalled(Stall {
            phase: Phase::Run,
            comm: "overlap".to_owned(),
            stack: vec!["lock_extent_bits".to_owned()],
            span_ms: 4000,
            samples: 17,
            how: StallKind::Starved,
            behind: vec![Behind {
                comm: "kworker/0:1".to_owned(),
                stack: vec!["f".to_owned()],
            }],
        }),
        Ending::Held {
            rule: "stuck".to_owned(),
            phase: Phase::Umount,
        },
        Ending::VmGone(VmEnd::Exited(1)),
        Ending::VmGone(VmEnd::Signalled(9)),
        Ending::DeviceGone("killed by signal 9".to_owned()),
        Ending::Unfit("btrfs cannot be loaded".to_owned()),
        Ending::NoHello,
        Ending::OutOfTime { limit_s: 150 },
        Ending::Harness("an answer cannot be sent".to_owned()),
    ]
}

#[test]
fn what_is_saved_is_loaded_and_judged_the_same() {
    let mut bundles = vec![full()];
    for ending in endings() {
        for kind in [ProgramKind::Test, ProgramKind::Exec] {
            bundles.push(EvidenceBundle {
                ending: ending.clone(),
                kind,
                ..full()
            });
            bundles.push(EvidenceBundle::silent(kind, &[], ending.clone(), String::new()));
        }
    }
    bundles.push(EvidenceBundle {
        fsck: Some(Fsck {
            clean: false,
            output: String::new(),
        }),
        ..full()
    });
    for bundle in bundles {
        let loaded = EvidenceBundle::load(saved(&bundle).path()).unwrap();
        assert_eq!(loaded, bundle);
        assert_eq!(judge(&loaded), judge(&bundle));
    }
}

#[test]
fn what_has_no_file_of_its_own_stands_in_bundle_json() {
    let dir = saved(&full());
    let text = fs::read_to_string(dir.path().join(HEAD)).unwrap();
    let head: serde_json::Value = serde_json::from_str(&text).unwrap();
    let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
    assert_eq!(
        head,
        serde_json::json!({
            "version": 1,
            "kind": "test",
            "needs": [
                {"hits": ["fault", 1]},
                {"released-by-condition": "order"},
                {"write-requests": {"tag": 1, "at_least": 2}}
            ],
            "ending": "finished",
            "rules": [{"name": "fault", "text": "fail write limit=1 name=fault", "hits": 1}],
            "steal": [{"host_ms": 7, "run_ms": 5, "stolen_ms": 2}],
            "parts": {
                "console.log": {"bytes": size(CONSOLE)},
                "events.jsonl": {"bytes": size(EVENTS)},
                "trace.jsonl": {"bytes": size(TRACE)},
                "fsck.log": {"clean": true, "bytes": size(FSCK)}
            }
        })
    );
}

#[test]
fn a_bundle_takes_the_place_of_another_one() {
    let dir = saved(&full());
    let other = EvidenceBundle::silent(ProgramKind::Exec, &[], Ending::NoHello, String::new());
    other.save(dir.path()).unwrap();
    assert_eq!(EvidenceBundle::load(dir.path()).unwrap(), other);
    assert!(!dir.path().join(FSCK).exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 4, "no temporary file stays: {left:?}");
}

#[test]
fn a_missing_part_is_refused_by_its_name() {
    for name in EvidenceBundle::FILES {
        let dir = saved(&full());
        let file = dir.path().join(name);
        fs::remove_file(&file).unwrap();
        let error = EvidenceBundle::load(dir.path()).unwrap_err();
        assert!(
            matches!(&error, BundleError::Missing { file: named } if *named == file),
            "{error}"
        );
        assert!(error.to_string().contains("run the cell again"), "{error}");
    }
    let nothing = tempfile::tempdir().unwrap();
    let error = EvidenceBundle::load(nothing.path()).unwrap_err();
    assert!(matches!(error, BundleError::Missing { .. }), "{error}");
}

#[test]
fn a_part_that_was_cut_is_refused_wherever_it_was_cut() {
    for name in EvidenceBundle::FILES {
        let dir = saved(&full());
        let file = dir.path().join(name);
        let whole = fs::read(&file).unwrap();
        // The last byte of bundle.json is the end of its line, which says nothing.
        let says = if name == HEAD { whole.len() - 1 } else { whole.len() };
        for length in 0..says {
            fs::write(&file, &whole[..length]).unwrap();
            let error = EvidenceBundle::load(dir.path()).unwrap_err();
            assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!(EvidenceBundle::load(dir.path()).unwrap(), full());
    }
}

#[test]
fn a_part_that_was_changed_is_refused_with_its_line() {
    let dir = saved(&full());
    let file = dir.path().join(EVENTS);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"note\"", "\"nota\"", 1)).unwrap();
    let error = EvidenceBundle::load(dir.path()).unwrap_err();
    assert!(matches!(error, BundleError::Malformed { line: 2, .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("line 2 of {} is not understood", file.display()))
    );

    let console = dir.path().join(CONSOLE);
    let size = usize::try_from(fs::metadata(&console).unwrap().len()).unwrap();
    fs::write(&file, text).unwrap();
    fs::write(&console, vec![0xff; size]).unwrap();
    let error = EvidenceBundle::load(dir.path()).unwrap_err();
    assert!(
        matches!(&error, BundleError::NotText { file } if *file == console),
        "{error}"
    );
}

/// Loads a bundle after a change to its `bundle.json`.
fn changed(change: impl Fn(&mut serde_json::Value)) -> Result<EvidenceBundle, BundleError> {
    let dir = saved(&full());
    let file = dir.path().join(HEAD);
    let mut head = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut head);
    fs::write(&file, serde_json::to_vec(&head).unwrap()).unwrap();
    EvidenceBundle::load(dir.path())
}

#[test]
fn another_version_is_refused_whatever_else_it_holds() {
    for version in [0, 2] {
        let error = changed(|head| {
            *head = serde_json::json!({"version": version, "layout": "unheard of"});
        })
        .unwrap_err();
        assert!(
            matches!(error, BundleError::Version { found, known: 1, .. } if found == version),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(HEAD) && text.contains("use the bioscope that wrote it"),
            "{text}"
        );
    }
}

#[test]
fn what_bundle_json_does_not_say_is_not_guessed() {
    for field in ["version", "kind", "needs", "ending", "rules", "parts"] {
        let error = changed(|head| {
            head.as_object_mut().unwrap().remove(field);
        })
        .unwrap_err();
        assert!(
            matches!(error, BundleError::Malformed { .. }),
            "without {field}: {error}"
        );
    }
    for part in [CONSOLE, EVENTS, TRACE, FSCK] {
        let error = changed(|head| {
            head["parts"].as_object_mut().unwrap().remove(part);
        })
        .unwrap_err();
        assert!(
            matches!(error, BundleError::Malformed { .. }),
            "without {part}: {error}"
        );
    }
    let error = changed(|head| head["parts"][CONSOLE] = serde_json::Value::Null).unwrap_err();
    assert!(matches!(error, BundleError::Malformed { .. }), "{error}");
    let error = changed(|head| head["weather"] = "fine".into()).unwrap_err();
    assert!(matches!(error, BundleError::Malformed { .. }), "{error}");
    // Only of the file system check it may be said that there was none.
    let unchecked = changed(|head| head["parts"][FSCK] = serde_json::Value::Null).unwrap();
    assert_eq!(unchecked, EvidenceBundle { fsck: None, ..full() });
}
