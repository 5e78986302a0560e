//! From plain to ours, one change at a time: what each of them saves.
//!
//! All steps but the last do the work of the plain boot (busybox and its script), so that only the machine differs; the
//! last one is our cell. Every round climbs the whole ladder once, and a step is compared with the one below it in the
//! same round.

use std::ffi::OsString;
use std::path::Path;

use machine::{MEMORY_MIB, test_command_line};
use verdict::results::Begun;

use crate::measure::{self, Measured, Whole};
use crate::stats::{median, ms, spread};
use crate::{Result, Setting, ours, plain};

/// What a step changes; each keeps all changes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Plain,
    NoDefaults,
    Pvh,
    Qboot,
    Uncompressed,
    Cmdline,
    Cpu,
    Ours,
    Snapshot,
}

const STEPS: [(Step, &str); 9] = [
    (Step::Plain, "plain"),
    (Step::NoDefaults, "-nodefaults: no NIC, no option ROMs, no VGA"),
    (Step::Pvh, "uncompressed ELF through PVH instead of bzImage"),
    (Step::Qboot, "qboot instead of SeaBIOS"),
    (Step::Uncompressed, "initramfs not compressed"),
    (Step::Cmdline, "our kernel command line"),
    (Step::Cpu, "a CPU with crc32 (SSE4.2)"),
    (Step::Ours, "our cell: init and test in Rust, vhost-blk, no power-off"),
    (Step::Snapshot, "going on from a snapshot of the booted guest"),
];

/// Climbs the ladder `rounds` times and prints what each step saves.
///
/// # Errors
/// A step failed.
pub fn run(setting: &Setting, rounds: usize) -> Result<()> {
    let mut rows: Vec<Vec<Measured>> = vec![Vec::new(); STEPS.len()];
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for ((step, name), row) in STEPS.iter().zip(&mut rows) {
            let measured = one(setting, *step)?;
            println!("  {measured}   {name}");
            row.push(measured);
        }
    }
    println!("\nmedian off and cpu in ms; saved by the step, pairwise: min, median, max of off; median of cpu");
    for (at, (_, name)) in STEPS.iter().enumerate() {
        let Some(row) = rows.get(at) else { continue };
        let off = median(row.iter().map(|measured| ms(measured.off_ms)));
        let cpu = median(row.iter().map(|measured| ms(measured.cpu_ms)));
        let below = at.checked_sub(1).and_then(|below| rows.get(below));
        let saved = |of: fn(&Measured) -> u64| -> Vec<f64> {
            below.map_or_else(Vec::new, |below| {
                below
                    .iter()
                    .zip(row)
                    .map(|(before, now)| ms(of(before)) - ms(of(now)))
                    .collect()
            })
        };
        let (off_saved, cpu_saved) = (saved(|measured| measured.off_ms), saved(|measured| measured.cpu_ms));
        let saved = if off_saved.is_empty() {
            " ".repeat(35)
        } else {
            format!("{} {:>8.0}", spread(&off_saved, 0), median(cpu_saved.into_iter()))
        };
        println!("  {off:>6.0} {cpu:>6.0}  {saved}  {name}");
    }
    Ok(())
}

fn one(setting: &Setting, step: Step) -> Result<Measured> {
    match step {
        Step::Plain => plain::run(setting),
        Step::Ours => ours::run(setting, Begun::Booted),
        Step::Snapshot => ours::run(setting, Begun::Restored),
        _ => {
            let whole = Whole::start();
            let dir = crate::scratch()?;
            let disk = crate::copy_of(&setting.image, dir.path())?;
            let initramfs = plain::pack(setting, dir.path(), step < Step::Uncompressed)?;
            let (ready_ms, off_ms) = measure::machine(&mut plain::qemu(&arguments(setting, step, &initramfs, &disk)))?;
            plain::check(&disk)?;
            Ok(whole.end(ready_ms, off_ms))
        }
    }
}

/// QEMU's arguments of a step between plain and ours.
fn arguments(setting: &Setting, step: Step, initramfs: &Path, disk: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-monitor",
        "none",
    ]
    .map(OsString::from)
    .to_vec();
    args.extend(
        [
            "-serial",
            "stdio",
            "-M",
            "pc,usb=off,vmport=off",
            "-smp",
            "1",
            "-accel",
            "tcg,thread=multi",
        ]
        .map(OsString::from),
    );
    args.extend([
        "-m".into(),
        MEMORY_MIB.to_string().into(),
        "-drive".into(),
        plain::drive(disk),
    ]);
    let kernel = if step >= Step::Pvh {
        &setting.kernel.kernel
    } else {
        &setting.kernel.bzimage
    };
    args.extend(["-kernel".into(), kernel.into(), "-initrd".into(), initramfs.into()]);
    if step >= Step::Qboot {
        args.extend(["-bios", "qboot.rom"].map(OsString::from));
    }
    if step >= Step::Cpu {
        args.extend(["-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2"].map(OsString::from));
    }
    let cmdline = if step >= Step::Cmdline {
        test_command_line()
    } else {
        "console=ttyS0 panic=-1".into()
    };
    args.extend(["-append".into(), cmdline.into()]);
    args
}
