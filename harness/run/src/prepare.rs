//! What several commands need before they can do their work: the host's tools, kernels, images, an accelerator, a place
//! for results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Exec, programs};
use evidence::context::Tools;
use exit::{Exit, Failure};
use guest_wire::Fs;
use host::cache::Cache;
use host::doctor;
use host::places::Places;
use host::progress::Progress;
use host::scratch;
use host::tool::ToolError;
use kernels::{Artifact, Kernel, Options, Source};
use machine::Accel;
use machine::accel::{self, Choice, Probe};
use machine::golden;
use machine::snapshot::SnapshotConfig;

/// Path of the lock: the manifest's with `lock` for its extension.
#[must_use]
pub fn lock_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// The user's cache.
///
/// # Errors
/// Nothing says where it is.
pub fn cache() -> Result<Cache, Failure> {
    Cache::of_user().map_err(Failure::from)
}

/// Makes sure that the host has what a run needs; installs what is missing after asking, or with `yes`.
///
/// # Errors
/// Something is missing and was not installed.
pub fn host(yes: bool) -> Result<(), Failure> {
    host_with(&[], yes)
}

/// As [`host()`], with these programs, which not every command needs.
///
/// # Errors
/// Something is missing and was not installed.
pub fn host_with(programs: &[&str], yes: bool) -> Result<(), Failure> {
    scratch::sweep();
    doctor::ensure_with(programs, yes).map_err(Failure::from)
}

/// Gets the kernels ready to boot.
///
/// # Errors
/// One of them cannot be had.
pub fn kernels(manifest: &Path, kernels: &[&Kernel], options: &Options) -> Result<Vec<Artifact>, Failure> {
    kernels::prepare(kernels, &lock_of(manifest), &cache()?, options, &Progress::stderr()).map_err(Failure::from)
}

/// The golden image of each file system.
///
/// # Errors
/// mkfs fails or the cache cannot be written.
pub fn images(wanted: &BTreeSet<Fs>) -> Result<BTreeMap<Fs, PathBuf>, Failure> {
    let cache = cache()?;
    let image = |fs: &Fs| golden::image(*fs, &cache).map(|path| (*fs, path));
    wanted
        .iter()
        .map(image)
        .collect::<Result<_, _>>()
        .map_err(Failure::from)
}

/// Versions of what a run on these file systems is made with.
///
/// # Errors
/// One of the tools is missing.
pub fn tools<'a>(wanted: impl IntoIterator<Item = &'a Fs>) -> Result<BTreeMap<Fs, Tools>, Failure> {
    let qemu = doctor::qemu_version().unwrap_or_default();
    let tools = |fs: Fs| {
        let (mkfs, fsck) = golden::versions(fs)?;
        Ok(Tools {
            bioscope: env!("CARGO_PKG_VERSION").to_owned(),
            qemu: qemu.clone(),
            mkfs,
            fsck,
        })
    };
    let versions: Result<_, ToolError> = wanted
        .into_iter()
        .map(|fs| tools(*fs).map(|tools| (*fs, tools)))
        .collect();
    versions.map_err(Failure::from)
}

/// Decides on the accelerator, which may boot a guest to find out.
///
/// # Errors
/// The cache cannot be had.
pub fn accel(
    choice: Choice,
    places: &Places,
    artifacts: &[Artifact],
    images: &BTreeMap<Fs, PathBuf>,
) -> Result<Accel, Failure> {
    let cache = cache()?;
    let version = doctor::qemu_version().unwrap_or_default();
    let booted = artifacts.first().zip(images.iter().next());
    let probe = booted.map(|(kernel, (fs, image))| Probe {
        vhost_blk: &places.vhost_blk,
        guest_bins: &places.guest_bins,
        kernel,
        fs: *fs,
        image,
    });
    let (accel, why) = accel::choose(choice, cache.root(), &version, probe.as_ref());
    host::note!("accelerator: {} ({why})", accel.word());
    Ok(accel)
}

/// How the run uses snapshots of booted guests, if it does.
///
/// # Errors
/// The guest's programs cannot be read.
pub fn snapshots(
    cold_boot: bool,
    accel: Accel,
    places: &Places,
    exec: Option<&Exec>,
) -> Result<Option<SnapshotConfig>, Failure> {
    // With KVM a boot takes a fraction of a second, and a snapshot's clock would need the host's help.
    if cold_boot || accel == Accel::Kvm {
        return Ok(None);
    }
    let exec = exec.map(|exec| exec.program.as_path());
    let programs = programs::programs(&places.guest_bins, exec);
    let root = places.runs().join("snapshots");
    let version = doctor::qemu_version().unwrap_or_default();
    SnapshotConfig::new(root, &places.guest_bins, &programs, &version)
        .map(Some)
        .map_err(|error| Failure::foreign(Exit::Internal, &error))
}

/// Makes a directory for a run: `runs/TIME-PID` below cargo's target directory.
///
/// # Errors
/// It cannot be made.
pub fn run_dir(base: &Path) -> Result<PathBuf, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let dir = base
        .join("runs")
        .join(format!("{}-{}", since.as_secs(), std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
    Ok(dir)
}

/// Lets `latest` point at a run; made beside and renamed, so that it always points at one.
///
/// # Errors
/// The link cannot be made.
pub fn point_latest(base: &Path, run: &Path) -> Result<(), Failure> {
    let link = base.join("latest");
    let beside = base.join(format!(".latest-{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    std::os::unix::fs::symlink(run, &beside)
        .and_then(|()| std::fs::rename(&beside, &link))
        .map_err(|error| Failure::cannot_create(&link.display().to_string(), &error))
}

/// Makes sure that the host has what it takes to get these kernels ready: to build them, to open their package files.
///
/// # Errors
/// Something is missing and was not installed.
pub fn kernel_tools(kernels: &[&Kernel], yes: bool) -> Result<(), Failure> {
    let any = |is: fn(&Source) -> bool| kernels.iter().any(|kernel| is(&kernel.source));
    if any(|source| matches!(source, Source::Tree(_))) {
        doctor::ensure_builders(yes)?;
    }
    if any(|source| matches!(source, Source::PackageFiles(_))) {
        doctor::ensure_openers(yes)?;
    }
    Ok(())
}
