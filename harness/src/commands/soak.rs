//! `cargo xtask soak`: fio with verification in a guest, on a disk with random faults.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guest_tests::soak::FIO;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use vhost_blk_api::plan::file::parse_in_plan;
use vhost_blk_api::plan::{Action, Plan};

use super::prepare;
use crate::cli::SoakArgs;
use crate::error::{Failure, INTERNAL, UNAVAILABLE, USAGE};
use crate::golden::Fs;
use crate::host::Places;
use crate::kernels::{Artifact, Kernel, Manifest, Options};
use crate::progress::{Progress, Step};
use crate::run::write_beside;
use crate::soak::machine::{Machine, Setup, Storage};
use crate::soak::round::{Bench, Round, seed_of};
use crate::soak::workload::DISK_BYTES;
use crate::soak::{Summary, evidence, libraries};
use crate::vm::args::Accel;
use crate::{initramfs, modules, scratch, tool};

/// Rounds on one machine, if nothing is found: each boot has a trace of its own, and a new one frees the old one's room.
const ROUNDS_A_BOOT: u64 = 10;
/// What the disk holds at first.
const FILL: u8 = 0x5a;
/// Findings of a round that are printed.
const PRINTED_MAX: usize = 5;
/// Something was found.
const FOUND: u8 = 1;
/// Nothing was, and it was interrupted: what a shell has for SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the command.
///
/// # Errors
/// The kernel or fio cannot be had, or nothing boots.
pub fn run(args: &SoakArgs) -> Result<u8, Failure> {
    let places = Places::find();
    let manifest_path = places.manifest(args.manifest.as_deref());
    let manifest = Manifest::load(&manifest_path).map_err(|error| Failure::of(error.exit_code(), &error))?;
    let kernel = one_kernel(&manifest, &args.kernel)?;
    check_rules(&args.rule)?;
    prepare::host_with(&["fio"], args.yes)?;
    let options = Options {
        offline: args.offline,
        ..Options::default()
    };
    let artifacts = prepare::kernels(&manifest_path, &[kernel], &options)?;
    let images = prepare::images(&[Fs::Btrfs].into())?;
    let accel = prepare::accel(args.accel, &places, &artifacts, &images)?;
    let artifact = artifacts
        .first()
        .ok_or_else(|| Failure::new(INTERNAL, "the kernel was not prepared"))?;
    let scratch = scratch::make().map_err(|error| Failure::cannot_create("a temporary directory", &error))?;
    let runs = places.runs();
    let dir = prepare::run_dir(&runs)?;
    let seed = args.seed.unwrap_or_else(new_seed);
    let mut soak = Soak {
        args,
        places: &places,
        artifact,
        accel,
        initramfs: pack(&places, artifact, scratch.path())?,
        image: image(scratch.path())?,
        sockets: scratch.path(),
        dir: &dir,
        seed,
        summary: Summary::new(&artifact.id, args.storage.word(), seed),
    };
    soak.run()
}

fn one_kernel<'a>(manifest: &'a Manifest, id: &str) -> Result<&'a Kernel, Failure> {
    let selected = manifest
        .select(&[id])
        .map_err(|error| Failure::of(error.exit_code(), &error))?;
    match selected.as_slice() {
        [kernel] => Ok(kernel),
        _ => Err(Failure::new(
            USAGE,
            format!("a soak boots one kernel; `{id}` matches {}", selected.len()),
        )),
    }
}

/// Says what is wrong with the rules before anything is started.
fn check_rules(texts: &[String]) -> Result<(), Failure> {
    let mut plan = Plan::default();
    for text in texts {
        let rule =
            parse_in_plan(text, &plan).map_err(|error| Failure::new(USAGE, format!("bad rule: {}", error.render())))?;
        let ends_it = matches!(rule.action, Action::Cut { .. } | Action::Disconnect);
        if ends_it && rule.trigger.limit.is_none() && rule.trigger.nth.is_none() {
            let message = format!(
                "bad rule: `{text}` has no end: the guest hands in once more what was never answered, and meets it again; give it limit=N or nth=N"
            );
            return Err(Failure::new(USAGE, message));
        }
        plan.rules.push(rule);
    }
    Ok(())
}

