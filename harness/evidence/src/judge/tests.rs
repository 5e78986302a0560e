//! What each ending of a guest becomes: the rows of the table in docs/design/endings.md that need no machine.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

mod many;

use guest_wire::{Phase, PhaseOutcome};
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::Record;

use super::judge;
use crate::bundle::EvidenceBundle;
use crate::context::{CellContext, KernelIdentity};
use crate::parts::{Earlier, Ending, Fsck, Owner, ProgramKind, VmEnd};
use crate::testing::{DISK_BYTES, Sketch, injected, stray};

const EIO_NOTE: &str = "overlap: failed to write the source: Input/output error (os error 5)";

/// Verdict, cause, place and detail on one line.
fn line(bundle: &EvidenceBundle) -> String {
    let judgement = judge(bundle);
    let cause = judgement.verdict.cause().map(|cause| format!(" {cause}"));
    let failure = judgement.verdict.failure();
    let place = failure.and_then(|failure| failure.place.as_ref());
    let place = place.map(|place| format!(" [{place}]")).unwrap_or_default();
    format!(
        "{}{}{place}: {}",
        judgement.verdict,
        cause.unwrap_or_default(),
        judgement.detail()
    )
}

fn test() -> Sketch {
    Sketch::healthy(ProgramKind::Test)
}

fn exec() -> Sketch {
    Sketch::healthy(ProgramKind::Exec)
}

fn failed_write() -> Vec<Record> {
    injected(7, 5_000_000, Op::Write, 27_136, "fail")
}

fn assert_lines(seen: &[(Sketch, &str)]) {
    for (sketch, expected) in seen {
        let line = line(&sketch.bundle());
        assert!(line.starts_with(expected), "expected {expected}\nfound    {line}");
    }
}

#[test]
fn nothing_wrong_is_a_pass() {
    let pass = "pass: every oracle was content";
    assert_lines(&[(test(), pass), (exec(), pass)]);
}

#[test]
fn calls_that_fail_on_a_healthy_disk_are_the_kernels() {
    let with_note = |phase, note: &str, outcome| Sketch {
        note: Some(note.to_owned()),
        ..test().end(phase, &outcome)
    };
    let exited = PhaseOutcome::Exited(1);
    assert_lines(&[
        (
            test().failed(Phase::Umount, "umount: EBUSY"),
            "fail leak [umount: EBUSY]: umount: the file system stays busy",
        ),
        (
            test().failed(Phase::Mount, "mount: EIO"),
            "fail error [mount: EIO]: mount: mount: EIO, on a disk on which nothing had failed",
        ),
        (
            test().failed(Phase::Leak, "BTRFS_IOC_START_SYNC: EROFS"),
            "fail error [leak: EROFS]: leak: BTRFS_IOC_START_SYNC: EROFS, on a disk on which nothing had failed",
        ),
        (
            with_note(Phase::Setup, EIO_NOTE, exited.clone()),
            "fail error [setup: EIO]: setup: overlap: failed to write the source",
        ),
        (
            test().end(Phase::Verify, &PhaseOutcome::Signalled(7)),
            "fail error [verify: SIGBUS]: verify: a page of a mapped file could not be read in",
        ),
        (
            test().failed(Phase::MountAgain, "mount: EUCLEAN"),
            "fail corruption [mount again]: cannot be mounted again: mount: EUCLEAN",
        ),
        // Not the disk's errors, and not a signal that only the kernel sends.
        (
            test().failed(Phase::Mount, "mount: ENODEV"),
            "broken: mount: mount: ENODEV",
        ),
        (
            with_note(Phase::Setup, "overlap: no memory (os error 12)", exited.clone()),
            "broken: test: setup exited with code 1",
        ),
        (
            test().end(Phase::Setup, &exited),
            "broken: test: setup exited with code 1",
        ),
        (
            test().end(Phase::Verify, &PhaseOutcome::Signalled(11)),
            "broken: test: verify was ended by signal 11",
        ),
    ]);
}

#[test]
fn calls_that_fail_after_a_fault_of_ours_are_nobodys_failure() {
    let faulted = || test().device(failed_write());
    let note = Some(EIO_NOTE.to_owned());
    assert_lines(&[
        (
            faulted().failed(Phase::Leak, "BTRFS_IOC_START_SYNC: EROFS"),
            "pass: every oracle was content",
        ),
        (
            Sketch {
                note,
                ..faulted().end(Phase::Run, &PhaseOutcome::Exited(1))
            },
            "broken: test: run exited with code 1",
        ),
        // A file system that is busy is busy whatever happened.
        (
            faulted().failed(Phase::LastUmount, "umount: EBUSY"),
            "fail leak [umount: EBUSY]: last-umount",
        ),
        // Another error has nothing to do with it.
        (
            faulted().failed(Phase::Leak, "open /mnt: EACCES"),
            "broken: leak: open /mnt: EACCES",
        ),
    ]);
}

