//! A machine that is stopped for a while is as it was before: by SIGSTOP to QEMU, in each phase and while it boots, on
//! a kernel of Debian's and on one from source. A hang is still one, and nothing else becomes one.
//!
//! Here the stops are so long that a task is blocked for longer than the kernel's watchdog allows, and each day another
//! of them is as long as a processor must be stuck for a soft lockup. With `BIOSCOPE_STOPS=long` all of them are.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use guest_wire::Phase;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use verdict::results::Cell;
use verdict::{Cause, FailureKind};

use crate::bed::{KERNEL, RUN_WITHIN, Rig, chaos, find, text};

/// A kernel without a bug that is built from source.
const FROM_SOURCE: &str = "truth-f";
/// What the console shows first of a kernel.
const BOOTS: &str = "Linux version";
/// The phases of a test on btrfs.
const PHASES: [&str; 9] = [
    "mount",
    "setup",
    "remount",
    "run",
    "leak",
    "umount",
    "mount-again",
    "verify",
    "last-umount",
];
/// How often a case is run until it is stopped where it is to be.
const TRIES: u32 = 8;
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(40);

/// Waits until something is so that changes with the files below a directory, while a process runs.
fn until<T>(dir: &Path, child: &Child, what: &str, is_so: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + RUN_WITHIN;
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("inotify");
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a process");
    loop {
        // Before the look, so that nothing happens unseen in between.
        watch_all(&watch, dir);
        if let Some(found) = is_so() {
            return found;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{what} never came");
        let left = Timespec::try_from(left).expect("a time");
        let mut both = [PollFd::new(&watch, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        let _ = rustix::event::poll(&mut both, Some(&left));
        assert!(
            both[1].revents().is_empty() || is_so().is_some(),
            "bioscope ended before {what}"
        );
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {}
    }
}

/// Watches a directory and those below it: each before it is read, so that one that is made meanwhile is in one or the
/// other.
fn watch_all(watch: &OwnedFd, dir: &Path) {
    let _ = inotify::add_watch(
        watch,
        dir,
        WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO,
    );
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            watch_all(watch, &path);
        }
    }
}

/// What the consoles of a run show.
fn consoles(rig: &Rig) -> Vec<String> {
    let logs = find(&rig.dir.path().join("runs"), "console.log");
    let read = logs.iter().filter_map(|log| std::fs::read(log).ok());
    read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// The phase that a console shows last.
fn phase(console: &str) -> Option<&str> {
    let marks = console.lines().rev();
    marks
        .filter_map(|line| line.split_once("bioscope: phase "))
        .map(|(_, phase)| phase.trim())
        .next()
}

/// Runs a case, with a stop once the console has shown this; its cell and all that was said, and the phase that it was
/// stopped in.
fn run(args: &[&str], at: &str, time: impl Fn(Option<&str>) -> Duration) -> (Cell, String, Option<String>) {
    let rig = Rig::new();
    let child = rig.start(args);
    until(rig.dir.path(), &child, at, || {
        consoles(&rig).iter().any(|log| log.contains(at)).then_some(())
    });
    let qemu = Pid::from_raw(rig.until_running("qemu-system-x86_64")).expect("a process id");
    kill_process(qemu, Signal::STOP).expect("stopped");
    let landed = consoles(&rig).iter().find_map(|log| phase(log).map(str::to_owned));
    // The time itself is what the guest must not mistake for a hang.
    std::thread::sleep(time(landed.as_deref()));
    kill_process(qemu, Signal::CONT).expect("goes on");
    let output = child.wait_with_output().expect("bioscope ends");
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    let said = format!("stopped at {at}: {}\n{}", cells[0].detail(), text(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    (cells[0].clone(), said, landed)
}

/// Runs a case until it was stopped in this phase: a short one may be over before the host gets there.
fn stopped_in(kernel: &str, case: &str, wanted: &str, time: Duration) -> (Cell, String) {
    let args = ["--kernel", kernel, "--fs", "btrfs", "--case", case];
    for _ in 0..TRIES {
        let stop = |landed: Option<&str>| if landed == Some(wanted) { time } else { Duration::ZERO };
        let (cell, said, landed) = run(&args, &format!("bioscope: phase {wanted}"), stop);
        if landed.as_deref() == Some(wanted) {
            println!(
                "{kernel}: {case} stopped for {time:?} in {wanted}: {}",
                cell.verdict().word()
            );
            return (cell, said);
        }
    }
    panic!("{kernel}: {case} was never stopped in {wanted}");
}

/// How long a stop is: each day another of so many is long.
fn time(number: usize, of: usize) -> Duration {
    let all = std::env::var_os("BIOSCOPE_STOPS").is_some_and(|stops| stops == "long");
    let today = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    let is_turn = usize::try_from(today).is_ok_and(|today| today % of == number);
    if all || is_turn { LONG } else { SHORT }
}

/// Stops a case that passes in each of its phases, and in its boot.
fn passes(kernel: &str) {
    let of = PHASES.len() + 1;
    for (number, wanted) in PHASES.iter().enumerate() {
        let (cell, said) = stopped_in(kernel, "rw-verify", wanted, time(number, of));
        assert_eq!(cell.verdict().word(), "pass", "{said}");
    }
    let args = [
        "--kernel",
        kernel,
        "--fs",
        "btrfs",
        "--case",
        "rw-verify",
        "--cold-boot",
    ];
    let (cell, said, _) = run(&args, BOOTS, |_| time(PHASES.len(), of));
    assert_eq!(cell.verdict().word(), "pass", "{said}");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_stop_of_the_machine_changes_no_verdict() {
    passes(KERNEL);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn nor_on_a_kernel_from_source() {
    passes(FROM_SOURCE);
}

/// They hang for ever, so what is seen of them after the stop must do.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_hang_is_one_before_and_after_a_stop() {
    let hangs = [
        ("debian-5.10.218", "self-deadlock", Phase::Run),
        ("truth-b", "ioerr-leak", Phase::Umount),
    ];
    for (number, (kernel, case, phase)) in hangs.into_iter().enumerate() {
        let (cell, said) = stopped_in(kernel, case, phase.name(), time(number, hangs.len()));
        let kind = cell.verdict().failure().map(|failure| failure.kind);
        assert_eq!(kind, Some(FailureKind::Hang { phase }), "{said}");
    }
}

/// The kernel's watchdogs are believed where the host took no time; a program that speaks like one in the kernel's log
/// is not.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_lockup_of_a_machine_that_runs_counts() {
    for (word, expected) in [("lockup", ("fail", Some(Cause::Crash))), ("kmsg", ("pass", None))] {
        let rig = Rig::new();
        let output = rig.test(&["--kernel", KERNEL, "--fs", "btrfs", "--exec", &chaos(word)]);
        let cells = rig.cells();
        assert_eq!(cells.len(), 1, "{}", text(&output));
        let verdict = cells[0].verdict();
        assert_eq!(
            (verdict.word(), verdict.cause()),
            expected,
            "{word}: {}",
            cells[0].detail()
        );
    }
}
