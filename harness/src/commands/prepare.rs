//! What several commands need before they can do their work: the host's tools, kernels, images, an accelerator, a place for results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::boot::snapshot::{Plan, Snapshots};
use crate::boot::{self, Boot, BootConfig};
use crate::cache::Cache;
use crate::cli::TreeArgs;
use crate::doctor;
use crate::error::{CANNOT_CREATE, DATA, Failure, INTERNAL, NO_INPUT, USAGE};
use crate::golden::{self, Fs};
use crate::host::Places;
use crate::job::FaultPlan;
use crate::kernels::{self, Artifact, ConfigPart, Kernel, Manifest, Options, Origin, Source, TreeSource};
use crate::progress::Progress;
use crate::run::Exec;
use crate::vm::accel::{self, Choice};
use crate::vm::args::{Accel, DiskShape};
use crate::{initramfs, machine, modules, scratch, suggest};

/// The lock beside a manifest.
pub(super) fn lock_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

pub(super) fn cache() -> Result<Cache, Failure> {
    Cache::of_user().map_err(|error| Failure::of(error.exit_code(), &error))
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
    doctor::ensure_with(programs, yes).map_err(|error| Failure::of(error.exit_code(), &error))
}

/// Gets the kernels ready to boot.
///
/// # Errors
/// One of them cannot be had.
pub fn kernels(manifest: &Path, kernels: &[&Kernel], options: &Options) -> Result<Vec<Artifact>, Failure> {
    kernels::prepare(kernels, &lock_of(manifest), &cache()?, options, &Progress::stderr())
        .map_err(|error| Failure::of(error.exit_code(), &error))
}

/// Moves the lock of these kernels and says what moved.
///
/// # Errors
/// The archive cannot be asked, or has nothing that fits.
pub fn update(manifest: &Path, selected: &[&Kernel]) -> Result<(), Failure> {
    let changes = kernels::update(selected, &lock_of(manifest), &cache()?, &Progress::stderr())
        .map_err(|error| Failure::of(error.exit_code(), &error))?;
    for change in &changes {
        let before = change.before.as_deref().unwrap_or("not pinned");
        anstream::println!("{}: {before} -> {}", change.id, change.after);
    }
    if changes.is_empty() {
        anstream::println!("kernels.lock is up to date");
    }
    Ok(())
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
        .map_err(|error| Failure::of(error.exit_code(), &error))
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
    let identity = machine::identity(&places.guest_bins, exec, &doctor::qemu_version().unwrap_or_default())
        .map_err(|error| Failure::of(INTERNAL, &error))?;
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
        .map_err(|error| Failure {
            code: CANNOT_CREATE,
            ..Failure::cannot_create(&link.display().to_string(), &error)
        })
}

/// A kernel that is given on the command line.
///
/// # Errors
/// The image or the modules' directory does not exist.
pub fn image_kernel(image: &Path, modules: Option<&Path>) -> Result<Kernel, Failure> {
    if !image.is_file() {
        return Err(Failure::new(
            NO_INPUT,
            format!(
                "--image {}: there is no such file; expected a bzImage or a vmlinux",
                image.display()
            ),
        ));
    }
    if let Some(modules) = modules.filter(|dir| !dir.is_dir()) {
        let message = format!(
            "--modules {}: there is no such directory; expected one that holds lib/modules/RELEASE",
            modules.display()
        );
        return Err(Failure::new(NO_INPUT, message));
    }
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    Ok(Kernel::from_image(&name, image, modules))
}

/// Makes sure that the host has what it takes to build kernels, if any of these is built.
///
/// # Errors
/// Something is missing and was not installed.
pub fn builders(kernels: &[&Kernel], yes: bool) -> Result<(), Failure> {
    if !kernels.iter().any(|kernel| matches!(kernel.source, Source::Tree(_))) {
        return Ok(());
    }
    doctor::ensure_builders(yes).map_err(|error| Failure::of(error.exit_code(), &error))
}

/// The source that is given on the command line, if one is.
///
/// # Errors
/// A part of the configuration is unknown.
pub fn tree_kernel(given: &TreeArgs, fs: &[Fs], places: &Places) -> Result<Option<Kernel>, Failure> {
    let Some(tree) = &given.tree else { return Ok(None) };
    let ready = places.configs();
    let fs: Vec<String> = if fs.is_empty() {
        vec![Fs::Btrfs.to_string()]
    } else {
        fs.iter().map(Fs::to_string).collect()
    };
    let config = if given.config.is_empty() {
        ConfigPart::usual(&fs, &ready)
    } else {
        kernels::config_parts(&given.config, &ready).map_err(|(word, known)| {
            let known: Vec<&str> = known.iter().map(String::as_str).chain(ConfigPart::BASES).collect();
            let hint = suggest::hint(&word, "parts", &known);
            Failure::new(USAGE, format!("--config {word}: no ready fragment `{word}`; {hint}; a file is written with a dot or slash: ./{word}.config"))
        })?
    };
    let source = TreeSource {
        origin: Origin::Git {
            repository: tree.to_string_lossy().into_owned(),
            rev: given.rev.clone().unwrap_or_else(|| "HEAD".to_owned()),
            dirty: given.rev.is_none(),
        },
        patches: given.patch.clone(),
        config,
        cc: given.cc.clone(),
        make: BTreeMap::new(),
    };
    let name = tree
        .canonicalize()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.+~".contains(c) {
            c
        } else {
            '-'
        }
    };
    let id = name
        .unwrap_or_else(|| "tree".to_owned())
        .chars()
        .map(plain)
        .collect::<String>();
    Ok(Some(Kernel::from_tree(&id, source, fs)))
}

