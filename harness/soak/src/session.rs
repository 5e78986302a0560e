//! A soak from its first boot to its table.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exit::{Exit, Failure};
use guest_wire::soak::FIO;
use host::atomic;
use host::places::Places;
use host::progress::{Progress, Step};
use host::tool;
use kernels::{Artifact, modules};
use machine::{Accel, Launch, MachineSpec, Storage, initramfs};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use vhost_blk_api::plan::file::parse_in_plan;
use vhost_blk_api::plan::{Action, Plan};

use crate::guest::FioGuest;
use crate::round::{Bench, Round, seed_of};
use crate::summary::Summary;
use crate::workload::DISK_BYTES;
use crate::{evidence, libraries};

/// Rounds on one machine, if nothing is found: each boot has a trace of its own, and a new one frees the old one's
/// room.
const ROUNDS_A_BOOT: u64 = 10;
/// What the disk holds at first.
const FILL: u8 = 0x5a;
/// Findings of a round that are printed.
const PRINTED_MAX: usize = 5;

/// Says what is wrong with the rules before anything is started.
///
/// # Errors
/// One does not parse, or ends its round over and over.
pub fn check_rules(texts: &[String]) -> Result<(), Failure> {
    let mut plan = Plan::default();
    for text in texts {
        let rule = parse_in_plan(text, &plan)
            .map_err(|error| Failure::new(Exit::Usage, format!("bad rule: {}", error.render())))?;
        let ends_it = matches!(rule.action, Action::Cut { .. } | Action::Disconnect);
        if ends_it && rule.trigger.limit.is_none() && rule.trigger.nth.is_none() {
            let message = format!(
                "bad rule: `{text}` has no end: the guest hands in once more what was never answered, and meets it \
                again; give it limit=N or nth=N"
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        plan.rules.push(rule);
    }
    Ok(())
}

/// Becomes true when somebody interrupts this process or ends it; who does so twice means it.
fn interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, Exit::Interrupted.code().into(), Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Failure::foreign(Exit::Internal, &error))?;
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
    let fio = tool::find("fio").ok_or_else(|| {
        Failure::new(
            Exit::Unavailable,
            "a soak needs fio; install it with `apt-get install fio`",
        )
    })?;
    let drivers = modules::closure(artifact, &["virtio_pci", "virtio_blk"])?;
    let mut entries = initramfs::spec(&places.guest_bins.join("soak"), &[], &drivers);
    entries.extend(libraries::entries(&fio, FIO)?);
    let path = scratch.join("initramfs.cpio");
    initramfs::write(&path, &entries)?;
    Ok(path)
}

/// The disk's content at first.
fn image(scratch: &Path) -> Result<PathBuf, Failure> {
    let path = scratch.join("disk.raw");
    let bytes = vec![FILL; usize::try_from(DISK_BYTES).unwrap_or(0)];
    std::fs::write(&path, bytes).map_err(|error| Failure::cannot_create("the disk", &error))?;
    Ok(path)
}

/// A soak as it was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How long, in minutes; the round that runs then is the last.
    pub minutes: u64,
    /// At most so many rounds.
    pub rounds: Option<u64>,
    /// The first round of the seed's.
    pub first_round: u64,
    /// Seed of all rounds; a new one if none is given.
    pub seed: Option<u64>,
    /// Rules in force in every round, instead of random ones.
    pub rules: Vec<String>,
    /// Where the device keeps what the guest writes.
    pub storage: Storage,
    /// Whether traces of machines of which nothing was found are kept.
    pub keep: bool,
}

/// Soaks a kernel: rounds in `dir`, sockets and the guest's files in `scratch`. The exit code says what was found.
///
/// # Errors
/// fio cannot be had, nothing boots, or nothing can be written.
pub fn run(
    request: &Request,
    places: &Places,
    artifact: &Artifact,
    accel: Accel,
    dir: &Path,
    scratch: &Path,
) -> Result<Exit, Failure> {
    let seed = request.seed.unwrap_or_else(new_seed);
    let mut soak = Soak {
        request,
        places,
        artifact,
        accel,
        initramfs: pack(places, artifact, scratch)?,
        image: image(scratch)?,
        sockets: scratch,
        dir,
        seed,
        summary: Summary::new(&artifact.id, request.storage.word(), seed),
    };
    soak.run()
}

struct Soak<'a> {
    request: &'a Request,
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
    fn run(&mut self) -> Result<Exit, Failure> {
        let progress = Progress::stderr();
        let (started, seconds) = (Instant::now(), self.request.minutes.saturating_mul(60));
        let end = started + Duration::from_secs(seconds);
        let first = self.request.first_round;
        let rounds = self.request.rounds.unwrap_or(u64::MAX);
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
            let rules = (!self.request.rules.is_empty()).then_some(self.request.rules.as_slice());
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
            if clean && !self.request.keep {
                forget(&dir);
            }
            if last {
                break;
            }
        }
        drop(step);
        self.summary.seconds = started.elapsed().as_secs();
        self.write("soak.json", &json(&self.summary)?)?;
        host::out!("{}", self.summary.table());
        host::out!("seed {}; evidence: {}", self.seed, self.dir.display());
        let was_interrupted = interrupted.load(Ordering::Relaxed);
        if was_interrupted {
            let next = first + self.summary.rounds;
            host::out!(
                "interrupted in round {next}, of which nothing is counted; --seed {} --first-round {next} goes on \
                with it",
                self.seed
            );
        }
        Ok(match self.summary.is_clean() {
            false => Exit::Unexpected,
            true if was_interrupted => Exit::Interrupted,
            true => Exit::Success,
        })
    }

    fn boot(&mut self) -> Result<(Bench, PathBuf), Failure> {
        self.summary.boots += 1;
        let dir = self.dir.join(format!("boot-{}", self.summary.boots));
        std::fs::create_dir_all(&dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        let spec = MachineSpec::for_soak(
            self.accel,
            self.artifact,
            self.initramfs.clone(),
            self.image.clone(),
            self.request.storage,
        );
        let launch = Launch::new(&self.places.vhost_blk, &dir, self.sockets);
        let guest = FioGuest::boot(spec, launch)?;
        let bench = Bench::new(guest)?;
        Ok((bench, dir))
    }

    /// Writes a round down, and what was found beside its trace.
    fn note(&self, round: &Round, boot: &Path) -> Result<(), Failure> {
        let line = serde_json::to_string(round).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
        let path = self.dir.join("rounds.jsonl");
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
        if !round.findings.is_empty() || round.broke_off.is_some() {
            let json = json(round)?;
            let text = evidence::of(round, &boot.join("trace.jsonl"));
            for (ending, bytes) in [("json", json), ("txt", text.into_bytes())] {
                let path = boot.join(format!("round-{}.{ending}", round.number));
                let written = atomic::write(&path, &bytes);
                written.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
            }
        }
        self.write("soak.json", &json(&self.summary)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.dir.join(name);
        atomic::write(&path, bytes).map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))
    }

    /// The command that does a round again.
    fn again(&self, round: &Round) -> String {
        let rules: Vec<String> = self
            .request
            .rules
            .iter()
            .map(|rule| format!(" --rule '{rule}'"))
            .collect();
        let storage = match self.request.storage {
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
                "{:>5} s  round {}: {} rules, {hits} hits, {} requests, {explained} differing blocks explained, {} \
                findings",
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
    for name in ["trace.jsonl", "agent.log"] {
        // What stays is only in the way.
        let _ = std::fs::remove_file(boot.join(name));
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::foreign(Exit::Internal, &error))
}
