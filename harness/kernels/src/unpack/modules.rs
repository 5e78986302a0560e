//! A kernel's modules: where they are, and made so that modprobe and a guest can use them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::UnpackError;
use super::files::{DEADLINE, check_file, create, list, read, rename, write};
use crate::decompress::Compression;
use host::cache::CacheError;
use host::tool;

/// Where packages install modules.
const PLACES: [&str; 2] = ["lib/modules", "usr/lib/modules"];
/// What modules are compressed to.
const COMPRESSED: [&str; 3] = [".ko.xz", ".ko.zst", ".ko.gz"];
/// No module is larger, with all that debuggers want to know.
const MODULE_MAX: u64 = 1 << 30;

/// The directory `RELEASE` that `given` is, holds, or holds under `lib/modules`.
///
/// # Errors
/// There is none.
pub(crate) fn modules_folder(given: &Path, release: &str) -> Result<PathBuf, UnpackError> {
    let nested = ["", PLACES[0], PLACES[1]].map(|at| given.join(at).join(release));
    if let Some(folder) = nested.into_iter().find(|folder| folder.is_dir()) {
        return Ok(folder);
    }
    if given.join("kernel").is_dir() && given.file_name().is_some_and(|name| name.to_string_lossy() == release) {
        return Ok(given.to_owned());
    }
    let others = releases(given);
    let found = if others.is_empty() {
        format!("no directory lib/modules/{release} in it")
    } else {
        format!("it has those of {}", others.join(", "))
    };
    Err(UnpackError::NoModules {
        path: given.to_owned(),
        release: release.to_owned(),
        found,
    })
}

/// The releases whose modules a directory holds where packages install them.
fn releases(given: &Path) -> Vec<String> {
    let entries = PLACES
        .iter()
        .filter_map(|at| fs::read_dir(given.join(at)).ok())
        .flatten();
    let mut releases: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    releases.sort();
    releases.dedup();
    releases
}

/// Moves the modules of a release from where packages have installed them to where they are used; says whether there
/// are any.
///
/// # Errors
/// There are modules of another kernel.
pub(super) fn take_installed(tree: &Path, release: &str, names: &str, made: &Path) -> Result<bool, UnpackError> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for at in PLACES {
        // One place may be a link to the other.
        if let Ok(folder) = tree.join(at).join(release).canonicalize()
            && folder.is_dir()
            && !folders.contains(&folder)
        {
            folders.push(folder);
        }
    }
    // One name may be a link to another.
    let is_others = |place: PathBuf| {
        let is_own = place.canonicalize().is_ok_and(|place| folders.contains(&place));
        !is_own && (place.join("kernel").is_dir() || holds_module(&place))
    };
    let others: Vec<String> = releases(tree)
        .into_iter()
        .filter(|other| PLACES.iter().any(|at| is_others(tree.join(at).join(other))))
        .collect();
    // There may be a directory for the image alone.
    let has_own = folders.iter().any(|folder| folder.join("kernel").is_dir());
    match (has_own, others.is_empty()) {
        (true, true) => {}
        (false, true) => return Ok(false),
        (true, false) => {
            return Err(UnpackError::OtherModules {
                packages: names.to_owned(),
                release: release.to_owned(),
                others: others.join(", "),
            });
        }
        (false, false) => {
            return Err(UnpackError::NoModules {
                path: PathBuf::from(names),
                release: release.to_owned(),
                found: format!("it has those of {}", others.join(", ")),
            });
        }
    }
    let place = made.join("lib/modules").join(release);
    create(&made.join("lib/modules"))?;
    for folder in folders {
        merge(&folder, &place)?;
    }
    Ok(true)
}

/// Whether a module lies in a directory or below.
fn holds_module(folder: &Path) -> bool {
    list(folder).iter().any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".ko") || is_compressed(path) || (path.is_dir() && !path.is_symlink() && holds_module(path))
    })
}

/// Moves a directory to a place where a part of it may be already; that stays.
fn merge(from: &Path, to: &Path) -> Result<(), UnpackError> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|kind| kind.is_dir());
    if fs::symlink_metadata(to).is_err() {
        return rename(from, to);
    }
    if is_folder(from) && is_folder(to) {
        for path in list(from) {
            merge(&path, &to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Decompresses modules, once and for all runs, and makes the tables that modprobe reads.
pub(super) fn finish_modules(root: &Path, release: &str) -> Result<(), UnpackError> {
    let mut compressed = Vec::new();
    find_compressed(&root.join("lib/modules").join(release), &mut compressed)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = compressed.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = compressed
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().try_for_each(|path| decompress_module(path))))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut command = tool::command("depmod", "kmod")?;
    // 7.x packages come without modules.order and modules.builtin, which depmod only warns about.
    link_usr(root)?;
    tool::run_ok(command.arg("-b").arg(root).arg(release), DEADLINE)?;
    Ok(())
}

/// Some builds of kmod look in usr/lib/modules, others in lib/modules: both find the same.
pub(super) fn link_usr(root: &Path) -> Result<(), UnpackError> {
    create(&root.join("usr"))?;
    let link = root.join("usr/lib");
    symlink("../lib", &link).map_err(|source| CacheError::io("create", &link, source).into())
}

fn decompress_module(path: &Path) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Module {
        path: path.to_owned(),
        source,
    };
    if check_file(path)? > MODULE_MAX {
        return Err(failed(std::io::Error::other("larger than any module")));
    }
    let bytes = read(path)?;
    let compression = Compression::of(&bytes).ok_or_else(|| failed(std::io::Error::other("unknown compression")))?;
    let plain = compression.decompress(&bytes).map_err(failed)?;
    write(&path.with_extension(""), &plain)?;
    fs::remove_file(path).map_err(|source| CacheError::io("remove", path, source).into())
}

fn find_compressed(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), UnpackError> {
    for path in list(folder) {
        if path.is_dir() && !path.is_symlink() {
            find_compressed(&path, found)?;
        } else if is_compressed(&path) && !relinked(&path)? {
            found.push(path);
        }
    }
    Ok(())
}

fn is_compressed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    COMPRESSED.iter().any(|end| name.ends_with(end))
}

/// Has a link to a compressed module lead to what that becomes; says whether it is one.
fn relinked(path: &Path) -> Result<bool, UnpackError> {
    let Some(target) = fs::read_link(path).ok().filter(|target| is_compressed(target)) else {
        return Ok(false);
    };
    let link = path.with_extension("");
    fs::remove_file(path).map_err(|source| CacheError::io("remove", path, source))?;
    if fs::symlink_metadata(&link).is_err() {
        symlink(target.with_extension(""), &link).map_err(|source| CacheError::io("create", &link, source))?;
    }
    Ok(true)
}

pub(super) fn copy_modules(from: &Path, to: &Path) -> Result<(), UnpackError> {
    create(to)?;
    for path in list(from) {
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        let is_link = path.is_symlink();
        // `build` and `source` point at whole source trees.
        if is_link && path.is_dir() {
            continue;
        }
        if path.is_dir() {
            copy_modules(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|source| CacheError::io("copy to", &target, source))?;
        }
    }
    Ok(())
}