/// Becomes true when somebody interrupts this process or ends it; who does so twice means it.
fn interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Failure::of(INTERNAL, &error))?;
    }
    Ok(interrupted)
}

/// A seed that nobody used yet.
fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}

/// The initramfs: the guest's program, fio with its libraries, the disk's drivers.
fn pack(places: &Places, artifact: &Artifact, scratch: &Path) -> Result<PathBuf, Failure> {
    let fio = tool::find("fio")
        .ok_or_else(|| Failure::new(UNAVAILABLE, "a soak needs fio; install it with `apt-get install fio`"))?;
    let drivers = modules::closure(artifact, &["virtio_pci", "virtio_blk"])
        .map_err(|error| Failure::of(error.exit_code(), &error))?;
    let mut entries = initramfs::spec(&places.guest_bins.join("soak"), &[], &drivers);
    entries.extend(libraries::entries(&fio, FIO).map_err(|error| Failure::of(UNAVAILABLE, &error))?);
    let path = scratch.join("initramfs.cpio");
    initramfs::write(&path, &entries).map_err(|error| Failure::of(error.exit_code(), &error))?;
    Ok(path)
}

/// The disk's content at first.
fn image(scratch: &Path) -> Result<PathBuf, Failure> {
    let path = scratch.join("disk.raw");
    let bytes = vec![FILL; usize::try_from(DISK_BYTES).unwrap_or(0)];
    std::fs::write(&path, bytes).map_err(|error| Failure::cannot_create("the disk", &error))?;
    Ok(path)
}

struct Soak<'a> {
    args: &'a SoakArgs,
    places: &'a Places,
    artifact: &'a Artifact,
    accel: Accel,
    initramfs: PathBuf,
    image: PathBuf,
    sockets: &'a Path,
    dir: &'a Path,
    seed: u64,
    summary: Summary,
}

