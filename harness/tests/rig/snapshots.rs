//! Snapshots of booted guests: the same verdicts as from power-on, and never the reason for one.

use verdict::Cause;
use verdict::results::Begun;

use crate::bed::{KERNEL, Rig, find, text};

/// A kernel that corrupts data: a verdict that a machine must come to however it began.
const CORRUPTING: &str = "debian-6.1.176";

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_restored_machine_and_a_booted_one_come_to_the_same_verdict() {
    let rig = Rig::new();
    let args = ["--kernel", CORRUPTING, "--fs", "btrfs", "--case", "partial-write"];
    let mut details = Vec::new();
    for (more, begun) in [
        (&[][..], Begun::Restored),
        (&[][..], Begun::Restored),
        (&["--cold-boot"][..], Begun::Booted),
    ] {
        let output = rig.test(&[&args[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let [cell] = &rig.cells()[..] else { panic!("one cell") };
        assert_eq!(
            (cell.verdict().word(), cell.verdict().cause(), cell.machine),
            ("fail", Some(Cause::Corruption), begun),
            "{}",
            cell.detail()
        );
        details.push(cell.detail());
    }
    assert!(details.iter().all(|detail| *detail == details[0]), "{details:?}");
    assert_eq!(find(rig.dir.path(), "memory").len(), 1, "one snapshot was taken");
    rig.assert_nothing_left();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn trials_that_want_the_same_snapshot_at_once_share_it() {
    let rig = Rig::new();
    let args = ["--kernel", KERNEL, "--fs", "btrfs", "--jobs", "3"];
    let cases = ["rw-verify", "overlap", "read-own-mapping"].map(|case| ["--case", case]);
    let output = rig.test(&[&args[..], cases.as_flattened()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let cells = rig.cells();
    assert_eq!(cells.len(), 3);
    assert!(cells.iter().all(|cell| cell.machine == Begun::Restored), "{cells:#?}");
    assert_eq!(find(rig.dir.path(), "memory").len(), 1, "one snapshot was taken");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_damaged_snapshot_costs_time_and_no_verdict() {
    let rig = Rig::new();
    let args = ["--kernel", KERNEL, "--fs", "btrfs", "--case", "rw-verify"];
    assert_eq!(rig.test(&args).status.code(), Some(0));
    for state in find(rig.dir.path(), "state") {
        let bytes = std::fs::read(&state).expect("the state");
        // More than half of it describes the rest in JSON, and QEMU does not miss that.
        std::fs::write(&state, &bytes[..bytes.len() / 8]).expect("a part of the state");
    }
    let begun = || {
        let output = rig.test(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        rig.cells()[0].machine
    };
    assert_eq!(begun(), Begun::Booted);
    let notes = find(&rig.dir.path().join("runs"), "snapshot.log");
    let [note] = &notes[..] else { panic!("{notes:?}") };
    let note = std::fs::read_to_string(note).expect("the note");
    assert!(note.contains("QEMU"), "{note}");
    // The next run takes a new one.
    assert_eq!(begun(), Begun::Restored);
    rig.assert_nothing_left();
}
