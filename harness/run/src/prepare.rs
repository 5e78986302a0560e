//! What several commands need before they can do their work: the host's tools, kernels, images, an accelerator, a place for results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Exec, programs};
use guest_wire::Fs;
use host::cache::Cache;
use host::doctor;
use host::error::Failure;
use host::exit::Exit;
use host::places::Places;
use host::progress::Progress;
use host::scratch;
use kernels::modules;
use kernels::{Artifact, Kernel, Options, Source};
use machine::boot::snapshot::{Plan, Snapshots};
use machine::boot::{self, Boot, BootConfig};
use machine::golden;
use machine::vm::accel::{self, Choice};
use machine::vm::args::{Accel, DiskShape};
use machine::{initramfs, provision};

/// The lock beside a manifest.
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

/// As [`host`], with these programs, which not every command needs.
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
    let probe = || match (artifacts.first(), images.iter().next()) {
        (Some(artifact), Some((fs, image))) => boots_with_kvm(places, artifact, *fs, image),
        _ => false,
    };
    let (accel, why) = accel::choose(choice, cache.root(), &version, probe);
    anstream::eprintln!("accelerator: {} ({why})", accel.word());
    Ok(accel)
}

/// Boots a kernel of the run with KVM until its agent answers.
fn boots_with_kvm(places: &Places, artifact: &Artifact, fs: Fs, image: &Path) -> bool {
    let Ok(scratch) = scratch::make() else { return false };
    let initramfs_path = scratch.path().join("initramfs.cpio");
    let Ok(modules) = modules::closure(artifact, &boot::modules_for(fs)) else {
        return false;
    };
    let entries = initramfs::spec(&places.guest_bins.join("init"), &[], &modules);
    if initramfs::write(&initramfs_path, &entries).is_err() {
        return false;
    }
    let config = BootConfig {
        vhost_blk: &places.vhost_blk,
        kernel: &artifact.kernel,
        pvh: artifact.is_elf(),
        initramfs: &initramfs_path,
        image,
        disk: DiskShape::ORDINARY,
        accel: Accel::Kvm,
        dir: scratch.path(),
        scratch: scratch.path(),
    };
    // A guest on working KVM is up in a second; one that does not get there on a busy machine costs a slower run, not a wrong one.
    Boot::start(&config).is_ok_and(|mut boot| boot.until_ready(boot::PROBE_LIMIT).is_ok())
}

/// How the run uses snapshots of booted guests, if it does.
///
/// # Errors
/// The guest's programs cannot be read.
pub fn snapshots(cold_boot: bool, accel: Accel, places: &Places, exec: Option<&Exec>) -> Result<Option<Plan>, Failure> {
    // With KVM a boot takes a fraction of a second, and a snapshot's clock would need the host's help.
    if cold_boot || accel == Accel::Kvm {
        return Ok(None);
    }
    let exec = exec.map(|exec| exec.program.as_path());
    let programs = programs::programs(&places.guest_bins, exec);
    let identity = provision::identity(
        &places.guest_bins,
        &programs,
        &doctor::qemu_version().unwrap_or_default(),
    )
    .map_err(|error| Failure::of(Exit::Internal, &error))?;
    let root = places.runs().join("snapshots");
    Snapshots::at(&root).prune();
    Ok(Some(Plan { root, identity }))
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

/// Makes sure that the host has what it takes to build kernels, if any of these is built.
///
/// # Errors
/// Something is missing and was not installed.
pub fn builders(kernels: &[&Kernel], yes: bool) -> Result<(), Failure> {
    if !kernels.iter().any(|kernel| matches!(kernel.source, Source::Tree(_))) {
        return Ok(());
    }
    doctor::ensure_builders(yes).map_err(Failure::from)
}
