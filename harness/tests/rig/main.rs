//! The rig under attack, with real VMs: whatever dies, the cell is broken and never a pass, and nothing is left
//! running.
//!
//! These boot machines and are left out of a plain `cargo test`; `cargo xtask selftest` runs them.

#![allow(clippy::expect_used, reason = "a panic in a test's helper is the test's failure")]

mod actions;
mod bed;
mod bisect;
mod clocks;
#[path = "../common/clone.rs"]
mod clone;
mod commands;
mod device;
mod endings;
mod ends;
mod exec;
mod guest;
mod hangs;
mod pauses;
mod resize;
mod snapshots;
mod soak;
mod stops;
mod witness;

use std::process::Command;

use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, find, kill, text};

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
        (code, cell.verdict().word(), cell.verdict().cause()),
        (2, "broken", None),
        "{}",
        cell.detail()
    );
    assert!(cell.detail().starts_with("guest:"), "{}", cell.detail());
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_dead_init_is_broken_and_no_crash_of_the_kernel() {
    let (code, cell) = run_chaos("kill-init");
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (2, "broken", None),
        "{}",
        cell.detail()
    );
    assert!(cell.detail().contains("pid 1"), "{}", cell.detail());
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_guest_that_powers_off_midway_is_broken() {
    let (code, cell) = run_chaos("poweroff");
    assert_eq!((code, cell.verdict().word()), (2, "broken"), "{}", cell.detail());
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_oops_is_a_crash() {
    let (code, cell) = run_chaos("oops");
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (1, "fail", Some(Cause::Crash)),
        "{}",
        cell.detail()
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn exit_codes_of_a_users_program() {
    let (code, cell) = run_chaos("exit 0");
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
    let (code, cell) = run_chaos("exit 77");
    assert_eq!((code, cell.verdict().word()), (0, "skipped"), "{}", cell.detail());
    let (code, cell) = run_chaos("exit 3");
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (1, "fail", Some(Cause::Error)),
        "{}",
        cell.detail()
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
    assert_eq!(cells[0].verdict().word(), "broken");
    assert!(cells[0].detail().starts_with("device:"), "{}", cells[0].detail());
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
    assert_eq!(cells[0].verdict().word(), "broken");
    assert!(cells[0].detail().starts_with("vm:"), "{}", cells[0].detail());
    rig.assert_nothing_left();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kernel_without_its_btrfs_module_is_broken() {
    let rig = Rig::new();
    // The store's own copy of the kernel, with its modules but btrfs.
    let output = rig.test(&["--kernel", KERNEL, "--fs", "btrfs", "--case", "rw-verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let run = run::Run::load(&rig.dir.path().join("latest")).expect("the run");
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
    assert_eq!(cells[0].verdict().word(), "broken");
    assert!(cells[0].detail().contains("btrfs"), "{}", cells[0].detail());
    // And without any modules at all, which is told before anything boots: its driver of the disk is one.
    let output = rig.test(&["--image", &image, "--fs", "btrfs", "--case", "partial-write"]);
    assert_eq!(output.status.code(), Some(66), "{}", text(&output));
    assert!(
        text(&output).contains("name the directory of its modules with `--modules`"),
        "{}",
        text(&output)
    );
}