impl Soak<'_> {
    fn run(&mut self) -> Result<u8, Failure> {
        let progress = Progress::stderr();
        let (started, seconds) = (Instant::now(), self.args.minutes.get().saturating_mul(60));
        let end = started + Duration::from_secs(seconds);
        let first = self.args.first_round.get();
        let rounds = self.args.rounds.map_or(u64::MAX, std::num::NonZeroU64::get);
        progress.say(&format!("seed {}, evidence in {}", self.seed, self.dir.display()));
        let step = progress.seconds("booting", seconds);
        let interrupted = interrupted()?;
        let mut bench: Option<(Bench, PathBuf)> = None;
        let mut on_this = 0;
        for number in (first..).take(usize::try_from(rounds).unwrap_or(usize::MAX)) {
            let (mut at, dir) = match bench.take() {
                Some(bench) => bench,
                None => {
                    on_this = 0;
                    match self.boot() {
                        // A terminal interrupts QEMU and the device, too.
                        Err(_) if interrupted.load(Ordering::Relaxed) => break,
                        booted => booted?,
                    }
                }
            };
            let rules = (!self.args.rule.is_empty()).then_some(self.args.rule.as_slice());
            let round = at.round(number, seed_of(self.seed, number), rules);
            if interrupted.load(Ordering::Relaxed) {
                // Whatever it came to, it says nothing.
                break;
            }
            on_this += 1;
            self.summary.seconds = started.elapsed().as_secs();
            self.summary.add(&round);
            self.note(&round, &dir)?;
            self.show(&progress, &step, &round, &dir, started.elapsed());
            let last = Instant::now() >= end || number - first + 1 == rounds;
            let clean = round.findings.is_empty() && round.broke_off.is_none();
            if clean && on_this < ROUNDS_A_BOOT && !last {
                bench = Some((at, dir));
                continue;
            }
            drop(at);
            if clean && !self.args.keep {
                forget(&dir);
            }
            if last {
                break;
            }
        }
        drop(step);
        self.summary.seconds = started.elapsed().as_secs();
        self.write("soak.json", &json(&self.summary)?)?;
        prepare::point_latest(&self.places.runs(), self.dir)?;
        anstream::println!("{}", self.summary.table());
        anstream::println!("seed {}; evidence: {}", self.seed, self.dir.display());
        let was_interrupted = interrupted.load(Ordering::Relaxed);
        if was_interrupted {
            let next = first + self.summary.rounds;
            anstream::println!(
                "interrupted in round {next}, of which nothing is counted; --seed {} --first-round {next} goes on with it",
                self.seed
            );
        }
        Ok(match self.summary.is_clean() {
            false => FOUND,
            true if was_interrupted => INTERRUPTED,
            true => 0,
        })
    }

    fn boot(&mut self) -> Result<(Bench, PathBuf), Failure> {
        self.summary.boots += 1;
        let dir = self.dir.join(format!("boot-{}", self.summary.boots));
        std::fs::create_dir_all(&dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        let machine = Machine::boot(&Setup {
            vhost_blk: &self.places.vhost_blk,
            artifact: self.artifact,
            initramfs: &self.initramfs,
            image: &self.image,
            storage: self.args.storage,
            accel: self.accel,
            dir: &dir,
            sockets: self.sockets,
        });
        let machine = machine.map_err(|error| Failure::of(UNAVAILABLE, &error))?;
        let bench = Bench::new(machine).map_err(|error| Failure::of(INTERNAL, &error))?;
        Ok((bench, dir))
    }

    /// Writes a round down, and what was found beside its trace.
    fn note(&self, round: &Round, boot: &Path) -> Result<(), Failure> {
        let line = serde_json::to_string(round).map_err(|error| Failure::of(INTERNAL, &error))?;
        let path = self.dir.join("rounds.jsonl");
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
        if !round.findings.is_empty() || round.broke_off.is_some() {
            let json = json(round)?;
            let text = evidence::of(round, &boot.join("trace.jsonl"));
            for (ending, bytes) in [("json", json), ("txt", text.into_bytes())] {
                let path = boot.join(format!("round-{}.{ending}", round.number));
                let written = write_beside(&path, &bytes);
                written.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
            }
        }
        self.write("soak.json", &json(&self.summary)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.dir.join(name);
        write_beside(&path, bytes).map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))
    }

    /// The command that does a round again.
    fn again(&self, round: &Round) -> String {
        let rules: Vec<String> = self.args.rule.iter().map(|rule| format!(" --rule '{rule}'")).collect();
        let storage = match self.args.storage {
            Storage::Memory => "",
            Storage::File => " --storage file",
        };
        format!(
            "cargo xtask soak --kernel {} --seed {} --first-round {} --rounds 1{storage}{}",
            self.artifact.id,
            self.seed,
            round.number,
            rules.concat()
        )
    }

    fn show(&self, progress: &Progress, step: &Step, round: &Round, boot: &Path, elapsed: Duration) {
        let hits: u64 = round.rules.iter().map(|rule| rule.hits).sum();
        let explained: u64 = round.phases.values().flat_map(|tally| tally.explained.values()).sum();
        let sum = &self.summary;
        step.set(elapsed.as_secs());
        step.label(format!(
            "{} rounds, {} requests, {} blocks explained, {} findings",
            sum.rounds,
            sum.requests,
            sum.explained,
            sum.findings + sum.broke_off
        ));
        if progress.has_lines() {
            progress.say(&format!(
                "{:>5} s  round {}: {} rules, {hits} hits, {} requests, {explained} differing blocks explained, {} findings",
                elapsed.as_secs(),
                round.number,
                round.rules.len(),
                round.requests,
                round.findings.len()
            ));
        }
        for finding in round.findings.iter().take(PRINTED_MAX) {
            progress.say(&format!(
                "round {} (seed {}): {}",
                round.number, round.seed, finding.what
            ));
        }
        if round.findings.len() > PRINTED_MAX {
            progress.say(&format!("  and {} more", round.findings.len() - PRINTED_MAX));
        }
        if let Some(how) = &round.broke_off {
            progress.say(&format!(
                "round {} (seed {}) broke off: {how}",
                round.number, round.seed
            ));
        }
        if !round.findings.is_empty() || round.broke_off.is_some() {
            progress.say(&format!(
                "    evidence  {}/round-{}.txt\n    reproduce {}",
                boot.display(),
                round.number,
                self.again(round)
            ));
        }
    }
}

/// Removes the bulk of what a machine left of which nothing was found.
fn forget(boot: &Path) {
    for name in ["trace.jsonl", "guest.log"] {
        // What stays is only in the way.
        let _ = std::fs::remove_file(boot.join(name));
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::of(INTERNAL, &error))
}
