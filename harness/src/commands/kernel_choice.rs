//! Which kernels a command is about: those of kernels.toml, an image, or a tree.

use std::path::{Path, PathBuf};

use exit::{Exit, Failure};
use guest_wire::Fs;
use kernels::given::is_address;
use kernels::given::{image_kernel, patched, tree_kernel};
use kernels::{Kernel, Manifest};
use run::KernelOrigin;

use crate::flags::{ImageArgs, TreeArgs};

/// The kernels that were chosen, and where they come from.
pub(crate) struct KernelChoice {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) origin: KernelOrigin,
}

impl ImageArgs {
    /// The image with its modules, if one is given.
    ///
    /// # Errors
    /// One of them does not exist.
    pub(crate) fn chosen(&self) -> Result<Option<KernelChoice>, Failure> {
        let Some(image) = &self.image else { return Ok(None) };
        Ok(Some(KernelChoice {
            kernels: vec![image_kernel(image, &self.modules)?],
            origin: KernelOrigin::Image {
                image: absolute(image),
                modules: self.modules.iter().map(|path| absolute(path)).collect(),
            },
        }))
    }
}

/// A path that names the same file in any directory, for a command that is given again.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A source tree, if one is given.
pub(crate) fn of_tree(args: &TreeArgs, fs: &[Fs], configs: &Path) -> Result<Option<KernelChoice>, Failure> {
    let Some(given) = args.given() else { return Ok(None) };
    check_tree(&given.tree)?;
    check_patches(&given.patch)?;
    Ok(Some(KernelChoice {
        kernels: vec![tree_kernel(&given, fs, configs)?],
        origin: KernelOrigin::Tree(given.absolute()),
    }))
}

/// Says what a listing would not find out: it reads no source.
fn check_tree(tree: &Path) -> Result<(), Failure> {
    if tree.is_dir() || is_address(tree) {
        return Ok(());
    }
    let what = if tree.exists() {
        "that is no directory"
    } else {
        "there is no such directory"
    };
    let message = format!(
        "--tree {}: {what}; expected the top directory of a Linux tree",
        tree.display()
    );
    Err(Failure::new(Exit::NoInput, message))
}

fn check_patches(patches: &[PathBuf]) -> Result<(), Failure> {
    match patches.iter().find(|patch| !patch.exists()) {
        Some(patch) => Err(Failure::new(
            Exit::NoInput,
            format!(
                "--patch {}: there is no such file; expected a patch, a mailbox or a directory of patches",
                patch.display()
            ),
        )),
        None => Ok(()),
    }
}

/// Kernels of a list; `is_named` says whether a person named them. With patches they must be, and come as source.
pub(crate) fn of_manifest(
    all: &Manifest,
    selected: &[&Kernel],
    is_named: bool,
    patches: &[PathBuf],
    named: Option<&PathBuf>,
) -> Result<KernelChoice, Failure> {
    let kernels = if patches.is_empty() {
        selected.iter().map(|kernel| (*kernel).clone()).collect()
    } else {
        let kernels = patched(selected, is_named, patches, all)?;
        check_patches(patches)?;
        kernels
    };
    Ok(KernelChoice {
        kernels,
        origin: KernelOrigin::Manifest {
            named: named.map(|path| absolute(path)),
            patches: patches.iter().map(|path| absolute(path)).collect(),
        },
    })
}
