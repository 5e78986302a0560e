//! Requests a second, side by side: our device as it is (also when it writes each place for the first time), with a
//! plan of 1,000 rules, with its trace on, with its disk in files, and qemu-storage-daemon's vhost-user-blk export, on
//! one image on tmpfs.
//!
//! All serve at once and are asked in turn, so that what else the machine does meets them all. What counts are the
//! ratios.
//!
//! ```text
//! cargo bench -p vhost-blk --bench requests -- [--rounds N] [--time-ms N] [--dir DIR] [--qsd PROGRAM] [--alone]
//! [--before PROGRAM] [--cold] [--load NAME]
//! ```

mod client;
#[path = "../../tests/common/clone.rs"]
mod clone;
mod contender;
mod warm;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use client::Load;
use contender::{Contender, plan_of};

const IMAGE_BYTES: u64 = 1 << 30;
/// What a device takes to keep so much, and some more.
const WARM_BYTES: usize = 1280 << 20;
const RULES: u64 = 1000;
/// More than a trace grows by.
const TRACE_BYTES_A_SECOND: f64 = 120e6;

const LOADS: [Load; 6] = [
    load("4k-randread-d1", false, 4096, 1, 1.5),
    load("4k-randread-d32", false, 4096, 32, 2.0),
    load("128k-randread-d8", false, 128 << 10, 8, 1.0),
    load("4k-randwrite-d1", true, 4096, 1, 1.5),
    load("4k-randwrite-d32", true, 4096, 32, 2.0),
    load("128k-randwrite-d8", true, 128 << 10, 8, 1.0),
];

/// What a device that has just started is asked. qemu-storage-daemon writes over its image, whose memory is there, and
/// to a new overlay, which leaves the image as it is, as our device does.
const FRESH: [(Load, Fresh); 3] = [
    (
        load("128k-first-write-d8", true, 128 << 10, 8, 1.0),
        Fresh::EachPlaceOnce,
    ),
    (load("4k-first-write-d32", true, 4096, 32, 1.0), Fresh::EachPlaceOnce),
    (
        load("128k-randwrite-d8-fresh", true, 128 << 10, 8, 1.0),
        Fresh::FirstSecond,
    ),
];

/// How a device that has just started is asked.
#[derive(Debug, Clone, Copy)]
enum Fresh {
    /// Every place of the disk written once. Who writes over his image finds its memory there, and cannot go back.
    EachPlaceOnce,
    /// For a second at random places, as a short run of fio.
    FirstSecond,
}

/// What the table calls qemu-storage-daemon with an overlay.
const OVERLAY: &str = "qsd, qcow2 overlay";

const fn load(name: &'static str, writes: bool, len_bytes: usize, depth: usize, goal: f64) -> Load {
    Load {
        name,
        writes,
        len_bytes,
        depth,
        goal,
    }
}

