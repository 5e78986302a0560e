//! What a person sees at the end, as it stands on a terminal without colour.

use std::collections::BTreeMap;
use std::path::PathBuf;

use guest_wire::{Fs, Phase};

use super::*;
use machine::Accel;
use run::cases::Profile;
use verdict::results::{Expected, ExpectedFailure, ExpectedVerdict};
use verdict::{Cause, FailureKind, Judgement, Stage};

fn run() -> Run {
    Run {
        dir: PathBuf::from("target/bioscope/runs/1"),
        vhost_blk: PathBuf::new(),
        guest_bins: PathBuf::new(),
        accel: Accel::Tcg,
        snapshots: None,
        keep: false,
        profile: Profile::Default,
        origin: KernelOrigin::Manifest {
            named: None,
            patches: Vec::new(),
        },
        exec: None,
        case_limit: run::CASE_LIMIT,
        seed: None,
        tools: BTreeMap::new(),
        images: BTreeMap::new(),
        kernels: BTreeMap::new(),
        trials: Vec::new(),
    }
}

fn with(judgement: Judgement, evidence: &[&str]) -> Judgement {
    judgement.with_grounds(true, evidence.iter().map(|&line| line.to_owned()).collect())
}

fn expects(verdict: ExpectedVerdict) -> Expected {
    Expected {
        verdict,
        why: "a bug".to_owned(),
    }
}

fn cell(kernel: &str, fs: Fs, case: &str, judgement: Judgement, expect: Option<&Expected>) -> Cell {
    let cell = Cell::new(kernel, fs, case, judgement, expect);
    let dir = run().cell_dir(kernel, fs, case);
    Cell { dir, ..cell }
}

/// A cell of every kind, on two kernels and file systems.
fn every_kind() -> Results {
    let (old, new) = ("debian-6.1.176", "debian-6.1.192");
    const HANG: FailureKind = FailureKind::Hang { phase: Phase::Run };
    let pass = || with(Judgement::new(Verdict::Pass, ""), &[]);
    let corruption = expects(ExpectedVerdict::Fail(ExpectedFailure::Of(Cause::Corruption)));
    let lost = "partial-write: bytes 0..4096 read back as zeros";
    let known = with(Judgement::fail(FailureKind::Corruption, None, lost), &["fsck: clean"]);
    let stuck = "overlap: task 71 waits in btrfs_start_ordered_extent";
    let stack = [
        "btrfs_start_ordered_extent+0x11b/0x190",
        stuck,
        "filemap_fault+0x1a6/0xa60",
    ];
    let hang = with(Judgement::fail(HANG, None, stuck), &stack);
    let wrong = with(
        Judgement::fail(FailureKind::Leak, None, "8192 bytes stay reserved"),
        &[],
    );
    let never = "the device saw no partial write";
    let nothing = || with(Judgement::new(Verdict::Inconclusive, never), &["needs: short write"]);
    let broken = with(
        Judgement::broken(Stage::Boot, "no word from the agent"),
        &["last: Run /init"],
    );
    let skipped = with(Judgement::new(Verdict::Skipped, "no such operation on ext4"), &[]);
    let inconclusive = expects(ExpectedVerdict::Inconclusive);
    let cells = vec![
        cell(old, Fs::Btrfs, "rw-verify", pass(), None),
        cell(old, Fs::Btrfs, "partial-write", known, Some(&corruption)),
        cell(old, Fs::Btrfs, "overlap", pass(), Some(&corruption)),
        cell(old, Fs::Btrfs, "ioerr-leak", wrong, Some(&corruption)),
        cell(old, Fs::Btrfs, "zero-progress", nothing(), Some(&inconclusive)),
        cell(new, Fs::Btrfs, "rw-verify", pass(), None),
        cell(new, Fs::Btrfs, "partial-write", nothing(), None),
        cell(new, Fs::Btrfs, "overlap", hang, None),
        cell(new, Fs::Ext4, "rw-verify", broken, None),
        cell(new, Fs::Ext4, "partial-write", pass(), None),
        cell(new, Fs::Ext4, "overlap", skipped, None),
    ];
    Results { cells }
}