#[test]
fn a_checker_is_believed_only_about_an_image_that_it_could_check() {
    let checked = |sketch: Sketch, clean, unable: Option<&str>, output: &str| Sketch {
        fsck: Some(Fsck {
            clean,
            unable: unable.map(str::to_owned),
            output: output.to_owned(),
        }),
        ..sketch
    };
    let found = "mirror 1 bytenr 298844160 csum 0x1 expected csum 0x2\nERROR: errors found in csum tree\n\
                 found 4521984 bytes used, error(s) found\n";
    let old = Some("couldn't open because of unsupported option features (0x5000).");
    assert_lines(&[
        (
            checked(test(), false, None, found),
            "fail corruption [file system check: mirror bytenr csum expected csum]: file system check: mirror 1 bytenr \
             298844160 csum 0x1 expected csum 0x2",
        ),
        (
            checked(test(), false, None, ""),
            "fail corruption [file system check: not clean]: file system check: not clean",
        ),
        (
            checked(test(), false, old, found),
            "broken: harness: the file system check says nothing: couldn't open because of unsupported",
        ),
        (
            Sketch { fsck: None, ..test() },
            "broken: harness: the file system was not checked",
        ),
        // An image in use is in the middle of something.
        (
            checked(test().failed(Phase::LastUmount, "umount: EINVAL"), false, None, found),
            "broken: last-umount: umount: EINVAL",
        ),
    ]);
}

#[test]
fn the_device_s_view_is_judged() {
    let malformed = Record::Malformed {
        t_us: 2_000_000,
        queue: 0,
        problem: "no status byte".to_owned(),
    };
    let dead = Record::QueueDead {
        t_us: 2_000_000,
        queue: 0,
        problem: "the driver went back".to_owned(),
    };
    let missed = Record::Missed { t_us: 2, lines: 3 };
    assert_lines(&[
        (
            test().device(vec![malformed]),
            "fail error [device: malformed request]: the device saw a malformed request in queue 0: no status byte",
        ),
        (test().device(vec![dead]), "fail error [device: dead queue]: "),
        (
            test().device(stray(7, 5_000_000, Op::Read, 8)),
            "broken: device: request 7 (read at sector 8, 4096 bytes) failed, and no rule made it",
        ),
        (
            test().device(stray(7, 5_000_000, Op::Read, DISK_BYTES / 512 - 8)),
            "broken: device: ",
        ),
        (
            test().device(stray(7, 5_000_000, Op::Read, DISK_BYTES / 512 - 7)),
            "fail error [device: beyond the end]: the device saw request 7 (read at sector 2097145, 4096 bytes), which",
        ),
        (test().device(failed_write()), "pass"),
        (test().device(vec![missed]), "broken: evidence: "),
    ]);
}

const OOPS: &str = "BUG: kernel NULL pointer dereference, address: 0000000000000008";

#[test]
fn a_report_is_believed_before_its_victims_are_blamed() {
    let dies = |ending: Ending, line: &str| Sketch { ending, ..test() }.says(9.1, line);
    let agent = "bioscope: agent ended by signal 9";
    let init = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b";
    let gone = || Ending::VmGone(VmEnd::Exited(0));
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    assert_lines(&[
        (dies(gone(), agent), "broken: guest: bioscope: agent ended by signal 9"),
        (dies(gone(), init), "broken: guest: pid 1 of the guest died"),
        (
            Sketch {
                ending: gone(),
                ..test()
            }
            .says(9.0, OOPS)
            .says(9.1, agent),
            "fail crash: BUG: kernel NULL pointer",
        ),
        (
            Sketch {
                ending: gone(),
                ..test()
            }
            .says(9.0, OOPS)
            .says(9.1, init),
            "fail crash: BUG: kernel NULL pointer",
        ),
        (
            Sketch {
                ending: gone(),
                ..test()
            }
            .says(9.0, warning)
            .says(9.1, agent),
            "fail warning [btrfs_get_extent]: in btrfs_get_extent: WARNING: ",
        ),
        (
            Sketch {
                ending: Ending::Harness("an answer cannot be sent".to_owned()),
                ..test()
            }
            .says(9.0, OOPS),
            "fail crash: ",
        ),
        // What the guest says of a device that is gone does not count.
        (
            Sketch {
                ending: Ending::DeviceGone("killed by signal 9".to_owned()),
                ..test()
            }
            .says(9.0, OOPS),
            "broken: device: ",
        ),
        // With panic_on_warn the warning is what counts.
        (
            Sketch {
                ending: gone(),
                ..test()
            }
            .says(9.0, warning)
            .says(9.1, "Kernel panic - not syncing: kernel: panic_on_warn set ..."),
            "fail warning [btrfs_get_extent]: ",
        ),
    ]);
}

