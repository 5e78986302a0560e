//! From package files, or from files of the user's own, to a directory of the store.

mod error;
mod files;
mod modules;
mod tame;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::payload;
use super::store::Description;
use host::cache::{self, CacheError};
use host::tool::{self, ToolError};

pub use error::UnpackError;
pub(crate) use files::check_file;
use files::{DEADLINE, create, list, read, rename, write};
pub(crate) use modules::modules_folder;
use modules::{copy_modules, finish_modules, link_usr, take_installed};
use tame::tame;

const BZIMAGE: &str = "bzImage";
const VMLINUX: &str = "vmlinux";
/// Most that an image may have, with all that debuggers want to know.
const IMAGE_MAX: u64 = 4 << 30;
/// A release is no longer (`__NEW_UTS_LEN`).
const RELEASE_MAX: usize = 64;

/// Unpacks package files into `made`, which is empty, and keeps what a boot needs.
///
/// # Errors
/// The packages hold no kernel, a tool is missing, the disk is full.
pub(crate) fn packages(debs: &[PathBuf], names: &str, version: &str, made: &Path) -> Result<Description, UnpackError> {
    let tree = made.join("tree");
    for deb in debs {
        let mut command = tool::command("dpkg-deb", "dpkg")?;
        tool::run_ok(command.arg("-x").arg(deb).arg(&tree), DEADLINE)?;
    }
    let mut description = installed(&tree, names, made)?;
    version.clone_into(&mut description.version);
    Ok(description)
}