/// These kernels of a manifest, with patches that are given on the command line. What is known of them is not known of those.
///
/// # Errors
/// No kernel was named, or one does not come as source.
pub fn patched(kernels: &[&Kernel], named: bool, patches: &[PathBuf], all: &Manifest) -> Result<Vec<Kernel>, Failure> {
    let with = |kernel: &&Kernel| {
        let mut kernel = (*kernel).clone();
        let Source::Tree(source) = &mut kernel.source else {
            return Err(kernel.id);
        };
        source.patches.extend_from_slice(patches);
        kernel.expect.clear();
        Ok(kernel)
    };
    let said = match kernels.iter().map(with).collect::<Result<Vec<_>, _>>() {
        _ if !named => "no kernel is named for it".to_owned(),
        Ok(kernels) => return Ok(kernels),
        Err(id) => format!("{id} does not come as source"),
    };
    let sources = all
        .kernels()
        .iter()
        .filter(|kernel| matches!(kernel.source, Source::Tree(_)));
    let sources: Vec<&str> = sources.map(|kernel| kernel.id.as_str()).collect();
    Err(Failure::new(
        USAGE,
        format!(
            "--patch {}: {said}; expected --tree DIR, or kernels that are built from source: {}",
            patches
                .first()
                .map_or_else(String::new, |patch| patch.display().to_string()),
            if sources.is_empty() {
                "kernels.toml has none, and its head shows how to name one".to_owned()
            } else {
                sources.join(", ")
            }
        ),
    ))
}

/// A program of the user's own with its fault plan.
///
/// # Errors
/// The program cannot run in the guest, or the plan does not parse.
pub fn exec(line: &str, plan_file: Option<&Path>, rules: &[String], seed: Option<u64>) -> Result<Exec, Failure> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let program = words
        .next()
        .ok_or_else(|| Failure::new(USAGE, "--exec names no program; expected 'PROGRAM ARG…'"))?;
    let program = PathBuf::from(program);
    let bytes = std::fs::read(&program).map_err(|error| {
        Failure::new(
            NO_INPUT,
            format!(
                "--exec: cannot read {}: {error}; expected the path of a static program",
                program.display()
            ),
        )
    })?;
    check_static(&program, &bytes)?;
    let program = program.canonicalize().unwrap_or(program);
    let mut plan = FaultPlan::default();
    if let Some(path) = plan_file {
        if !path.is_file() {
            let message = format!(
                "--plan {}: there is no such file; expected TOML with `seed` and `rules`",
                path.display()
            );
            return Err(Failure::new(NO_INPUT, message));
        }
        let parsed = vhost_blk_api::plan::file::read(path).map_err(|error| Failure::of(DATA, &error))?;
        plan.seed = parsed.seed;
        plan.rules = parsed.rules.iter().map(ToString::to_string).collect();
    }
    for rule in rules {
        check_rule(rule)?;
        plan.rules.push(rule.clone());
    }
    if let Some(seed) = seed {
        plan.seed = seed;
    }
    Ok(Exec {
        program,
        args: words.collect(),
        plan,
    })
}

/// The guest has no shared libraries and no shell: only a static executable runs there.
fn check_static(program: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use object::read::elf::{FileHeader, ProgramHeader};
    let bad = |what: &str| {
        let message = format!(
            "--exec {}: {what}; the guest runs static x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)",
            program.display()
        );
        Err(Failure::new(USAGE, message))
    };
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(bytes) else {
        return bad("not an ELF executable");
    };
    let Ok(endian) = header.endian() else {
        return bad("not an ELF executable");
    };
    if header.e_machine(endian) != object::elf::EM_X86_64 {
        return bad("built for another architecture");
    }
    let segments = header.program_headers(endian, bytes).unwrap_or_default();
    if segments
        .iter()
        .any(|segment| segment.p_type(endian) == object::elf::PT_INTERP)
    {
        return bad("dynamically linked");
    }
    Ok(())
}

/// Says what is wrong with a rule before anything is started.
///
/// # Errors
/// It does not parse.
pub fn check_rule(rule: &str) -> Result<(), Failure> {
    rule.parse::<vhost_blk_api::plan::Rule>()
        .map(|_| ())
        .map_err(|error| Failure::new(USAGE, format!("bad rule: {}", error.render())))
}

/// The distribution's static busybox, for the shell.
///
/// # Errors
/// It is not installed, or is not static.
pub fn busybox() -> Result<PathBuf, Failure> {
    let path = crate::tool::find("busybox").ok_or_else(|| {
        Failure::new(
            crate::error::UNAVAILABLE,
            "a shell needs busybox; install it with `apt-get install busybox-static`",
        )
    })?;
    let bytes = std::fs::read(&path).map_err(|error| Failure::of(INTERNAL, &error))?;
    check_static(&path, &bytes).map_err(|_| {
        Failure::new(
            crate::error::UNAVAILABLE,
            "this busybox is dynamically linked; install the static one with `apt-get install busybox-static`",
        )
    })?;
    Ok(path)
}
