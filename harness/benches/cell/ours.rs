//! A cell, through the same functions that the matrix uses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use guest_tests::wire::{Job, JobKind};
use harness::boot::{self, Boot, BootConfig};
use harness::golden::Fs;
use harness::job::{self, FaultPlan};
use harness::verdict::console;
use harness::verdict::evidence::Evidence;
use harness::verdict::{Verdict, judge};
use harness::vm::args::{Accel, DiskShape};
use harness::{initramfs, modules};

use crate::measure::{Measured, Whole, ms};
use crate::{Result, Setting};

/// One cell.
///
/// # Errors
/// Something of ours failed, or the cell did not pass: its time would mean nothing.
pub fn run(setting: &Setting) -> Result<Measured> {
    let whole = Whole::start();
    let dir = crate::scratch()?;
    // Both are part of every trial, and so of its time.
    let modules = modules::closure(&setting.kernel, &boot::modules_for(Fs::Btrfs))?;
    let initramfs_path = dir.path().join("initramfs.cpio");
    let entries = initramfs::spec(&setting.places.guest_bins.join("init"), &[program(setting)], &modules);
    initramfs::write(&initramfs_path, &entries)?;

    let started = Instant::now();
    let mut boot = Boot::start(&BootConfig {
        vhost_blk: &setting.places.vhost_blk,
        kernel: &setting.kernel.kernel,
        pvh: setting.kernel.is_elf(),
        initramfs: &initramfs_path,
        image: &setting.image,
        disk: DiskShape::ORDINARY,
        accel: Accel::Tcg,
        dir: dir.path(),
        scratch: dir.path(),
    })?;
    boot.until_ready(boot::BOOT_LIMIT)
        .map_err(|ending| format!("the guest did not get ready: {ending:?}"))?;
    let ready_ms = ms(started.elapsed());
    let job_started = Instant::now();
    let outcome = job::run(&mut boot, &job(), &FaultPlan::default(), Fs::Btrfs, dir.path());
    // The job's last event is the guest's word that all is unmounted; what the host does after it is no longer the machine's time.
    let host_after_ms = outcome
        .events
        .last()
        .map_or(0, |last| ms(job_started.elapsed()).saturating_sub(last.host_ms));
    let console = boot.console();
    boot.end();
    let off_ms = ms(started.elapsed()).saturating_sub(host_after_ms);

    let console = console::of_case(&console, CASE).unwrap_or(&console);
    let judgement = judge(&Evidence {
        needs: &[],
        exec: false,
        ending: outcome.ending.clone(),
        events: &outcome.events,
        trace: &outcome.trace,
        console,
        rules: &outcome.rules,
        fsck: outcome.fsck.as_ref(),
    });
    if judgement.verdict != Verdict::Pass {
        return Err(format!("our own cell did not pass, so its time means nothing: {judgement:?}").into());
    }
    Ok(whole.end(ready_ms, off_ms))
}

const CASE: &str = "rw-verify";

fn program(setting: &Setting) -> PathBuf {
    setting.places.guest_bins.join(CASE)
}

fn job() -> Job {
    Job {
        case: CASE.into(),
        fs: Fs::Btrfs.to_string(),
        device: "/dev/vda".into(),
        mount_options: Fs::Btrfs.mount_options().into(),
        program: format!("/bin/{CASE}"),
        kind: JobKind::Test {
            params: BTreeMap::from([("size".into(), "524288".into())]),
        },
    }
}
