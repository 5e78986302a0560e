//! One cell against the same work in a plain QEMU and in virtme-ng, pairwise: every round does each of them once.
//!
//! `cargo bench -p harness --bench cell -- [--rounds N] [--kernel ID] [--vng PROGRAM] [--ladder]`
//!
//! **ours**: what a cell of the matrix does: device and QEMU are started, the guest goes on from a snapshot (taken
//! once, before the first round), `rw-verify` (512 KiB, btrfs) runs as a job, the machine is ended. **cold**: the same
//! with a machine that boots. **plain**: what a person types: `qemu-system-x86_64 -kernel bzImage -initrd …
//! -nographic`, with SeaBIOS and QEMU's default devices, a gzipped initramfs of busybox and the same modules, and the
//! script `work.sh`. **vng**: virtme-ng booting the same bzImage with its modules, and the same script.
//!
//! The same in all: kernel, modules for the disk and btrfs, one vCPU, 512 MiB, translation (TCG), a 512 MiB btrfs image
//! made by the same mkfs, and what is done to it: mount, remount, 512 KiB buffered and 512 KiB direct, both synced and
//! read back both ways, rename, shrink, grow, mount again, compare, umount.
//!
//! Not the same, to be known when the figures are read:
//! - Our disk is `vhost-blk` over a copy-on-write overlay and writes a trace; theirs is QEMU's own virtio-blk on a copy
//!   of the image.
//! - Our guest also looks at extents and at leaked space after the run, and reports every step to the host.
//! - Our machine is killed once the agent says that all is unmounted; theirs power off, as their users would have them
//!   do.
//! - `vng` serves the host's root over virtiofs or 9p; that is what it is for.
//!
//! Three figures each, from the start of the first process. **ready**: user space is up and the modules are loaded.
//! **off**: the work is done and the machine is gone; this is the figure that the goal (at most half) is about.
//! **cell**: also all that comes before and after on the host: packing the initramfs, copying the image where one must,
//! `btrfs check`. **cpu** is user and system time of all processes of it together; on a machine that does other things
//! it says more than the clock.
//!
//! virtme-ng is a Python package, not needed for anything else: `python3 -m venv DIR && DIR/bin/pip install virtme-ng`,
//! then `--vng DIR/bin/vng`. Debian's cloud kernels have no 9p, so it needs the Rust virtiofsd in `PATH` (`cargo
//! install virtiofsd`).
//!
//! `--ladder` goes from plain to ours one change at a time instead and prints what each step saves.

mod ladder;
mod measure;
mod ours;
mod plain;
mod stats;
mod vng;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use exit::{Exit, Failure};
use guest_wire::Fs;
use host::cache::Cache;
use host::doctor;
use host::places::Places;
use host::progress::Progress;
use kernels::modules;
use kernels::{self, Artifact, Manifest};
use machine::snapshot::SnapshotConfig;
use machine::{golden, initramfs};
use run::programs::programs;
use verdict::results::Begun;

use crate::measure::Measured;

/// What every contender is given.
pub struct Setting {
    /// The kernel that every guest boots, from the store.
    pub kernel: Artifact,
    /// Its modules in load order.
    pub modules: Vec<PathBuf>,
    /// The golden image of btrfs; never written.
    pub image: PathBuf,
    /// Our own binaries.
    pub places: Places,
    /// How snapshots of booted guests are used.
    pub snapshots: SnapshotConfig,
}

