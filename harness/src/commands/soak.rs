//! `cargo xtask soak`: fio with verification in a guest, on a disk with random faults.

use std::num::NonZeroU64;

use ::soak::session::{self, Request};
use clap::{Args, ValueEnum};
use exit::{Exit, Failure};
use guest_wire::Fs;
use host::places::Places;
use host::scratch;
use kernels::{Kernel, Manifest, Options};
use machine::Storage;
use run::prepare;

use crate::flags::{AccelArgs, HostArgs, ManifestArgs, positive};

/// `cargo xtask soak`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask soak --minutes 60\n  cargo xtask soak --seed 7 --first-round 12 --rounds \
        1\n  \
    cargo xtask soak --rounds 3 --rule 'corrupt write flip=1bit limit=5' --rule 'delay any for=1ms..5ms'"
)]
pub(crate) struct SoakArgs {
    /// The kernel to boot, by id.
    #[arg(long, value_name = "ID", default_value = "debian-6.1.192")]
    pub(crate) kernel: String,
    /// How long; the round that runs then is the last.
    #[arg(long, value_name = "N", default_value = "10", value_parser = positive)]
    pub(crate) minutes: NonZeroU64,
    /// At most so many rounds.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) rounds: Option<NonZeroU64>,
    /// Begin with this round of the seed's.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub(crate) first_round: NonZeroU64,
    /// Seed of all rounds [default: another one each time; it is printed].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Put this rule in force in every round instead of random ones; may be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Vec<String>,
    /// Where the device keeps what the guest writes.
    #[arg(long, value_enum, default_value_t = StorageWord::Memory)]
    pub(crate) storage: StorageWord,
    /// Keep the traces of machines of which nothing was found, too.
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) accel: AccelArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

/// Runs the command.
///
/// # Errors
/// The kernel or fio cannot be had, or nothing boots.
pub(crate) fn run(args: &SoakArgs) -> Result<Exit, Failure> {
    let places = Places::find();
    let manifest_path = places.manifest(args.manifest.manifest.as_deref());
    let manifest = Manifest::load(&manifest_path)?;
    let kernel = one_kernel(&manifest, &args.kernel)?;
    session::check_rules(&args.rule)?;
    prepare::host_with(&["fio"], args.host.install.yes)?;
    prepare::kernel_tools(&[kernel], args.host.install.yes)?;
    let options = Options {
        offline: args.host.offline,
        ..Options::default()
    };
    let artifacts = prepare::kernels(&manifest_path, &[kernel], &options)?;
    let images = prepare::images(&[Fs::Btrfs].into())?;
    let accel = prepare::accel(args.accel.into(), &places, &artifacts, &images)?;
    let artifact = artifacts
        .first()
        .ok_or_else(|| Failure::new(Exit::Internal, "the kernel was not prepared"))?;
    let scratch = scratch::make().map_err(|error| Failure::cannot_create("a temporary directory", &error))?;
    let runs = places.runs();
    let dir = prepare::run_dir(&runs)?;
    let code = session::run(&args.into(), &places, artifact, accel, &dir, scratch.path())?;
    prepare::point_latest(&runs, &dir)?;
    Ok(code)
}

impl From<&SoakArgs> for Request {
    fn from(args: &SoakArgs) -> Request {
        Request {
            minutes: args.minutes.get(),
            rounds: args.rounds.map(NonZeroU64::get),
            first_round: args.first_round.get(),
            seed: args.seed,
            rules: args.rule.clone(),
            storage: args.storage.into(),
            keep: args.keep,
        }
    }
}

/// Words of `--storage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StorageWord {
    /// In memory.
    Memory,
    /// In a file without a name, by io_uring.
    File,
}

impl From<StorageWord> for Storage {
    fn from(word: StorageWord) -> Storage {
        match word {
            StorageWord::Memory => Storage::Memory,
            StorageWord::File => Storage::File,
        }
    }
}

fn one_kernel<'a>(manifest: &'a Manifest, id: &str) -> Result<&'a Kernel, Failure> {
    let selected = manifest.select(&[id])?;
    match selected.as_slice() {
        [kernel] => Ok(kernel),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("a soak boots one kernel; `{id}` matches {}", selected.len()),
        )),
    }
}
