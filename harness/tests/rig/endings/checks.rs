//! Ends of a job at umount, at the leak check and at the check of the image.

use std::fs;

use verdict::Cause;

use super::speaker::with_speaker;
use super::{assert_broken, assert_fails, assert_passes, on_stock};
use crate::bed::{Rig, find};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_file_system_that_stays_busy_is_a_leak() {
    let ended = with_speaker("speak hold-file /mnt", &[]);
    assert_fails(&ended, Cause::Leak, "umount: EBUSY", "EBUSY");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_file_system_that_our_fault_made_read_only_is_nobodys_failure() {
    for rule in ["fail write", "fail flush limit=1"] {
        let rig = Rig::new();
        let ended = on_stock(&rig, "btrfs", "pages", &["--rule", rule]);
        assert_passes(&ended);
        let consoles = find(&rig.dir.path().join("runs"), "console.log");
        let console = fs::read_to_string(&consoles[0]).expect("a console");
        assert!(console.contains("forced readonly"), "{console}");
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_checker_that_does_not_know_a_feature_is_broken() {
    let ended = on_stock(&Rig::new(), "ext4", "feature", &[]);
    assert_broken(&ended, "harness:", "unsupported feature");
}
