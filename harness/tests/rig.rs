//! The rig under attack, with real VMs: whatever dies, the cell is broken and never a pass, and nothing is left running.
//!
//! These boot machines and are left out of a plain `cargo test`; `cargo xtask selftest` runs them.

#![allow(clippy::expect_used, reason = "a panic in a test's helper is the test's failure")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::host::Places;
use harness::results::{Cell, Results};
use harness::verdict::{Cause, Verdict};

/// A kernel that passes everything, so that what fails here is what was done to it.
const KERNEL: &str = "debian-6.1.192";
/// How long a run may take before the test gives up on it; a run takes some ten seconds.
const RUN_WITHIN: Duration = Duration::from_secs(600);

/// Runs of the harness whose results go to a directory of their own, so that nothing shares `latest`.
struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().expect("a directory");
        Rig { dir }
    }

    fn bioscope(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioscope"));
        command
            .args(args)
            .env("BIOSCOPE_RUNS", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn test(&self, args: &[&str]) -> Output {
        let all: Vec<&str> = ["test", "--offline", "--accel", "tcg"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        self.bioscope(&all).output().expect("bioscope runs")
    }

    fn start(&self, args: &[&str]) -> Child {
        let all: Vec<&str> = ["test", "--offline", "--accel", "tcg"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let mut command = self.bioscope(&all);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bioscope runs")
    }

    fn cells(&self) -> Vec<Cell> {
        let text = std::fs::read(self.dir.path().join("latest/results.json")).expect("results.json");
        serde_json::from_slice::<Results>(&text).expect("results").cells
    }

    /// Processes whose command line names this run's directory or a program, with their command line.
    fn processes(&self, program: &str) -> Vec<(i32, String)> {
        let run = self.dir.path().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        pids.filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let first = line.split(' ').next().unwrap_or_default();
            (line.contains(&run) && first.ends_with(program)).then_some((pid, line))
        })
        .collect()
    }

    /// Waits until a process of this run exists whose program has this name.
    fn until_running(&self, program: &str) -> i32 {
        let deadline = Instant::now() + RUN_WITHIN;
        while Instant::now() < deadline {
            if let Some((pid, _)) = self.processes(program).first() {
                return *pid;
            }
            // A process of somebody else's cannot be awaited, only looked for.
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no {program} came up");
    }

    /// Waits until the guest runs its program: the agent's log says that the run phase began.
    fn until_in_the_run_phase(&self) {
        let deadline = Instant::now() + RUN_WITHIN;
        while Instant::now() < deadline {
            let logs = find(self.dir.path(), "agent.log");
            let started = logs.iter().any(|log| {
                std::fs::read_to_string(log).is_ok_and(|text| text.contains(r#""event":"phase-start","phase":"run""#))
            });
            if started {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the guest never got to the run phase");
    }

    fn assert_nothing_left(&self) {
        for program in ["qemu-system-x86_64", "vhost-blk"] {
            assert_eq!(self.processes(program), [], "{program} is left running");
        }
    }
}

fn find(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, name));
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
    found
}

fn chaos(what: &str) -> String {
    format!("{} {what}", Places::find().guest_bins.join("chaos").display())
}

fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs `chaos WHAT` as a user's program and returns the one cell.
fn run_chaos(what: &str) -> (i32, Cell) {
    let rig = Rig::new();
    let output = rig.test(&["--kernel", KERNEL, "--fs", "btrfs", "--exec", &chaos(what)]);
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    rig.assert_nothing_left();
    (output.status.code().expect("an exit code"), cells[0].clone())
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_dead_agent_is_broken() {
    let (code, cell) = run_chaos("kill-agent");
    assert_eq!(
        (code, cell.verdict, cell.cause),
        (2, Verdict::Broken, None),
        "{}",
        cell.detail
    );
    assert!(cell.detail.starts_with("guest:"), "{}", cell.detail);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_dead_init_is_broken_and_no_crash_of_the_kernel() {
    let (code, cell) = run_chaos("kill-init");
    assert_eq!(
        (code, cell.verdict, cell.cause),
        (2, Verdict::Broken, None),
        "{}",
        cell.detail
    );
    assert!(cell.detail.contains("pid 1"), "{}", cell.detail);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_guest_that_powers_off_midway_is_broken() {
    let (code, cell) = run_chaos("poweroff");
    assert_eq!((code, cell.verdict), (2, Verdict::Broken), "{}", cell.detail);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_oops_is_a_crash() {
    let (code, cell) = run_chaos("oops");
    assert_eq!(
        (code, cell.verdict, cell.cause),
        (1, Verdict::Fail, Some(Cause::Crash)),
        "{}",
        cell.detail
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn exit_codes_of_a_users_program() {
    let (code, cell) = run_chaos("exit 0");
    assert_eq!((code, cell.verdict), (0, Verdict::Pass), "{}", cell.detail);
    let (code, cell) = run_chaos("exit 77");
    assert_eq!((code, cell.verdict), (0, Verdict::Skipped), "{}", cell.detail);
    let (code, cell) = run_chaos("exit 3");
    assert_eq!(
        (code, cell.verdict, cell.cause),
        (1, Verdict::Fail, Some(Cause::Error)),
        "{}",
        cell.detail
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_killed_device_is_broken_and_the_next_run_is_clean() {
    let rig = Rig::new();
    let args = ["--kernel", KERNEL, "--fs", "btrfs", "--exec", &chaos("spin")];
    let child = rig.start(&args);
    rig.until_in_the_run_phase();
    kill(rig.until_running("vhost-blk"));
    let output = child.wait_with_output().expect("bioscope ends");
    let cells = rig.cells();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(cells[0].verdict, Verdict::Broken);
    assert!(cells[0].detail.starts_with("device:"), "{}", cells[0].detail);
    rig.assert_nothing_left();
    let output = rig.test(&["--kernel", KERNEL, "--fs", "btrfs", "--case", "rw-verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_killed_qemu_is_broken() {
    let rig = Rig::new();
    let child = rig.start(&["--kernel", KERNEL, "--fs", "btrfs", "--exec", &chaos("spin")]);
    rig.until_in_the_run_phase();
    kill(rig.until_running("qemu-system-x86_64"));
    let output = child.wait_with_output().expect("bioscope ends");
    let cells = rig.cells();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(cells[0].verdict, Verdict::Broken);
    assert!(cells[0].detail.starts_with("vm:"), "{}", cells[0].detail);
    rig.assert_nothing_left();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kernel_without_its_btrfs_module_is_broken() {
    let rig = Rig::new();
    // The store's own copy of the kernel, with its modules but btrfs.
    let output = rig.test(&["--kernel", KERNEL, "--fs", "btrfs", "--case", "rw-verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let run = harness::run::Run::load(&rig.dir.path().join("latest")).expect("the run");
    let artifact = &run.kernels[KERNEL];
    let modules = rig.dir.path().join("modules");
    let root = artifact.modules_root.as_ref().expect("modules");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root)
        .arg(&modules)
        .status()
        .expect("cp runs");
    assert!(copied.success());
    for module in find(&modules, "btrfs.ko") {
        std::fs::remove_file(module).expect("removed");
    }
    let image = artifact.bzimage.to_string_lossy().into_owned();
    let modules = modules.to_string_lossy().into_owned();
    let output = rig.test(&[
        "--image",
        &image,
        "--modules",
        &modules,
        "--fs",
        "btrfs",
        "--case",
        "partial-write",
    ]);
    let cells = rig.cells();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(cells[0].verdict, Verdict::Broken);
    assert!(cells[0].detail.contains("btrfs"), "{}", cells[0].detail);
    // And without any modules at all, where only the guest can find out.
    let output = rig.test(&["--image", &image, "--fs", "btrfs", "--case", "partial-write"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(rig.cells()[0].verdict, Verdict::Broken, "{}", rig.cells()[0].detail);
}