#[test]
fn what_a_program_does_to_itself_is_its_own() {
    let traps = "traps: user-gpf[71] general protection fault ip:401a2b sp:7ffd5c3a4d90 error:0 in user-gpf[401000]";
    assert_lines(&[
        (
            exec().end(Phase::Run, &PhaseOutcome::Signalled(11)).says(3.1, traps),
            "fail error [signal 11]: the program was ended by signal 11",
        ),
        (
            exec().end(Phase::Run, &PhaseOutcome::Exited(3)),
            "fail error [exit code 3]: ",
        ),
        (
            exec().end(Phase::Run, &PhaseOutcome::Exited(125)),
            "inconclusive: the program says that it cannot test here (exit code 125)",
        ),
    ]);
}

#[test]
fn the_end_of_a_programs_output_stands_before_what_the_kernel_said() {
    let output: String = (1..=9).map(|number| format!("line {number}\n")).collect();
    let sketch = Sketch {
        note: Some(output),
        ..exec().end(Phase::Run, &PhaseOutcome::Exited(3)).device(failed_write())
    };
    let io_error = "I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x3800 phys_seg 4 prio class 2";
    let shown = judge(&sketch.says(5.1, io_error).bundle()).evidence;
    assert_eq!(shown[0], "the output ends with these lines; output.log has 9 lines:");
    assert_eq!((shown[1].as_str(), shown[8].as_str()), ("line 2", "line 9"));
    assert!(shown[9].contains("io-error"), "{shown:?}");
}

#[test]
fn what_our_faults_bring_about_is_no_failure_and_is_shown() {
    let lines = [
        "I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x3800 phys_seg 4 prio class 2",
        "BTRFS error (device vda): bdev /dev/vda errs: wr 2, rd 0, flush 0, corrupt 0, gen 0",
        "BTRFS error (device vda state A): Transaction aborted (error -5)",
        "BTRFS: error (device vda state A) in cleanup_transaction:2020: errno=-5 IO failure",
        "BTRFS info (device vda state EA): forced readonly",
    ];
    let say = |sketch: Sketch| lines.iter().fold(sketch, |sketch, line| sketch.says(5.1, line));
    let excused = say(exec().device(failed_write())).bundle();
    assert!(line(&excused).starts_with("pass: "), "{}", line(&excused));
    let shown = judge(&excused).evidence;
    assert!(
        shown
            .iter()
            .any(|line| line.starts_with("kernel log, as a rule must bring about: btrfs-abort: ")),
        "{shown:?}"
    );
    assert_lines(&[(
        say(exec()),
        "fail warning [cleanup_transaction]: in cleanup_transaction: BTRFS error (device vda state A): Transaction aborted",
    )]);
}

#[test]
fn a_disk_that_a_command_made_smaller_fails_what_is_beyond_its_end() {
    let resized = |bytes| {
        vec![Record::Resize {
            t_us: 4_000_000,
            from: 4 << 20,
            bytes,
        }]
    };
    let beyond = |bytes| exec().device([resized(bytes), stray(7, 5_000_000, Op::Write, 2048)].concat());
    let says = "a: attempt to access beyond end of device";
    assert_lines(&[
        (beyond(1 << 20).says(5.1, says), "pass: "),
        (
            beyond(2 << 20),
            "broken: device: request 7 (write at sector 2048, 4096 bytes) failed",
        ),
        (exec().says(5.1, says), "fail error: a: attempt to access"),
    ]);
}

