#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::fs;

use guest_wire::{EventSeal, Fs, LogPiece, LogRecord};
use verdict::results::{Expected, ExpectedFailure, ExpectedVerdict};

use super::*;
use crate::context::{KernelIdentity, Offset, Plan, Tools};
use crate::hang::{Behind, Stall, StallKind};
use crate::judge;
use crate::parts::{Owner, begin_mark, end_mark};
use crate::steal::StealPoint;

/// A bundle of which no part is empty.
fn full() -> EvidenceBundle {
    let needs = [
        Need::Hits("fault", 1),
        Need::ReleasedByCondition("order"),
        Need::WriteRequests { tag: 1, at_least: 2 },
    ];
    let offset = Some(Offset::at(None, 3_400_000, 12_000, 900));
    EvidenceBundle {
        events: events(),
        trace: trace(),
        earlier: Some(Earlier {
            owner: Owner::Case("overlap.swapped".to_owned()),
            text: "[    0.9] a word of the case before é\r\n".to_owned(),
        }),
        qemu_log: "qemu: a word\n".to_owned(),
        clocks: Clocks {
            guest: offset,
            log: offset,
            device: offset,
        },
        rules: vec![RuleHits {
            name: "fault".to_owned(),
            text: "fail write limit=1 name=fault".to_owned(),
            hits: 1,
        }],
        fsck: Some(Fsck {
            clean: true,
            unable: None,
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
            context(),
            Ending::Finished,
            "[    1.0] bioscope: begin overlap\r\n[    1.1] bioscope: end overlap\r\n".to_owned(),
        )
    }
}

fn context() -> CellContext {
    let kernel = KernelIdentity {
        id: "debian-6.12".to_owned(),
        release: "6.12.1".to_owned(),
        artifact: "0123".to_owned(),
    };
    CellContext {
        plan: Plan {
            seed: 1,
            rules: vec!["fail write limit=1 name=fault".to_owned()],
        },
        expectation: Some(Expected {
            verdict: ExpectedVerdict::Fail(ExpectedFailure::Any),
            why: "a bug".to_owned(),
        }),
        command_line: "console=ttyS0".to_owned(),
        tools: Tools {
            bioscope: "0.1.0".to_owned(),
            qemu: "7.2".to_owned(),
            mkfs: "mkfs.btrfs, part of btrfs-progs v6.2".to_owned(),
            fsck: "btrfs-progs v6.2".to_owned(),
        },
        ..CellContext::new(kernel, Fs::Btrfs, "overlap")
    }
}

fn events() -> Vec<Timed> {
    let record = |seq, text: &str| LogRecord {
        seq,
        level: 6,
        facility: 0,
        time_us: 1_000_000,
        text: text.to_owned(),
    };
    let log = LogPiece {
        first: 7,
        last: 8,
        records: vec![record(7, "bioscope: begin overlap"), record(8, "bioscope: end overlap")],
        digests: Vec::new(),
        overran: false,
    };
    let note = "several\nlines \u{2028} and \"quotes\"".to_owned();
    let mut seal = EventSeal::default();
    let mut events = vec![Event::Begin, Event::Note { text: note }, Event::Log(log)];
    events.iter().for_each(|event| seal.add(3400, event));
    events.push(seal.end());
    let timed = |event| Timed {
        host_ms: 12,
        uptime_ms: 3400,
        event,
    };
    events.into_iter().map(timed).collect()
}

fn trace() -> Vec<Record> {
    let marks = [begin_mark("overlap"), ARM_MARK.to_owned(), end_mark("overlap")];
    let mark = |(records, name)| Record::Mark {
        t_us: 7,
        name,
        records: Some(records),
        disk_bytes: None,
    };
    (20..).zip(marks).map(mark).collect()
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
            bundles.push(EvidenceBundle::silent(
                kind,
                &[],
                context(),
                ending.clone(),
                String::new(),
            ));
        }
    }
    bundles.push(EvidenceBundle {
        fsck: Some(Fsck {
            clean: false,
            unable: Some("btrfs: unsupported option features (0x5000)".to_owned()),
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
    let mut head: serde_json::Value = serde_json::from_str(&text).unwrap();
    let part = |name: &str| {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        serde_json::json!({
            "bytes": bytes.len(),
            "records": bytes.iter().filter(|byte| **byte == b'\n').count(),
            "sha256": files::sha256(&bytes)
        })
    };
    let seal = head["seal"].take();
    assert_eq!(seal.as_str().unwrap().len(), 64);
    let context = head["context"].take();
    assert_eq!(context["expectation"]["why"], "a bug");
    let offset = serde_json::json!({"add_us": -3_388_000, "within_us": 900});
    assert_eq!(
        head,
        serde_json::json!({
            "version": 2,
            "kind": "test",
            "needs": [
                {"hits": ["fault", 1]},
                {"released-by-condition": "order"},
                {"write-requests": {"tag": 1, "at_least": 2}}
            ],
            "context": null,
            "ending": "finished",
            "fsck": {"clean": true},
            "earlier": {"owner": {"case": "overlap.swapped"}, "bytes": 40},
            "rules": [{"name": "fault", "text": "fail write limit=1 name=fault", "hits": 1}],
            "steal": [{"host_ms": 7, "run_ms": 5, "stolen_ms": 2}],
            "qemu_end": null,
            "clocks": {"guest": offset, "log": offset, "device": offset},
            "lost": [],
            "parts": {
                "console.log": part(CONSOLE),
                "events.jsonl": part(EVENTS),
                "trace.jsonl": part(TRACE),
                "fsck.log": part(FSCK),
                "qemu.log": part(QEMU)
            },
            "seal": null
        })
    );
}

#[test]
fn a_bundle_takes_the_place_of_another_one() {
    let dir = saved(&full());
    let other = EvidenceBundle::silent(ProgramKind::Exec, &[], context(), Ending::NoHello, String::new());
    other.save(dir.path()).unwrap();
    assert_eq!(EvidenceBundle::load(dir.path()).unwrap(), other);
    assert!(!dir.path().join(FSCK).exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    // What a program wrote is there for people, if it is nothing.
    assert_eq!(fs::read_to_string(dir.path().join(OUTPUT)).unwrap(), "");
    assert_eq!(left.len(), 6, "no temporary file stays: {left:?}");
    full().save(dir.path()).unwrap();
    assert!(!dir.path().join(OUTPUT).exists());
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
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            let error = EvidenceBundle::load(dir.path()).unwrap_err();
            assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!(EvidenceBundle::load(dir.path()).unwrap(), full());
    }
}

#[test]
fn a_part_of_which_any_byte_was_changed_is_refused() {
    for name in EvidenceBundle::FILES {
        let dir = saved(&full());
        let file = dir.path().join(name);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            let error = EvidenceBundle::load(dir.path()).unwrap_err();
            assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
            if name != HEAD {
                assert!(matches!(error, BundleError::Changed { .. }), "{error}");
            }
        }
    }
}

/// Loads a bundle after a change to its `bundle.json`, which is sealed again.
fn changed(change: impl Fn(&mut serde_json::Value)) -> Result<EvidenceBundle, BundleError> {
    let dir = saved(&full());
    let file = dir.path().join(HEAD);
    let mut head = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut head);
    if head.get("seal").is_some() {
        head["seal"] = head::UNSEALED.into();
    }
    fs::write(&file, head::seal(&head.to_string())).unwrap();
    EvidenceBundle::load(dir.path())
}

#[test]
fn a_part_that_is_not_what_it_should_hold_is_refused_with_its_line() {
    let dir = saved(&full());
    let file = dir.path().join(EVENTS);
    let text = fs::read_to_string(&file).unwrap().replacen("\"note\"", "\"nota\"", 1);
    let hash = files::sha256(text.as_bytes());
    fs::write(&file, text).unwrap();
    let mut head: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join(HEAD)).unwrap()).unwrap();
    head["parts"][EVENTS]["sha256"] = hash.into();
    head["seal"] = head::UNSEALED.into();
    fs::write(dir.path().join(HEAD), head::seal(&head.to_string())).unwrap();
    let error = EvidenceBundle::load(dir.path()).unwrap_err();
    assert!(matches!(error, BundleError::Malformed { line: 2, .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("line 2 of {} is not understood", file.display()))
    );
}

