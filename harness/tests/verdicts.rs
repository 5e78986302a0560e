//! Verdicts over what real kernels left behind, and over the same evidence with something taken away.
//!
//! The fixtures are recorded cells (`fixtures/README.md`). What must hold: the recorded verdict follows from the
//! recorded evidence, and nothing that is lost, killed or silent on the way to the judge makes a pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

#[path = "common/clone.rs"]
mod clone;
#[path = "common/recorded.rs"]
mod recorded;

use bisect::signature::{Comparison, Signature};
use evidence::needs::Need;
use evidence::parts::{ARM_MARK, BEGIN_MARK, END_MARK, Ending, Fsck, Timed, VmEnd};
use evidence::{EvidenceBundle, judge};
use guest_tests::pattern;
use guest_wire::Fs;
use guest_wire::{Event, FindingCause, Phase, PhaseOutcome};
use verdict::results::Cell;
use verdict::{Cause, Judgement, Stage, Verdict};
use vhost_blk_api::payload::Tag;
use vhost_blk_api::trace::Record;

const PASS: &str = "debian-6.12.btrfs.partial-write";
const IOERR_PASS: &str = "debian-6.1.192.btrfs.ioerr-leak";
const EXEC_PASS: &str = "debian-6.1.192.btrfs.exec";

/// A recorded cell, of which a test can take something away.
#[derive(Clone)]
struct Recorded {
    evidence: EvidenceBundle,
    /// What was recorded of the judgement.
    cell: serde_json::Value,
}

impl Recorded {
    fn load(name: &str) -> Recorded {
        let dir = recorded::cells().join(name);
        let cell = std::fs::read(dir.join("cell.json")).unwrap();
        Recorded {
            evidence: EvidenceBundle::load(&dir).unwrap_or_else(|error| panic!("{error}")),
            cell: serde_json::from_slice(&cell).unwrap(),
        }
    }

    /// Judged as if what there is were all that there ever was: that nothing is missing is another test's.
    fn judge(&self) -> Judgement {
        let mut evidence = self.evidence.clone();
        recorded::reseal(&mut evidence);
        judge(&evidence)
    }

    /// The cell that it is, judged anew.
    fn as_cell(&self) -> Cell {
        let text = |field: &str| self.cell[field].as_str().unwrap().to_owned();
        Cell::new(&text("kernel"), Fs::Btrfs, &text("case"), self.judge(), None)
    }

    /// The judgement after a change: verdict, cause and detail on one line.
    fn after(mut self, change: impl FnOnce(&mut Recorded)) -> String {
        change(&mut self);
        let judgement = self.judge();
        let cause = judgement
            .verdict
            .cause()
            .map(|cause| format!(" {cause}"))
            .unwrap_or_default();
        format!("{}{cause}: {}", judgement.verdict, judgement.detail())
    }

    fn without(mut self, gone: impl Fn(&Event) -> bool) -> Recorded {
        self.evidence.events.retain(|timed| !gone(&timed.event));
        self
    }

    fn add(&mut self, event: Event) {
        self.evidence.events.insert(
            self.evidence.events.len() - 1,
            Timed {
                host_ms: 0,
                uptime_ms: 0,
                event,
            },
        );
    }

    fn end_phase(&mut self, wanted: Phase, ends: &PhaseOutcome) {
        for timed in &mut self.evidence.events {
            match &mut timed.event {
                Event::PhaseEnd { phase, outcome } if *phase == wanted => *outcome = ends.clone(),
                _ => {}
            }
        }
    }
}

/// Whether a record is one of the two marks without which no trace is whole.
fn is_end(record: &Record) -> bool {
    matches!(record, Record::Mark { name, .. } if name.starts_with(BEGIN_MARK) || name.starts_with(END_MARK))
}

fn is_arm(record: &Record) -> bool {
    matches!(record, Record::Mark { name, .. } if name == ARM_MARK)
}

