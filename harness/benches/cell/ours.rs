//! A cell, through the same functions that the matrix uses.

use std::time::Instant;

use evidence::context::{CellContext, KernelIdentity};
use evidence::judge;
use guest_wire::Fs;
use guest_wire::params::{Pages, Parameters, RwVerify, TestParams};
use guest_wire::{Event, Job, JobKind};
use machine::golden;
use machine::provision::{self, MachineRequest};
use machine::{Accel, DiskShape};
use run::job::{self, ConsolePlace, JobRequest};
use run::programs::programs;
use verdict::Verdict;
use verdict::results::Begun;

use crate::measure::{Measured, Whole, ms};
use crate::{Result, Setting};

/// One cell on a machine that boots, or that goes on from a snapshot.
///
/// # Errors
/// Something of ours failed, or the cell did not pass: its time would mean nothing.
pub fn run(setting: &Setting, begun: Begun) -> Result<Measured> {
    let whole = Whole::start();
    let dir = crate::scratch()?;
    let started = Instant::now();
    let provided = provision::machine(&MachineRequest {
        vhost_blk: &setting.places.vhost_blk,
        guest_bins: &setting.places.guest_bins,
        accel: Accel::Tcg,
        snapshots: (begun == Begun::Restored).then_some(&setting.snapshots),
        programs: &programs(&setting.places.guest_bins, None),
        suffix: "",
        kernel: &setting.kernel,
        fs: Fs::Btrfs,
        image: &setting.image,
        disk: DiskShape::ORDINARY,
        program: &setting.places.guest_bins.join(CASE),
        options: "",
        dir: dir.path(),
        scratch: dir.path(),
    })
    .map_err(|none| format!("the guest did not get ready: {:?}", none.outage))?;
    let mut machine = provided.machine;
    if provided.restored != (begun == Begun::Restored) {
        return Err("the guest could not be restored from a snapshot, so there is nothing to compare".into());
    }
    let ready_ms = ms(started.elapsed());
    let job_started = Instant::now();
    let job = job();
    let request = JobRequest {
        job: &job,
        needs: &[],
        context: CellContext::new(KernelIdentity::default(), Fs::Btrfs, CASE),
        limit: run::CASE_LIMIT,
        dir: dir.path(),
    };
    let (evidence, _) = job::run(&mut machine, request, &mut ConsolePlace::of_boot());
    // The end of the job's last phase is the guest's word that all is unmounted; what the host does after it is no
    // longer the machine's time.
    let host_after_ms = evidence
        .events
        .iter()
        .rfind(|timed| matches!(timed.event, Event::PhaseEnd { .. }))
        .map_or(0, |last| ms(job_started.elapsed()).saturating_sub(last.host_ms));
    machine.end();
    let off_ms = ms(started.elapsed()).saturating_sub(host_after_ms);

    let judgement = judge(&evidence);
    if judgement.verdict != Verdict::Pass {
        return Err(format!("our own cell did not pass, so its time means nothing: {judgement:?}").into());
    }
    Ok(whole.end(ready_ms, off_ms))
}

const CASE: &str = "rw-verify";

fn job() -> Job {
    Job {
        case: CASE.into(),
        fs: Fs::Btrfs,
        device: "/dev/vda".into(),
        mount_options: golden::mount_options(Fs::Btrfs).into(),
        program: format!("/bin/{CASE}"),
        kind: JobKind::Test {
            params: TestParams::RwVerify(RwVerify {
                size: Pages::kib(512),
                ..RwVerify::PLAIN
            }),
        },
    }
}
