//! Whose the text of a console is that nobody heard while a case was judged, with recorded cells in place of a guest.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use evidence::parts::{Earlier, LostPart, Owner};
use machine::Accel;
use verdict::Cause;

use super::*;
use crate::resolved::{KernelOrigin, TrialCase};
use crate::trial::planned::plan;

const KERNEL: &str = "debian-7.3";
const WARNING: &str = "[   99.900000] WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]\r\n";
const OOPS: &str = "[   99.900000] BUG: kernel NULL pointer dereference, address: 0000000000000008\r\n";
/// Of a guest beside which the trial does.
const DIES: &str = "dies";
const QUIET: &str = "[   99.950000] reboot: Power down\r\n";

/// A guest whose jobs leave what was recorded of others.
struct Recorded {
    left: VecDeque<EvidenceBundle>,
    /// None if they cannot be read.
    last_words: Option<&'static str>,
    /// What the host takes after each job.
    steal: Vec<StealPoint>,
}

impl Guest for Recorded {
    fn command_line(&self) -> &'static str {
        "quiet"
    }

    fn run(&mut self, _: JobRequest<'_>) -> (EvidenceBundle, Vec<StealPoint>) {
        (self.left.pop_front().unwrap(), self.steal.clone())
    }

    fn power_off(self) -> (std::io::Result<String>, Vec<StealPoint>) {
        assert_ne!(self.last_words, Some(DIES));
        let unreadable = || std::io::Error::from(std::io::ErrorKind::NotFound);
        (self.last_words.map(str::to_owned).ok_or_else(unreadable), self.steal)
    }

    fn end(self) {}
}

/// A recorded cell of btrfs; what its console says before it begins belongs to this case.
fn recorded(case: &str, before: &str, earlier: &str) -> EvidenceBundle {
    let cells = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cells");
    let bundle = EvidenceBundle::load(&cells.join(format!("{KERNEL}.btrfs.{case}"))).unwrap();
    EvidenceBundle {
        earlier: Some(Earlier {
            owner: Owner::Case(before.to_owned()),
            text: earlier.to_owned(),
        }),
        ..bundle
    }
}

/// Runs these cases on such a guest; their cells as the run has them, of which each is the one that is stored.
fn cells(cases: &[&str], guest: Recorded) -> Vec<Cell> {
    let place = tempfile::tempdir().unwrap();
    let cells = cells_in(place.path(), cases, guest).unwrap();
    for cell in &cells {
        assert_eq!(cell_file::load(&cell.dir).unwrap().verdict(), cell.verdict());
        let again = judge(&EvidenceBundle::load(&cell.dir).unwrap());
        assert_eq!(&again.verdict, cell.verdict());
    }
    cells
}

fn cells_in(place: &Path, cases: &[&str], guest: Recorded) -> std::io::Result<Vec<Cell>> {
    let none = || place.to_owned();
    let run = Run {
        dir: none(),
        vhost_blk: none(),
        guest_bins: none(),
        accel: Accel::Tcg,
        snapshots: None,
        keep: false,
        profile: Profile::Default,
        origin: KernelOrigin::Manifest {
            named: None,
            patches: Vec::new(),
        },
        exec: None,
        case_limit: crate::CASE_LIMIT,
        seed: None,
        tools: Default::default(),
        images: Default::default(),
        kernels: Default::default(),
        trials: Vec::new(),
    };
    let wanted = |name: &&str| TrialCase {
        name: (*name).to_owned(),
        expect: None,
    };
    let trial = Trial {
        kernel: KERNEL.to_owned(),
        fs: Fs::Btrfs,
        test: "any".to_owned(),
        cases: cases.iter().map(wanted).collect(),
    };
    let mut bench = Bench {
        run: &run,
        trial: &trial,
        boot_dir: place,
        scratch: place,
        started: Instant::now(),
        begun: Begun::Booted,
        cells: Vec::new(),
    };
    bench.cases(guest, &plan(&run, &trial))?;
    Ok(bench.cells)
}

