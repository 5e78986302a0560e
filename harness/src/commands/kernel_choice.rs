//! Which kernels a command is about: those of kernels.toml, an image, or a tree.

use std::path::{Path, PathBuf};

use exit::{Exit, Failure};
use guest_wire::Fs;
use kernels::given::{image_kernel, patched, tree_kernel};
use kernels::{GivenTree, Kernel, Manifest};
use run::KernelOrigin;

use crate::flags::{ImageArgs, TreeArgs};

/// The kernels that were chosen, and where they come from.
pub(crate) struct KernelChoice {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) origin: KernelOrigin,
}

impl ImageArgs {
    /// The image with the directory of its modules, if one is given.
    ///
    /// # Errors
    /// One of them does not exist.
    pub(crate) fn chosen(&self) -> Result<Option<KernelChoice>, Failure> {
        let Some(image) = &self.image else { return Ok(None) };
        let modules = self.modules.as_deref();
        Ok(Some(KernelChoice {
            kernels: vec![image_kernel(image, modules)?],
            origin: KernelOrigin::Image {
                image: absolute(image),
                modules: modules.map(absolute),
            },
        }))
    }
}

/// A path that names the same file in any directory, for a command that is given again.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A tree that is the same one in any directory.
fn absolute_tree(given: &GivenTree) -> GivenTree {
    let is_address = is_address(&given.tree);
    let part = |part: &String| {
        // A file is written with a dot or slash; all else is a ready part's name.
        let is_file = part.contains(['.', '/']) && Path::new(part).is_file();
        if is_file {
            absolute(Path::new(part)).to_string_lossy().into_owned()
        } else {
            part.clone()
        }
    };
    GivenTree {
        tree: if is_address {
            given.tree.clone()
        } else {
            absolute(&given.tree)
        },
        config: given.config.iter().map(part).collect(),
        patch: given.patch.iter().map(|patch| absolute(patch)).collect(),
        ..given.clone()
    }
}

/// Whether this is the address of a repository, and none of a directory.
fn is_address(tree: &Path) -> bool {
    tree.to_string_lossy().contains("://")
}

/// A source tree, if one is given.
pub(crate) fn of_tree(args: &TreeArgs, fs: &[Fs], configs: &Path) -> Result<Option<KernelChoice>, Failure> {
    let Some(given) = args.given() else { return Ok(None) };
    check_tree(&given.tree)?;
    check_patches(&given.patch)?;
    Ok(Some(KernelChoice {
        kernels: vec![tree_kernel(&given, fs, configs)?],
        origin: KernelOrigin::Tree(absolute_tree(&given)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_asked_for_again_from_anywhere() {
        let here = std::env::current_dir().unwrap();
        let given = GivenTree {
            tree: "linux".into(),
            rev: Some("v6.1".to_owned()),
            config: ["base", "defconfig", "./Cargo.toml", "./nope"]
                .map(str::to_owned)
                .to_vec(),
            patch: vec!["a.patch".into(), "/b.patch".into()],
            cc: Some("gcc-12".to_owned()),
        };
        let again = absolute_tree(&given);
        assert_eq!(again.tree, here.join("linux"));
        assert_eq!(again.patch, [here.join("a.patch"), "/b.patch".into()]);
        let file = here.join("Cargo.toml").to_string_lossy().into_owned();
        assert_eq!(again.config, ["base", "defconfig", &file, "./nope"]);
        assert_eq!((&again.rev, &again.cc), (&given.rev, &given.cc));
        assert_eq!(absolute_tree(&again), again);
        let remote = GivenTree {
            tree: "https://example.invalid/linux".into(),
            ..GivenTree::default()
        };
        assert_eq!(absolute_tree(&remote).tree, remote.tree);
    }
}
