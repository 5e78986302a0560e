//! Which kernels a command is about: those of kernels.toml, an image, or a tree.

use std::path::{Path, PathBuf};

use exit::Failure;
use guest_wire::Fs;
use kernels::given::{image_kernel, patched, tree_kernel};
use kernels::{Kernel, Manifest};
use run::KernelOrigin;

use crate::flags::TreeArgs;

/// The kernels that were chosen, and where they come from.
pub(crate) struct KernelChoice {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) origin: KernelOrigin,
}

/// An image, with the directory of its modules.
pub(crate) fn of_image(image: &Path, modules: Option<&Path>) -> Result<KernelChoice, Failure> {
    Ok(KernelChoice {
        kernels: vec![image_kernel(image, modules)?],
        origin: KernelOrigin::Image {
            image: image.to_owned(),
            modules: modules.map(Path::to_owned),
        },
    })
}

/// A source tree, if one is given.
pub(crate) fn of_tree(args: &TreeArgs, fs: &[Fs], configs: &Path) -> Result<Option<KernelChoice>, Failure> {
    let Some(given) = args.given() else { return Ok(None) };
    Ok(Some(KernelChoice {
        kernels: vec![tree_kernel(&given, fs, configs)?],
        origin: KernelOrigin::Tree(given),
    }))
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
        patched(selected, is_named, patches, all)?
    };
    Ok(KernelChoice {
        kernels,
        origin: KernelOrigin::Manifest {
            named: named.cloned(),
            patches: patches.to_vec(),
        },
    })
}