fn plain(styled: &str) -> String {
    let text = anstream::adapter::strip_str(styled).to_string();
    // Columns are filled up with blanks, which no editor keeps.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn every_kind_of_cell_has_its_word_and_what_needs_a_person_comes_last() {
    insta::assert_snapshot!(plain(&render(&run(), &every_kind(), None)), @r#"
     case            debian          debian         debian
                     6.1.176         6.1.192        6.1.192
                     btrfs           btrfs          ext4
    ────────────────────────────────────────────────────────
     rw-verify       ok              ok             broken
     partial-write   corruption*     inconclusive   ok
     zero-progress   inconclusive*   ·              ·
     overlap         PASS?           HANG           skipped
     ioerr-leak      LEAK            ·              ·
    * as kernels.toml expects

    debian-6.1.176 btrfs partial-write: corruption (expected): partial-write: bytes 0..4096 read back as zeros
        reproduce cargo xtask test --kernel 'debian-6.1.176' --fs btrfs --case 'partial-write'
    debian-6.1.176 btrfs zero-progress: inconclusive (expected): the device saw no partial write
        reproduce cargo xtask test --kernel 'debian-6.1.176' --fs btrfs --case 'zero-progress'
    debian-6.1.176 btrfs overlap: passes although kernels.toml expects a failure:
        evidence  target/bioscope/runs/1/debian-6.1.176/btrfs/overlap
        reproduce cargo xtask test --kernel 'debian-6.1.176' --fs btrfs --case 'overlap'
    debian-6.1.176 btrfs ioerr-leak: leak: 8192 bytes stay reserved
        evidence  target/bioscope/runs/1/debian-6.1.176/btrfs/ioerr-leak
        reproduce cargo xtask test --kernel 'debian-6.1.176' --fs btrfs --case 'ioerr-leak'
    debian-6.1.192 btrfs partial-write: inconclusive: the device saw no partial write
        needs: short write
        evidence  target/bioscope/runs/1/debian-6.1.192/btrfs/partial-write
        reproduce cargo xtask test --kernel 'debian-6.1.192' --fs btrfs --case 'partial-write'
    debian-6.1.192 btrfs overlap: hang: overlap: task 71 waits in btrfs_start_ordered_extent
        btrfs_start_ordered_extent+0x11b/0x190
        filemap_fault+0x1a6/0xa60
        evidence  target/bioscope/runs/1/debian-6.1.192/btrfs/overlap
        reproduce cargo xtask test --kernel 'debian-6.1.192' --fs btrfs --case 'overlap'
    debian-6.1.192 ext4 rw-verify: broken: boot: no word from the agent
        last: Run /init
        evidence  target/bioscope/runs/1/debian-6.1.192/ext4/rw-verify
        reproduce cargo xtask test --kernel 'debian-6.1.192' --fs ext4 --case 'rw-verify'
    11 cells: 3 pass, 2 expected failures, 2 unexpected failures, 1 unexpected pass, 1 inconclusive, 1 broken, 1 skipped
    evidence: target/bioscope/runs/1
    "#);
}

#[test]
fn a_declared_failure_that_is_not_looked_for_needs_a_person() {
    let declared = expects(ExpectedVerdict::Fail(ExpectedFailure::Any));
    let skipped = Judgement::new(Verdict::Skipped, "no such operation");
    let cells = vec![cell("debian-6.12", Fs::Xfs, "overlap", skipped, Some(&declared))];
    let text = plain(&render(&run(), &Results { cells }, None));
    for line in [
        " overlap   SKIPPED?",
        "debian-6.12 xfs overlap: is skipped although kernels.toml expects a failure: no such operation",
        "1 cell: 0 pass, 0 expected failures, 1 unexpectedly skipped",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_run_without_news_is_a_table_and_a_line() {
    let mut results = every_kind();
    results.cells.retain(is_good);
    insta::assert_snapshot!(plain(&render(&run(), &results, None)), @r#"
     case            debian    debian    debian
                     6.1.176   6.1.192   6.1.192
                     btrfs     btrfs     ext4
    ─────────────────────────────────────────────
     rw-verify       ok        ok        ·
     partial-write   ·         ·         ok
     overlap         ·         ·         skipped

    4 cells: 3 pass, 0 expected failures, 1 skipped
    evidence: target/bioscope/runs/1
    "#);
}

#[test]
fn colour_is_by_what_needs_a_person() {
    let styled: Vec<String> = every_kind().cells.iter().map(word).collect();
    insta::assert_snapshot!(styled.join("\n").replace('\x1b', "^"), @r#"
    ^[32mok^[0m
    ^[33mcorruption*^[0m
    ^[1m^[31mPASS?^[0m
    ^[1m^[31mLEAK^[0m
    ^[33minconclusive*^[0m
    ^[32mok^[0m
    ^[1m^[35minconclusive^[0m
    ^[1m^[31mHANG^[0m
    ^[1m^[35mbroken^[0m
    ^[32mok^[0m
    ^[32mskipped^[0m
    "#);
}

#[test]
fn machines_that_had_to_boot() {
    let snapshots = Some(machine::snapshot::SnapshotConfig {
        root: PathBuf::from("target/bioscope/snapshots"),
        identity: String::new(),
    });
    let told = |results: &Results| {
        not_restored(
            &Run {
                snapshots: snapshots.clone(),
                ..run()
            },
            results,
        )
    };
    let mut results = every_kind();
    insta::assert_snapshot!(told(&results), @r#"10 cells on machines that had to boot, as no snapshot could be used; why: target/bioscope/runs/1/*/*/*/snapshot.log"#);
    // One that never got a machine is no news, and neither is one that was asked to boot.
    assert_eq!(not_restored(&run(), &results), "");
    for cell in &mut results.cells {
        cell.machine = Begun::Restored;
    }
    assert_eq!(told(&results), "");
}

#[test]
fn a_cell_of_patched_source_is_reproduced_with_its_patches() {
    let hang = FailureKind::Hang { phase: Phase::Run };
    let judgement = with(Judgement::fail(hang, None, "hangs"), &[]);
    let cell = cell("truth-f", Fs::Btrfs, "overlap", judgement, None);
    let with = |origin: KernelOrigin| reproduce(&Run { origin, ..run() }, &cell);
    let patch = vec![PathBuf::from("a.patch"), PathBuf::from("b c.mbox")];
    assert_eq!(
        with(KernelOrigin::Manifest {
            named: None,
            patches: patch.clone(),
        }),
        "cargo xtask test --kernel 'truth-f' --fs btrfs --patch a.patch --patch 'b c.mbox' --case 'overlap'"
    );
    assert_eq!(
        with(KernelOrigin::Tree(kernels::GivenTree {
            tree: PathBuf::from("linux"),
            rev: Some("v6.1".to_owned()),
            patch,
            ..Default::default()
        })),
        "cargo xtask test --tree linux --fs btrfs --rev v6.1 --patch a.patch --patch 'b c.mbox' --case 'overlap'"
    );
}