#[test]
fn another_version_is_refused_whatever_else_it_holds() {
    for version in [0, 1, 3] {
        let error = changed(|head| {
            *head = serde_json::json!({"version": version, "layout": "unheard of"});
        })
        .unwrap_err();
        assert!(
            matches!(error, BundleError::Version { found, known: 2, .. } if found == version),
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
    assert_eq!(changed(|_| {}).unwrap(), full());
    let fields = serde_json::from_slice::<serde_json::Value>(&fs::read(saved(&full()).path().join(HEAD)).unwrap());
    // Without the time that the host took nothing is excused by it, which makes no cell a pass.
    for field in fields
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| *field != "steal")
    {
        let error = changed(|head| {
            head.as_object_mut().unwrap().remove(field);
        })
        .unwrap_err();
        assert!(
            matches!(error, BundleError::Malformed { .. }),
            "without {field}: {error}"
        );
    }
    for part in [CONSOLE, EVENTS, TRACE, FSCK, QEMU] {
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
    // That of the console of which the case's own part begins within a letter.
    let error = changed(|head| head["earlier"]["bytes"] = 37.into()).unwrap_err();
    assert!(matches!(error, BundleError::Changed { .. }), "{error}");
    // A file that was checked and one that was not.
    let error = changed(|head| head["fsck"] = serde_json::Value::Null).unwrap_err();
    assert!(matches!(error, BundleError::Changed { .. }), "{error}");
    // Only of the file system check it may be said that there was none.
    let unchecked = changed(|head| {
        head["parts"][FSCK] = serde_json::Value::Null;
        head["fsck"] = serde_json::Value::Null;
    });
    assert_eq!(unchecked.unwrap(), EvidenceBundle { fsck: None, ..full() });
}

#[test]
fn a_change_of_bundle_json_is_noticed() {
    let dir = saved(&full());
    let file = dir.path().join(HEAD);
    let text = fs::read_to_string(&file).unwrap();
    let hits = text.replacen("\"hits\": 1", "\"hits\": 2", 1);
    assert_ne!(hits, text);
    for changed in [hits, format!("{text}\n"), text.replacen("  ", "   ", 1)] {
        fs::write(&file, changed).unwrap();
        let error = EvidenceBundle::load(dir.path()).unwrap_err();
        assert!(matches!(error, BundleError::Changed { .. }), "{error}");
    }
}