/// A pass, or the cause and place of a failure.
fn says(cell: &Cell) -> (Option<Cause>, Option<&str>) {
    let failure = cell.verdict().failure();
    assert!(
        failure.is_some() || *cell.verdict() == Verdict::Pass,
        "{}",
        cell.detail()
    );
    (
        cell.verdict().cause(),
        failure.and_then(|failure| failure.place.as_deref()),
    )
}

const PASS: (Option<Cause>, Option<&str>) = (None, None);
const WARNED: (Option<Cause>, Option<&str>) = (Some(Cause::Warning), Some("btrfs_get_extent"));

#[test]
fn what_the_kernel_says_between_two_cases_is_the_first_ones() {
    let (first, second) = ("partial-write", "ioerr-leak");
    for (between, expected) in [("", PASS), (WARNING, WARNED)] {
        let left = [recorded(first, "", ""), recorded(second, first, between)];
        let guest = Recorded {
            left: left.into(),
            last_words: Some(QUIET),
            steal: Vec::new(),
        };
        let cells = cells(&[first, second], guest);
        assert_eq!(cells.iter().map(says).collect::<Vec<_>>(), [expected, PASS]);
    }
}

#[test]
fn what_the_kernel_says_before_a_case_that_does_not_begin_is_the_first_ones() {
    let (first, second) = ("partial-write", "ioerr-leak");
    for (ending, expected) in [
        (Ending::OutOfTime { limit_s: 7 }, WARNED),
        (Ending::VmGone(VmEnd::Exited(0)), WARNED),
        (Ending::VmGone(VmEnd::Signalled(9)), PASS),
        (Ending::DeviceGone("went".to_owned()), PASS),
    ] {
        let next = EvidenceBundle {
            ending,
            events: Vec::new(),
            earlier: None,
            console: WARNING.to_owned(),
            ..recorded(second, first, "")
        };
        let guest = Recorded {
            left: [recorded(first, "", ""), next].into(),
            last_words: Some(QUIET),
            steal: Vec::new(),
        };
        let cells = cells(&[first, second], guest);
        assert_eq!(says(&cells[0]), expected, "{}", cells[1].detail());
        assert_ne!(cells[1].verdict(), &Verdict::Pass);
    }
}

/// As one that is killed.
#[test]
fn a_trial_that_dies_before_the_last_words_leaves_no_pass() {
    let place = tempfile::tempdir().unwrap();
    let case = "partial-write";
    let guest = Recorded {
        left: [recorded(case, "", "")].into(),
        last_words: Some(DIES),
        steal: Vec::new(),
    };
    let died = catch_unwind(AssertUnwindSafe(|| cells_in(place.path(), &[case], guest)));
    assert!(died.is_err());
    let dir = place.path().join(KERNEL).join("btrfs").join(case);
    assert!(EvidenceBundle::load(&dir).is_ok() && cell_file::load(&dir).is_none());
}

/// As on a disk that is full.
#[test]
fn no_case_passes_without_its_last_words_because_the_next_one_cannot_be_written_down() {
    let (first, second) = ("partial-write", "ioerr-leak");
    for has_dir in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let cells = place.path().join(KERNEL).join("btrfs");
        if has_dir {
            std::fs::create_dir_all(cells.join(second).join("bundle.json")).unwrap();
        } else {
            std::fs::create_dir_all(&cells).unwrap();
            std::fs::write(cells.join(second), b"no directory").unwrap();
        }
        let guest = Recorded {
            left: [recorded(first, "", ""), recorded(second, first, WARNING)].into(),
            last_words: Some(QUIET),
            steal: Vec::new(),
        };
        assert!(cells_in(place.path(), &[first, second], guest).is_err());
        let stored = |case: &str| cell_file::load(&cells.join(case));
        assert_eq!(stored(first).as_ref().map(says), has_dir.then_some(WARNED));
        assert!(stored(second).is_none());
    }
}