/// Takes package files of any distribution's, or what a kernel's own `make …-pkg` left.
///
/// # Errors
/// One of them is damaged, they hold no kernel or not its modules, a tool is missing.
pub(crate) fn package_files(files: &[PathBuf], made: &Path) -> Result<Description, UnpackError> {
    let tree = made.join("tree");
    create(&tree)?;
    for file in files {
        check_file(file)?;
        extract(file, &tree, file)?;
        unpack_deb(&tree, file)?;
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let names = names.join(", ");
    let description = installed(&tree, &names, made)?;
    let modules = made.join("lib/modules").join(&description.release);
    if modules.is_dir() && !modules.join("modules.builtin").is_file() {
        return Err(UnpackError::NoBuiltin {
            packages: names,
            release: description.release,
        });
    }
    Ok(description)
}

/// Extracts an archive: bsdtar reads the three formats, and what they are compressed by.
fn extract(archive: &Path, tree: &Path, of: &Path) -> Result<(), UnpackError> {
    let mut command = tool::command("bsdtar", "libarchive-tools")?;
    command
        .args(["--no-same-owner", "-xf"])
        .arg(archive)
        .arg("-C")
        .arg(tree);
    match tool::run_ok(&mut command, DEADLINE) {
        // Before anything else follows its links.
        Ok(_) => tame(tree),
        Err(ToolError::Failed { .. }) if cache::is_full(tree) => {
            Err(CacheError::DiskFull { path: tree.to_owned() }.into())
        }
        Err(source @ ToolError::Failed { .. }) => Err(UnpackError::Damaged {
            path: of.to_owned(),
            source,
        }),
        Err(ToolError::Deadline { .. }) => Err(UnpackError::TooLong { path: of.to_owned() }),
        Err(error) => Err(error.into()),
    }
}

/// The parts of a Debian package, which is an archive of two archives.
fn unpack_deb(tree: &Path, of: &Path) -> Result<(), UnpackError> {
    if !tree.join("debian-binary").is_file() {
        return Ok(());
    }
    for part in list(tree).into_iter().filter(|path| path.is_file()) {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("data.tar") {
            extract(&part, tree, of)?;
        }
        fs::remove_file(&part).map_err(|source| CacheError::io("remove", &part, source))?;
    }
    Ok(())
}

/// Takes a kernel from where packages install it, below a directory that goes away.
fn installed(tree: &Path, names: &str, made: &Path) -> Result<Description, UnpackError> {
    tame(tree)?;
    let image = only_image(tree, names)?;
    // The error outlives the directory.
    let inside = image.strip_prefix(tree).unwrap_or(&image).display();
    let (mut description, vmlinux) = taken(&image, Path::new(&format!("{inside} of {names}")), made)?;
    let release = description.release.clone();
    // It may be a link to where the modules are.
    if let Ok(config) = tree.join(format!("boot/config-{release}")).canonicalize()
        && config.is_file()
    {
        rename(&config, &made.join("config"))?;
    }
    if take_installed(tree, &release, names, made)? {
        // Its links have moved with it.
        tame(&made.join("lib/modules").join(&release))?;
        finish_modules(made, &release)?;
        description.modules_root = Some(PathBuf::from("."));
    } else if vmlinux.is_some_and(|vmlinux| !payload::has_driver_of_disk(&vmlinux)) {
        return Err(UnpackError::NeedsModules {
            path: PathBuf::from(names),
            how: "name the package of its modules as well (`--modules FILE`, or in `package-file`)".to_owned(),
            release,
        });
    }
    fs::remove_dir_all(tree).map_err(|source| CacheError::io("remove", tree, source))?;
    Ok(description)
}

/// Takes an image of the user's own. Its modules are used where they are, if they are complete; else a copy is
/// completed.
///
/// # Errors
/// The image is no kernel, or the directory holds no modules of it.
pub(crate) fn image(image: &Path, modules: Option<&Path>, made: &Path) -> Result<Description, UnpackError> {
    let (mut description, vmlinux) = taken(image, image, made)?;
    if let (None, Some(vmlinux)) = (modules, &vmlinux)
        && !payload::has_driver_of_disk(vmlinux)
    {
        return Err(UnpackError::NeedsModules {
            path: image.to_owned(),
            how: format!(
                "name the directory of its modules with `--modules`, like `--modules /lib/modules/{}`",
                description.release
            ),
            release: description.release,
        });
    }
    if let Some(given) = modules {
        let release = description.release.clone();
        let folder = modules_folder(given, &release)?;
        let place = made.join("lib/modules").join(&release);
        if folder.join("modules.dep").is_file() {
            create(&made.join("lib/modules"))?;
            let folder = folder
                .canonicalize()
                .map_err(|source| UnpackError::Read { path: folder, source })?;
            std::os::unix::fs::symlink(&folder, &place).map_err(|source| CacheError::io("create", &place, source))?;
            link_usr(made)?;
        } else {
            copy_modules(&folder, &place)?;
            finish_modules(made, &release)?;
        }
        description.modules_root = Some(PathBuf::from("."));
    }
    Ok(description)
}

/// Puts an image, which errors name as `shown`, into `made`, with the kernel inside it if that can be booted by itself;
/// gives that back.
fn taken(image: &Path, shown: &Path, made: &Path) -> Result<(Description, Option<Vec<u8>>), UnpackError> {
    check_size(image, shown)?;
    let bytes = read(image)?;
    let (mut description, vmlinux) = describe(shown, &bytes, "")?;
    description.version.clone_from(&description.release);
    write(&made.join(BZIMAGE), &bytes)?;
    if let Some(vmlinux) = &vmlinux {
        write(&made.join(VMLINUX), vmlinux)?;
    }
    Ok((description, vmlinux))
}

/// Takes what a build made: an image, and a directory that holds its installed modules. The directory is moved.
///
/// # Errors
/// The image is no kernel, or the modules are not its own.
pub(crate) fn built(image: &Path, modules: Option<&Path>, made: &Path) -> Result<Description, UnpackError> {
    let (mut description, _) = taken(image, image, made)?;
    if let Some(staged) = modules {
        let release = description.release.clone();
        let folder = modules_folder(staged, &release)?;
        // Links into the build directory.
        for link in ["build", "source"] {
            let _ = fs::remove_file(folder.join(link));
        }
        create(&made.join("lib/modules"))?;
        rename(&folder, &made.join("lib/modules").join(&release))?;
        fs::remove_dir_all(staged).map_err(|source| CacheError::io("remove", staged, source))?;
        finish_modules(made, &release)?;
        description.modules_root = Some(PathBuf::from("."));
    }
    Ok(description)
}

fn describe(path: &Path, bytes: &[u8], version: &str) -> Result<(Description, Option<Vec<u8>>), UnpackError> {
    let not_a_kernel = |reason| UnpackError::NotAKernel {
        path: path.to_owned(),
        reason,
    };
    let (vmlinux, no_elf) = match payload::pvh_kernel(bytes) {
        Ok(vmlinux) => (Some(vmlinux), None),
        Err(
            reason @ (payload::PayloadError::NotAKernel
            | payload::PayloadError::Other { .. }
            | payload::PayloadError::CutOff { .. }),
        ) => {
            return Err(not_a_kernel(reason));
        }
        // QEMU boots such a bzImage all the same, only slower.
        Err(reason) => (None, Some(reason.to_string())),
    };
    let release = payload::release(bytes)
        .or_else(|| payload::release_of_elf(vmlinux.as_deref().unwrap_or(bytes)))
        .ok_or_else(|| not_a_kernel(payload::PayloadError::NotAKernel))?;
    if !is_name(&release) {
        return Err(not_a_kernel(payload::PayloadError::BadRelease { release }));
    }
    let kernel = PathBuf::from(if vmlinux.is_some() { VMLINUX } else { BZIMAGE });
    let description = Description {
        kernel,
        bzimage: PathBuf::from(BZIMAGE),
        release,
        version: version.to_owned(),
        modules_root: None,
        no_elf,
        made_of: None,
    };
    Ok((description, vmlinux))
}

/// The release of an image, as far as its bytes tell without being decompressed.
pub(crate) fn release_of(image: &[u8]) -> Option<String> {
    let release = payload::release(image).or_else(|| payload::release_of_elf(image));
    release.filter(|release| is_name(release))
}

/// Whether a release can be the name of the directory with its modules, and is no option of a program that gets it.
fn is_name(release: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    release.len() <= RELEASE_MAX && release.bytes().all(plain) && !release.starts_with(['.', '-'])
}

fn only_image(tree: &Path, packages: &str) -> Result<PathBuf, UnpackError> {
    let in_boot = list(&tree.join("boot")).into_iter().filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
            && path.is_file()
    });
    let in_modules = ["usr/lib/modules", "lib/modules"]
        .into_iter()
        .flat_map(|at| list(&tree.join(at)))
        .map(|folder| folder.join("vmlinuz"))
        .filter(|path| path.is_file());
    let mut images: Vec<PathBuf> = in_boot.chain(in_modules).collect();
    // One may be a link to the other, or a copy of it.
    let mut seen = BTreeSet::new();
    images.retain(|path| path.canonicalize().is_ok_and(|place| seen.insert(place)));
    if let [first, others @ ..] = images.as_slice() {
        let content = if others.is_empty() { Vec::new() } else { read(first)? };
        if others
            .iter()
            .all(|other| fs::read(other).is_ok_and(|other| other == content))
        {
            images.truncate(1);
        }
    }
    match images.len() {
        0 => Err(UnpackError::NoImage {
            packages: packages.to_owned(),
        }),
        1 => Ok(images.remove(0)),
        _ => {
            let names: Vec<String> = images
                .iter()
                .map(|path| path.strip_prefix(tree).unwrap_or(path).display().to_string())
                .collect();
            Err(UnpackError::ManyImages {
                packages: packages.to_owned(),
                images: names.join(", "),
            })
        }
    }
}

/// Whether a file is an image as far as its kind and size tell; it is read as a whole.
///
/// # Errors
/// As of [`check_file`], or it is as large as disks are.
pub(crate) fn check_image(path: &Path) -> Result<(), UnpackError> {
    check_size(path, path)
}

fn check_size(path: &Path, shown: &Path) -> Result<(), UnpackError> {
    let size = check_file(path)?;
    if size <= IMAGE_MAX {
        return Ok(());
    }
    let what = format!(
        "larger than a kernel ({} GiB), like a disk; name the kernel's image: arch/x86/boot/bzImage or vmlinux",
        size >> 30
    );
    Err(UnpackError::NotAKernel {
        path: shown.to_owned(),
        reason: payload::PayloadError::Other { what },
    })
}
