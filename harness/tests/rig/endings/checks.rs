//! Ends of a job at umount, at the leak check and at the check of the image.

use verdict::Cause;

use super::speaker::with_speaker;
use super::{assert_broken, assert_fails, assert_passes, on_stock};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_file_system_that_stays_busy_is_a_leak() {
    let ended = with_speaker("speak hold-file /mnt", &[]);
    assert_fails(&ended, Cause::Leak, "umount", "EBUSY");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_file_system_that_our_fault_made_read_only_is_nobodys_failure() {
    for rule in ["fail write", "fail flush limit=1"] {
        let ended = on_stock("btrfs", "pages", &["--rule", rule]);
        assert_passes(&ended);
        let log = ended.1.judgement.evidence.join("\n");
        assert!(log.contains("forced readonly"), "{log}");
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_checker_that_does_not_know_a_feature_is_broken() {
    let ended = on_stock("ext4", "feature", &[]);
    assert_broken(&ended, "harness:", "the file system check says nothing");
}