/// A benchmark's result, or why there is none.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(about = "One cell against the same work in a plain QEMU and in virtme-ng")]
struct Options {
    /// Rounds; each does every contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Kernel id of kernels.toml.
    #[arg(long, default_value = "debian-6.1.192")]
    kernel: String,
    /// virtme-ng's program, as a name in PATH or a path.
    #[arg(long, default_value = "vng")]
    vng: String,
    /// Go from plain to ours one change at a time.
    #[arg(long)]
    ladder: bool,
    /// cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", Failure::foreign(Exit::Internal, &*error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let setting = Setting::new(&options.kernel)?;
    println!(
        "kernel {} ({}), btrfs, 1 vCPU, 512 MiB, tcg",
        setting.kernel.id, setting.kernel.release
    );
    if options.ladder {
        return ladder::run(&setting, options.rounds);
    }
    let vng = vng::find(&options.vng);
    if vng.is_none() {
        println!(
            "vng: skipped, no program `{}`; see the head of this benchmark for how to install it, then --vng",
            options.vng
        );
    }
    let mut rows: Vec<(&str, Vec<Measured>)> = vec![("ours", Vec::new()), ("cold", Vec::new()), ("plain", Vec::new())];
    if vng.is_some() {
        rows.push(("vng", Vec::new()));
    }
    let first = ours::run(&setting, Begun::Restored)?;
    println!("a cell that has to take the snapshot first, or finds it: {first}");
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        // Turn about, so that none always has the page cache that another one warmed.
        for turn in 0..rows.len() {
            let at = (round + turn) % rows.len();
            let Some((name, row)) = rows.get_mut(at) else { continue };
            let measured = match (*name, &vng) {
                ("ours", _) => ours::run(&setting, Begun::Restored)?,
                ("cold", _) => ours::run(&setting, Begun::Booted)?,
                ("plain", _) => plain::run(&setting)?,
                (_, Some(vng)) => match vng::run(&setting, vng) {
                    Ok(measured) => measured,
                    Err(error) => {
                        println!("  vng    skipped: {error}");
                        continue;
                    }
                },
                (_, None) => continue,
            };
            println!("  {name:<6} {measured}");
            row.push(measured);
        }
    }
    stats::print(&rows);
    Ok(())
}

impl Setting {
    /// Gets everything ready; the kernel is downloaded if the cache does not have it.
    fn new(id: &str) -> Result<Setting> {
        let places = Places::find();
        for (what, path) in [
            ("vhost-blk", &places.vhost_blk),
            ("the guest's init", &places.guest_bins.join("init")),
        ] {
            if !path.is_file() {
                return Err(format!(
                    "{what} is not built ({}); run `cargo xtask test --kernel {id}` once",
                    path.display()
                )
                .into());
            }
        }
        let manifest_path = places.root.join("kernels.toml");
        let manifest = Manifest::load(&manifest_path)?;
        let selected = manifest.select(&[id])?;
        let cache = Cache::of_user()?;
        let options = kernels::Options {
            locked: true,
            ..kernels::Options::default()
        };
        let lock = manifest_path.with_extension("lock");
        let artifacts = kernels::prepare(&selected, &lock, &cache, &options, &Progress::stderr())?;
        let [kernel] = <[Artifact; 1]>::try_from(artifacts)
            .map_err(|_| format!("{id} names several kernels; the benchmark takes one"))?;
        let modules = modules::closure(&kernel, &initramfs::modules_for(Fs::Btrfs))?;
        let image = golden::image(Fs::Btrfs, &cache)?;
        let snapshots = SnapshotConfig::new(
            places.runs().join("snapshots"),
            &places.guest_bins,
            &programs(&places.guest_bins, None),
            &doctor::qemu_version().unwrap_or_default(),
        )?;
        Ok(Setting {
            snapshots,
            kernel,
            modules,
            image,
            places,
        })
    }
}

/// A directory that goes away with its contents.
fn scratch() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("bioscope-bench-").tempdir()?)
}

/// A copy of the golden image that a guest may write to, as sparse as the original.
fn copy_of(image: &Path, dir: &Path) -> Result<PathBuf> {
    let copy = dir.join("disk.raw");
    let mut command = host::tool::command("cp", "coreutils")?;
    command
        .args(["--sparse=always", "--reflink=auto"])
        .arg(image)
        .arg(&copy);
    host::tool::run_ok(&mut command, measure::DEADLINE)?;
    Ok(copy)
}