#[test]
fn recorded_cells_get_their_verdict() {
    let cells = [
        "debian-5.10.218.btrfs.self-deadlock",
        "debian-5.10.218.btrfs.read-own-mapping",
        "debian-6.1.176.btrfs.partial-write",
        "debian-6.1.176.btrfs.overlap",
        "debian-6.1.176.btrfs.zero-progress",
        "debian-6.1.192.btrfs.fault-midway",
        PASS,
        IOERR_PASS,
        EXEC_PASS,
    ];
    let mut seen = String::new();
    for cell in cells {
        let recorded = Recorded::load(cell);
        let judgement = recorded.judge();
        let now = serde_json::to_value(recorded.as_cell()).unwrap();
        for field in ["verdict", "cause", "detail", "armed"] {
            assert_eq!(now[field], recorded.cell[field], "{cell}: {field}: {judgement:#?}");
        }
        let cause = judgement
            .verdict
            .cause()
            .map(|cause| format!(" {cause}"))
            .unwrap_or_default();
        let armed = if judgement.armed { "armed" } else { "not armed" };
        seen.push_str(&format!(
            "{cell}: {}{cause}, {armed}: {}\n",
            judgement.verdict,
            judgement.detail()
        ));
    }
    insta::assert_snapshot!(seen, @"
    debian-5.10.218.btrfs.self-deadlock: fail hang, armed: in run, self-deadlock blocked for ever at btrfs_start_ordered_extent
    debian-5.10.218.btrfs.read-own-mapping: fail hang, armed: in run, read-own-mappin blocked for ever at lock_extent
    debian-6.1.176.btrfs.partial-write: fail corruption, armed: data: target (O_DIRECT read after a fresh mount): first differing offset 0, 4096 bytes: expected source (tag 1) page 0, found zeros
    debian-6.1.176.btrfs.overlap: fail corruption, armed: data: source (O_DIRECT read after a fresh mount): first differing offset 65552, 69616 bytes: expected source (tag 1) page 0, found source (tag 1) page 16
    debian-6.1.176.btrfs.zero-progress: fail corruption, armed: size: pwrite64(262144 bytes at 0) = EFAULT, yet st_size went from 0 to 262144, expected 0
    debian-6.1.192.btrfs.fault-midway: pass, armed: every oracle was content
    debian-6.12.btrfs.partial-write: pass, armed: every oracle was content
    debian-6.1.192.btrfs.ioerr-leak: pass, armed: every oracle was content
    debian-6.1.192.btrfs.exec: pass, armed: every oracle was content
    ");
}

#[test]
fn recorded_failures_are_told_apart_by_their_signature() {
    let failures = [
        "debian-5.10.218.btrfs.self-deadlock",
        "debian-5.10.218.btrfs.read-own-mapping",
        "debian-6.1.176.btrfs.partial-write",
        "debian-6.1.176.btrfs.overlap",
        "debian-6.1.176.btrfs.zero-progress",
    ]
    .map(Recorded::load);
    let signatures: Vec<Signature> = failures
        .iter()
        .map(|recorded| Signature::of(&recorded.as_cell(), &recorded.evidence.console).unwrap())
        .collect();
    for (at, recorded) in failures.iter().enumerate() {
        for (other, pinned) in signatures.iter().enumerate() {
            let comparison = pinned.compare(&recorded.as_cell(), &recorded.evidence.console);
            assert_eq!(
                comparison == Comparison::Same,
                at == other,
                "{pinned} and {}",
                signatures[at]
            );
        }
    }
    let pass = Recorded::load(PASS);
    assert_eq!(
        signatures[2].compare(&pass.as_cell(), &pass.evidence.console),
        Comparison::Pass
    );
    let seen: Vec<String> = signatures.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(seen.join("\n"), @r#"
    self-deadlock: hang, run: btrfs_start_ordered_extent
    read-own-mapping: hang, run: lock_extent
    partial-write: corruption, data, "target (O_DIRECT read after a fresh mount): first differing offset # bytes: expected source (tag #) page #, found zeros"
    overlap: corruption, data, "source (O_DIRECT read after a fresh mount): first differing offset # bytes: expected source (tag #) page #, found source (tag #) page #"
    zero-progress: corruption, size, "pwrite(# bytes at #) = EFAULT, yet st_size went from # to #, expected #"
    "#);
}

#[test]
fn a_failure_says_how_the_device_saw_the_write() {
    let judgement = Recorded::load("debian-6.1.176.btrfs.partial-write").judge();
    insta::assert_snapshot!(judgement.evidence.join("\n"), @"
    pwrite64 of 262144 bytes at offset 0 of target (0 bytes) begins
    pwrite64(len 262144, offset 0) = 262144, 63 page faults during it
    target: 1 extents: 4096+258048
    extents: hole of 4096 bytes at offset 0 of target, where data was written
    data: target (O_DIRECT read after a fresh mount): first differing offset 0, 4096 bytes: expected source (tag 1) page 0, found zeros
    the device saw the write in 2 requests: 4096 B from page 0 at sector 27136 (ok), 258048 B from page 1 at sector 27136 (ok)
    ");
}

/// The table of what may be lost without harm. Everything else that is lost must not leave a pass.
///
/// - notes and samples are for the reader and the hang judge, no oracle speaks through them;
/// - `syscall` is for the reader as well: the test itself judged what the call returned, and says so by findings;
/// - `source-pages-absent` only promises that faults will happen; `fault-during-write` counts those that did;
/// - the kernel's counters are a second opinion on its log.
fn redundant(event: &Event) -> bool {
    match event {
        Event::Note { .. } | Event::Sample(_) | Event::Syscall { .. } | Event::Counters(_) => true,
        Event::Armed { what, .. } => what == "source-pages-absent",
        _ => false,
    }
}

#[test]
fn no_event_that_matters_can_be_lost_from_a_pass() {
    for pass in [PASS, IOERR_PASS, EXEC_PASS] {
        let whole = Recorded::load(pass);
        assert_eq!(whole.judge().verdict, Verdict::Pass);
        for lost in 0..whole.evidence.events.len() {
            let mut cut = whole.clone();
            let event = cut.evidence.events.remove(lost).event;
            let judgement = cut.judge();
            // What the device counts arms this case; the guest's word for its buffer is only a second opinion.
            let by_device = !whole.evidence.needs.is_empty() && matches!(event, Event::Armed { .. });
            let passes = redundant(&event) || by_device;
            assert_eq!(
                judgement.verdict == Verdict::Pass,
                passes,
                "{}: without {event:?}: {}",
                pass,
                judgement.detail()
            );
        }
    }
}

#[test]
fn no_event_at_all_and_any_beginning_alone_are_no_pass() {
    for pass in [PASS, IOERR_PASS, EXEC_PASS] {
        let whole = Recorded::load(pass);
        for kept in 0..whole.evidence.events.len() {
            let mut cut = whole.clone();
            cut.evidence.events.truncate(kept);
            assert!(
                matches!(cut.judge().verdict, Verdict::Broken { .. }),
                "{pass}: only {kept} events"
            );
        }
    }
}

#[test]
fn what_was_not_armed_is_inconclusive() {
    let seen = [
        Recorded::load(PASS).after(|cell| {
            for timed in &mut cell.evidence.events {
                if let Event::Armed { holds, .. } = &mut timed.event {
                    *holds = false;
                }
            }
        }),
        Recorded::load(PASS)
            .without(|event| matches!(event, Event::Armed { .. }))
            .after(|_| {}),
        Recorded::load(PASS)
            .without(|event| matches!(event, Event::Armed { what, .. } if what == "fault-during-write"))
            .after(|_| {}),
        Recorded::load(PASS).after(|cell| cell.evidence.trace.retain(is_end)),
        Recorded::load(PASS).after(|cell| {
            cell.evidence
                .trace
                .retain(|record| matches!(record, Record::Mark { .. }));
        }),
        Recorded::load(PASS).after(|cell| cell.evidence.needs = vec![Need::WriteRequests { tag: 1, at_least: 99 }]),
        Recorded::load(PASS).after(|cell| cell.evidence.needs = vec![Need::Hits("fault", 1).into_owned()]),
        Recorded::load(PASS).after(|cell| cell.evidence.needs = vec![Need::ReleasedByCondition("first").into_owned()]),
        Recorded::load(IOERR_PASS).after(|cell| cell.evidence.rules[0].hits = 0),
        Recorded::load(IOERR_PASS).after(|cell| cell.evidence.rules.clear()),
        Recorded::load(IOERR_PASS).after(|cell| cell.evidence.trace.retain(|record| !is_arm(record))),
        Recorded::load(EXEC_PASS).after(|cell| cell.evidence.rules[0].hits = 0),
        Recorded::load(EXEC_PASS).after(|cell| cell.evidence.trace.retain(is_end)),
    ];
    insta::assert_snapshot!(seen.join("\n"), @"
    inconclusive: source-pages-absent does not hold: 1 of 1 first pages present, 0 of 63 later pages present
    inconclusive: the test never said that it was armed
    inconclusive: the test never said whether the call took page faults
    inconclusive: the device's trace does not show that the fault plan was put in force
    inconclusive: no request reached the device while the fault plan was in force
    inconclusive: the write came in 1 requests, 99 needed
    inconclusive: rule fault fired 0 times, 1 needed
    inconclusive: rule first held nothing until what it waited for
    inconclusive: rule fault fired 0 times, 1 needed
    inconclusive: rule fault fired 0 times, 1 needed
    inconclusive: the device's trace does not show that the fault plan was put in force
    inconclusive: rule never fired: delay write for=1ms name=slow
    inconclusive: the device's trace does not show that the fault plan was put in force
    ");
}

#[test]
fn an_error_of_a_request_that_no_rule_failed_is_a_failure() {
    // The log says that writes failed, and the trace, if it were whole, that we failed none.
    let seen = Recorded::load(IOERR_PASS).after(|cell| cell.evidence.trace.retain(is_end));
    insta::assert_snapshot!(seen, @"fail error: I/O error, dev vda, sector 26624 op 0x1:(WRITE) flags 0xc800 phys_seg 126 prio class 2");
}

#[test]
fn a_rig_that_went_wrong_is_broken() {
    let ended = |ending: Ending| Recorded::load(PASS).after(|cell| cell.evidence.ending = ending);
    let console = |line: &str| Recorded::load(PASS).after(|cell| cell.evidence.console.push_str(line));
    let phase = |phase, outcome: PhaseOutcome| Recorded::load(PASS).after(|cell| cell.end_phase(phase, &outcome));
    let seen = [
        ended(Ending::VmGone(VmEnd::Signalled(9))),
        ended(Ending::VmGone(VmEnd::Exited(1))),
        ended(Ending::VmGone(VmEnd::Exited(0))),
        ended(Ending::DeviceGone("killed by signal 9".into())),
        ended(Ending::Unfit("btrfs cannot be loaded".into())),
        ended(Ending::NoHello),
        ended(Ending::OutOfTime { limit_s: 150 }),
        ended(Ending::Harness("an answer cannot be sent".into())),
        console("[    9.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n"),
        console("[    9.1] bioscope: agent ended by signal 9\n"),
        phase(Phase::Mount, PhaseOutcome::Failed("mount: ENODEV".into())),
        phase(Phase::Run, PhaseOutcome::Exited(1)),
        phase(Phase::Verify, PhaseOutcome::Signalled(11)),
        phase(Phase::LastUmount, PhaseOutcome::Failed("umount: EINVAL".into())),
        Recorded::load(PASS).after(|cell| cell.evidence.fsck = None),
    ];
    for line in &seen {
        assert!(line.starts_with("broken: "), "{line}");
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    broken: vm: QEMU was ended by signal 9
    broken: vm: QEMU exited with code 1; see qemu.log
    broken: vm: the guest went down in last-umount
    broken: device: the block device went away: killed by signal 9
    broken: boot: btrfs cannot be loaded
    broken: boot: the guest never answered
    broken: harness: no end and no evidence of a hang within 150 s, in last-umount; a slow machine or a sleeping program
    broken: harness: an answer cannot be sent
    broken: guest: pid 1 of the guest died
    broken: guest: bioscope: agent ended by signal 9
    broken: mount: mount: ENODEV
    broken: test: run exited with code 1
    broken: test: verify was ended by signal 11
    broken: last-umount: umount: EINVAL
    broken: harness: the file system was not checked on the host
    ");
}

#[test]
fn a_kernel_that_went_wrong_fails_with_the_worst_cause() {
    let console = |line: &str| Recorded::load(PASS).after(|cell| cell.evidence.console.push_str(line));
    let finding = |cause| {
        Recorded::load(PASS).after(|cell| {
            cell.add(Event::Finding {
                cause,
                oracle: "data".into(),
                detail: "first differing offset 0".into(),
            });
        })
    };
    let seen = [
        console("[    9.1] kernel BUG at fs/btrfs/ordered-data.c:281!\n"),
        console("[    9.1] BUG: KASAN: use-after-free in btrfs_put_ordered_extent+0x1/0x2 [btrfs]\n"),
        console("[    9.1] WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]\n"),
        console("[    9.1] WARNING: possible circular locking dependency detected\n"),
        finding(FindingCause::Corruption),
        finding(FindingCause::Leak),
        finding(FindingCause::Error),
        Recorded::load(PASS).after(|cell| {
            cell.evidence.fsck = Some(Fsck {
                clean: false,
                unable: None,
                output: "[1/7] checking root items\nroot 5 inode 257 errors 100\n".into(),
            });
        }),
        Recorded::load(PASS)
            .after(|cell| cell.end_phase(Phase::MountAgain, &PhaseOutcome::Failed("mount: EIO".into()))),
        Recorded::load(EXEC_PASS).after(|cell| cell.end_phase(Phase::Run, &PhaseOutcome::Exited(3))),
        Recorded::load(EXEC_PASS).after(|cell| cell.end_phase(Phase::Run, &PhaseOutcome::Signalled(11))),
    ];
    for line in &seen {
        assert!(line.starts_with("fail "), "{line}");
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    fail crash: kernel BUG at fs/btrfs/ordered-data.c:281!
    fail crash: in btrfs_put_ordered_extent: BUG: KASAN: use-after-free in btrfs_put_ordered_extent+0x1/0x2 [btrfs]
    fail warning: in btrfs_get_extent: WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]
    fail warning: WARNING: possible circular locking dependency detected
    fail corruption: data: first differing offset 0
    fail leak: data: first differing offset 0
    fail error: data: first differing offset 0
    fail corruption: file system check: root 5 inode 257 errors 100
    fail corruption: cannot be mounted again: mount: EIO
    fail error: the program exited with code 3
    fail error: the program was ended by signal 11
    ");
}

#[test]
fn a_broken_rig_outweighs_what_the_kernel_seems_to_have_done() {
    let mut cell = Recorded::load("debian-6.1.176.btrfs.partial-write");
    assert_eq!(cell.judge().verdict.cause(), Some(Cause::Corruption));
    cell.evidence.ending = Ending::DeviceGone("killed by signal 9".into());
    let judgement = cell.judge();
    assert_eq!(judgement.verdict, Verdict::Broken { stage: Stage::Device });
}

#[test]
fn a_success_that_no_device_error_preceded_is_no_lost_error() {
    let lost = || Event::Finding {
        cause: FindingCause::Corruption,
        oracle: "lost-error".into(),
        detail: "pwrite64 = 8388608 although the device failed it".into(),
    };
    let mut cell = Recorded::load(IOERR_PASS);
    cell.add(lost());
    assert_eq!(cell.judge().verdict.cause(), Some(Cause::Corruption));
    cell.evidence.rules[0].hits = 0;
    assert_eq!(cell.judge().verdict, Verdict::Inconclusive);
}

#[test]
fn a_program_that_does_not_apply_is_skipped() {
    let mut cell = Recorded::load(EXEC_PASS).without(|event| {
        let phase = match event {
            Event::PhaseStart { phase } | Event::PhaseEnd { phase, .. } => *phase,
            _ => return false,
        };
        matches!(phase, Phase::Leak | Phase::MountAgain | Phase::LastUmount)
    });
    cell.end_phase(Phase::Run, &PhaseOutcome::Skipped);
    assert_eq!(cell.judge().verdict, Verdict::Skipped);
}

#[test]
fn device_and_guest_agree_on_what_a_tagged_page_begins_with() {
    assert_eq!(pattern::MAGIC, vhost_blk_api::payload::MAGIC);
    assert_eq!(pattern::PAGE, vhost_blk_api::payload::PAGE_LEN);
    for (tag, page) in [
        (0, 0),
        (pattern::TAG_SOURCE, 1),
        (pattern::TAG_OLD, u64::MAX),
        (0x0102_0304_0506_0708, 513),
    ] {
        let bytes = pattern::page(tag, page);
        assert_eq!(
            Tag::read(&bytes),
            Some(Tag { tag, page }),
            "what the guest fills, the device reads"
        );
        let mut written = pattern::page(9, 9);
        written[..vhost_blk_api::payload::HEADER_LEN].copy_from_slice(&Tag { tag, page }.header());
        assert_eq!(
            pattern::origin(&written).map(|origin| (origin.tag, origin.index)),
            Some((tag, page))
        );
    }
}