#[test]
fn what_the_kernel_says_until_the_power_is_off_is_the_last_ones() {
    let (first, second) = ("partial-write", "ioerr-leak");
    for (last_words, expected) in [("", PASS), (QUIET, PASS), (WARNING, WARNED)] {
        let left = [recorded(first, "", ""), recorded(second, first, "")];
        let guest = Recorded {
            left: left.into(),
            last_words: Some(last_words),
            steal: Vec::new(),
        };
        let cells = cells(&[first, second], guest);
        assert_eq!(cells.iter().map(says).collect::<Vec<_>>(), [PASS, expected]);
    }
    let guest = Recorded {
        left: [recorded(first, "", "")].into(),
        last_words: None,
        steal: Vec::new(),
    };
    let lost = cells(&[first], guest);
    let detail = lost[0].detail();
    assert!(
        detail.starts_with("evidence: console.log: its end cannot be read"),
        "{detail}"
    );
    // The case after it lost the console, and what this one's kernel said last along with it.
    let next = EvidenceBundle {
        earlier: None,
        console: String::new(),
        lost: vec![LostPart {
            part: "console.log".to_owned(),
            why: "no descriptors are left".to_owned(),
        }],
        ..recorded(second, first, OOPS)
    };
    let guest = Recorded {
        left: [recorded(first, "", ""), next].into(),
        last_words: Some(QUIET),
        steal: Vec::new(),
    };
    for lost in cells(&[first, second], guest) {
        let detail = lost.detail();
        assert!(
            detail.starts_with("evidence: console.log: ") && detail.ends_with("no descriptors are left"),
            "{detail}"
        );
    }
    // What has failed stays that, even if there is worse to come.
    let failed = "exec";
    let guest = Recorded {
        left: [recorded(failed, "", "")].into(),
        last_words: Some(OOPS),
        steal: Vec::new(),
    };
    let cells = cells(&[first], guest);
    let stored = cell_file::load(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/cells/{KERNEL}.btrfs.{failed}")),
    );
    assert_eq!(cells[0].verdict(), stored.unwrap().verdict());
}

/// A host that stops a guest between two jobs, of which its watchdog complains.
#[test]
fn what_the_host_takes_after_a_case_explains_a_lockup_after_it() {
    let (first, second) = ("partial-write", "ioerr-leak");
    let lockup = "[   99.900000] watchdog: BUG: soft lockup - CPU#0 stuck for 41s! [swapper/0:0]\r\n";
    let stopped = |case: &str| {
        let bundle = recorded(case, "", "");
        let printed_ms = u64::try_from(bundle.clocks.log.unwrap().host_us(99_900_000) / 1000).unwrap();
        let last = bundle.steal.last().copied().unwrap_or_default();
        [(45_000, 0), (0, 40_000)].map(|(before_ms, taken_ms)| StealPoint {
            host_ms: printed_ms - before_ms,
            stolen_ms: last.stolen_ms + taken_ms,
            ..last
        })
    };
    for is_stopped in [true, false] {
        for at_the_end in [false, true] {
            let speaker = if at_the_end { second } else { first };
            let steal: Vec<_> = stopped(speaker).into_iter().filter(|_| is_stopped).collect();
            let expected = (!is_stopped).then_some(Cause::Crash);
            let (between, last_words) = if at_the_end { ("", lockup) } else { (lockup, QUIET) };
            let guest = Recorded {
                left: [recorded(first, "", ""), recorded(second, first, between)].into(),
                last_words: Some(last_words),
                steal,
            };
            let cells = cells(&[first, second], guest);
            let causes: Vec<_> = cells.iter().map(|cell| cell.verdict().cause()).collect();
            let expected = if at_the_end { [None, expected] } else { [expected, None] };
            assert_eq!(causes, expected);
        }
    }
}