#[test]
fn a_disk_that_a_rule_wrote_wrong_says_nothing_of_the_kernel() {
    let found = |action: &str, op: Op| {
        let fsck = Some(Fsck {
            clean: false,
            unable: None,
            output: "root 5 inode 257 errors 100, file extent discount\n".to_owned(),
        });
        let sketch = exec().device(injected(7, 5_000_000, op, 2048, action));
        line(&Sketch { fsck, ..sketch }.bundle())
    };
    for action in ["corrupt", "drop", "short"] {
        let line = found(action, Op::Write);
        assert!(
            line.starts_with("inconclusive: file system check: root 5 inode 257"),
            "{line}"
        );
        assert!(
            line.ends_with("; the rule fault left other content on the disk than was written"),
            "{line}"
        );
    }
    for (action, op) in [
        ("corrupt", Op::Read),
        ("drop", Op::Flush),
        ("early", Op::Write),
        ("fail", Op::Write),
    ] {
        assert!(found(action, op).starts_with("fail corruption "), "{action} {op}");
    }
    let mount = exec()
        .device(injected(7, 5_000_000, Op::Write, 2048, "drop"))
        .failed(Phase::MountAgain, "mount: EUCLEAN");
    assert_lines(&[(
        mount,
        "inconclusive: cannot be mounted again: mount: EUCLEAN; the rule fault left other",
    )]);
}

#[test]
fn a_boot_that_fails_leaves_its_last_words() {
    let boot = |ending: Ending, console: &str| {
        let context = CellContext::new(KernelIdentity::default(), guest_wire::Fs::Btrfs, "overlap");
        line(&EvidenceBundle::silent(
            ProgramKind::Test,
            &[],
            context,
            ending,
            console.to_owned(),
        ))
    };
    let gone = || Ending::VmGone(VmEnd::Exited(0));
    let no_root = "[    1.0] VFS: Cannot open root device\n[    1.1] Kernel panic - not syncing: VFS: Unable to mount \
                   root fs on unknown-block(0,0)\n[    1.2] CPU: 0 PID: 1 Comm: swapper\n\
                   [    1.3] ---[ end Kernel panic\n";
    assert_eq!(
        boot(gone(), no_root),
        "broken: boot: the guest went down before the case began; its last words: Kernel panic - not syncing: VFS: \
         Unable to mount root fs on unknown-block(0,0)"
    );
    assert_eq!(
        boot(
            Ending::NoHello,
            "[    0.1] Linux version 7.3\n[    0.2] x86/fpu: a word\n\n"
        ),
        "broken: boot: the guest never answered; its last words: x86/fpu: a word"
    );
    assert_eq!(
        boot(Ending::NoHello, ""),
        "broken: boot: the guest never answered; its kernel said nothing"
    );
    let warned = "[    1.1] WARNING: CPU: 0 PID: 7 at a.c:1 f+0x1/0x2\n";
    assert_eq!(
        boot(Ending::NoHello, warned),
        "broken: boot: the guest never answered; its last words: WARNING: CPU: 0 PID: 7 at a.c:1 f+0x1/0x2"
    );
    // One that goes down at it does so by itself, as with panic_on_warn.
    assert!(boot(gone(), warned).starts_with("fail warning [f]: "));
    // A kernel that oopses at boot does so by itself.
    assert_eq!(
        boot(gone(), &format!("[    1.1] {OOPS}\n")),
        format!("fail crash: {OOPS}")
    );
}

#[test]
fn what_came_before_a_case_belongs_to_somebody() {
    let earlier = |owner: Owner, said: &str| {
        let text = format!("[    0.9] {said}\n");
        line(&EvidenceBundle {
            earlier: Some(Earlier { owner, text }),
            ..test().bundle()
        })
    };
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    let case = || Owner::Case("overlap.swapped".to_owned());
    for owner in [case(), Owner::Boot] {
        assert!(earlier(owner, warning).starts_with("pass: "), "is only shown");
    }
    assert!(earlier(Owner::Boot, OOPS).starts_with("fail crash: at boot: "));
    assert!(
        earlier(case(), OOPS).starts_with("fail crash: after the end of overlap.swapped, before this case began: ")
    );
    // As after a stop of the machine while it booted.
    let lockup = "watchdog: BUG: soft lockup - CPU#0 stuck for 41s! [swapper/0:1]";
    assert!(earlier(Owner::Boot, lockup).starts_with("pass: "), "is only shown");
    // To the case before it is its own.
    let mut before = test().bundle();
    before.console.push_str(&format!("[   99.5] {warning}\n"));
    let of_case = line(&before);
    assert!(
        of_case.starts_with("fail warning [btrfs_get_extent]: in btrfs_get_extent: WARNING: "),
        "{of_case}"
    );
}