/// Compares the device's speed with qemu-storage-daemon's, and with its own under rules and trace.
#[derive(Debug, Parser)]
struct Args {
    /// How often each is asked
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each time
    #[arg(long, default_value_t = 300)]
    time_ms: u64,
    /// Where the image of 1 GiB goes; a tmpfs, so that no disk is measured
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// The other one
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-storage-daemon")]
    qsd: PathBuf,
    /// Only our device
    #[arg(long)]
    alone: bool,
    /// Another build of our device, to compare with
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// Leave it to chance whether free memory is this machine's or its host's, if it is a virtual one
    #[arg(long)]
    cold: bool,
    /// Only this load
    #[arg(long, value_name = "NAME")]
    load: Option<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match compare(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("requests: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let wanted = |load: &Load| args.load.as_deref().is_none_or(|name| name == load.name);
    let loads: Vec<Load> = LOADS.into_iter().filter(wanted).collect();
    let fresh: Vec<(Load, Fresh)> = FRESH.into_iter().filter(|(load, _)| wanted(load)).collect();
    if loads.is_empty() && fresh.is_empty() {
        let all = LOADS.iter().chain(FRESH.iter().map(|(load, _)| load));
        let names: Vec<&str> = all.map(|load| load.name).collect();
        return Err(format!("no such load: expected one of {}", names.join(", ")).into());
    }
    let dir = tempfile::tempdir_in(&args.dir)?;
    let image = dir.path().join("image");
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    fill(&image, IMAGE_BYTES as f64)?;
    for (load, how) in fresh {
        from_the_start(args, dir.path(), &image, load, how)?;
    }
    if loads.is_empty() {
        return Ok(());
    }
    let plan = dir.path().join("plan.toml");
    std::fs::write(&plan, plan_of(RULES))?;
    let trace = dir.path().join("trace");
    let contenders = contenders(args, dir.path(), &image, &plan, &trace)?;
    // The file that the trace goes to has its pages already, as a disk in use has: what is measured is what the device
    // takes to write it, and not what the machine takes to find memory.
    let seconds = Duration::from_millis(args.time_ms).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a handful of rounds")]
    let rounds = (args.rounds * loads.len()) as f64;
    fill(&trace, rounds * seconds * TRACE_BYTES_A_SECOND)?;
    let mut written = false;
    for load in loads {
        if load.writes && !written {
            // What is measured then is a disk in use.
            for contender in &contenders {
                client::run_over_all(&contender.socket, IMAGE_BYTES, FRESH[0].0)?;
            }
            written = true;
        }
        let mut speeds = vec![Vec::new(); contenders.len()];
        for round in 0..args.rounds {
            for index in order(round, contenders.len()) {
                let (contender, speeds) = (&contenders[index], &mut speeds[index]);
                let time = Duration::from_millis(args.time_ms);
                let speed = client::run(&contender.socket, IMAGE_BYTES, load, time)
                    .map_err(|error| format!("{}, {}: {error}", contender.name, load.name))?;
                speeds.push(speed);
            }
        }
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
        tell(load, &names, &speeds);
    }
    Ok(())
}

/// The order in which a round asks the contenders: each is first, last and beside each other one as often as can be. In
/// one order throughout, a build that was compared with itself was 10 % slower at a depth of 1, for it came after
/// qemu-storage-daemon each time.
fn order(round: usize, len: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.rotate_left(round / 2 % len.max(1));
    if !round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// Devices to compare, each started.
fn contenders(
    args: &Args,
    dir: &Path,
    image: &Path,
    plan: &Path,
    trace: &Path,
) -> Result<Vec<Contender>, Box<dyn Error>> {
    let ours = |name, more: &[&Path]| Contender::ours(name, dir, image, more);
    let mut contenders = vec![
        ours("vhost-blk", &[])?,
        ours("1,000 rules", &[Path::new("--plan"), plan])?,
        ours("trace", &[Path::new("--trace"), trace])?,
        ours(
            "storage file",
            &[
                Path::new("--storage"),
                Path::new("file"),
                Path::new("--storage-dir"),
                dir,
            ],
        )?,
    ];
    if let Some(before) = &args.before {
        contenders.push(Contender::build("before", before, dir, image, &[])?);
    }
    if !args.alone {
        contenders.push(other(args, dir, image)?);
    }
    Ok(contenders)
}

/// Measures devices that start anew for each round; but for the one over its image, which is always as it was.
fn from_the_start(args: &Args, dir: &Path, image: &Path, load: Load, how: Fresh) -> Result<(), Box<dyn Error>> {
    let other = (!args.alone).then(|| other(args, dir, image)).transpose()?;
    let mut names = vec!["vhost-blk"];
    names.extend(args.before.as_ref().map(|_| "before"));
    names.extend(other.as_ref().map(|other| other.name));
    if other.is_some() {
        match overlay(args, dir, image) {
            Ok(_) => names.push(OVERLAY),
            Err(error) => println!("without {OVERLAY}: {error}"),
        }
    }
    let mut speeds = vec![Vec::new(); names.len()];
    for round in 0..args.rounds {
        for index in order(round, names.len()) {
            let (name, speeds) = (names[index], &mut speeds[index]);
            if !args.cold {
                warm::warm(WARM_BYTES)?;
            }
            let fresh = match (name, &args.before) {
                ("vhost-blk", _) => Some(Contender::ours(name, dir, image, &[])?),
                (OVERLAY, _) => Some(overlay(args, dir, image)?),
                ("before", Some(before)) => Some(Contender::build(name, before, dir, image, &[])?),
                _ => None,
            };
            let contender = fresh.as_ref().or(other.as_ref()).ok_or("nobody to ask")?;
            let speed = match how {
                Fresh::EachPlaceOnce => client::run_over_all(&contender.socket, IMAGE_BYTES, load),
                Fresh::FirstSecond => client::run(&contender.socket, IMAGE_BYTES, load, Duration::from_secs(1)),
            };
            let speed = speed.map_err(|error| format!("{name}, {}: {error}", load.name))?;
            speeds.push(speed);
        }
    }
    tell(load, &names, &speeds);
    Ok(())
}

/// Puts something into every page of a file of so many bytes.
fn fill(path: &Path, bytes: f64) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    let piece = vec![0xA5; 1 << 20];
    let mut left = bytes;
    while left > 0.0 {
        file.write_all(&piece)?;
        left -= 1_048_576.0;
    }
    Ok(())
}

/// qemu-storage-daemon on a copy of the image, for it writes there; with io_uring where the kernel has it.
fn other(args: &Args, dir: &Path, image: &Path) -> Result<Contender, Box<dyn Error>> {
    let copy = dir.join("qsd-image");
    std::fs::copy(image, &copy)?;
    Contender::storage_daemon(&args.qsd, dir, &copy, "io_uring").or_else(|error| {
        println!("qemu-storage-daemon with threads in place of io_uring ({error})");
        Contender::storage_daemon(&args.qsd, dir, &copy, "threads")
    })
}

/// The same with a new overlay over the image.
fn overlay(args: &Args, dir: &Path, image: &Path) -> Result<Contender, Box<dyn Error>> {
    let start = |aio| Contender::overlay(OVERLAY, &args.qsd, dir, image, aio);
    start("io_uring").or_else(|_| start("threads"))
}

/// Prints what one load came to.
fn tell(load: Load, names: &[&str], speeds: &[Vec<f64>]) {
    println!("{}", load.name);
    let Some((first, rest)) = speeds.split_first() else {
        return;
    };
    println!("  {:<22} {:>9.0} IOPS", "vhost-blk", median(first));
    for (name, speeds) in names.iter().copied().skip(1).zip(rest) {
        // Each round's ratio by itself: what slows the machine down for a while slows both of a pair.
        let ratio = |(ours, other): (&f64, &f64)| match name {
            "qemu-storage-daemon" | OVERLAY | "before" => ours / other,
            _ => other / ours,
        };
        let ratios: Vec<f64> = first.iter().zip(speeds).map(ratio).collect();
        let (what, goal) = match name {
            "before" => ("vhost-blk is", 0.0),
            "qemu-storage-daemon" | OVERLAY => ("vhost-blk is", load.goal),
            "trace" => ("of it without", 0.8),
            // What is behind it decides; it is told, and asked nothing.
            "storage file" => ("of memory", 0.0),
            _ => ("of it without", 0.9),
        };
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let ratio = median(&ratios);
        let verdict = match goal {
            0.0 => String::new(),
            _ if ratio >= goal => format!(", goal {goal}×: reached"),
            _ => format!(", goal {goal}×: MISSED"),
        };
        println!(
            "  {:<22} {:>9.0} IOPS  {what} {ratio:.2}× ({least:.2}–{most:.2}){verdict}",
            name,
            median(speeds)
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
