//! Kernels that are given on the command line instead of in `kernels.toml`: an image, a source tree, patches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exit::{Exit, Failure};
use guest_wire::Fs;
use serde::{Deserialize, Serialize};

use crate::package_format::PackageFormat;
use crate::parse::config_parts;
use crate::{ConfigPart, Kernel, Manifest, Origin, Source, TreeSource};

/// A source tree that is given on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenTree {
    /// A Linux tree, or a git repository of it.
    pub tree: PathBuf,
    /// A commit, instead of the working copy.
    pub rev: Option<String>,
    /// Parts of the configuration, in order; the usual ones if there are none.
    pub config: Vec<String>,
    /// Patches, mailboxes, or directories of them.
    pub patch: Vec<PathBuf>,
    /// The compiler, as make's `CC` takes it: `gcc-10`. The host's usual one without it.
    pub cc: Option<String>,
}

impl GivenTree {
    /// The same one for a command that is given again in any directory.
    #[must_use]
    pub fn absolute(&self) -> GivenTree {
        let path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let part = |part: &String| {
            // A file is written with a dot or slash; all else is the name of a ready part.
            let is_file = part.contains(['.', '/']) && Path::new(part).is_file();
            if is_file {
                path(Path::new(part)).to_string_lossy().into_owned()
            } else {
                part.clone()
            }
        };
        GivenTree {
            tree: if is_address(&self.tree) {
                self.tree.clone()
            } else {
                path(&self.tree)
            },
            config: self.config.iter().map(part).collect(),
            patch: self.patch.iter().map(|patch| path(patch)).collect(),
            ..self.clone()
        }
    }
}

/// Whether this is the address of a repository, and none of a directory.
#[must_use]
pub fn is_address(tree: &Path) -> bool {
    tree.to_string_lossy().contains("://")
}

/// A kernel that is given on the command line.
///
/// # Errors
/// The image or the modules' directory does not exist.
pub fn image_kernel(image: &Path, modules: &[PathBuf]) -> Result<Kernel, Failure> {
    let problem = |path: &Path, kind: &str| {
        if path.join("Kconfig").is_file() {
            "that is a directory with source; `--tree` builds it, and leaves the image at arch/x86/boot/bzImage"
                .to_owned()
        } else if path.is_dir() && kind == "file" {
            "that is a directory".to_owned()
        } else if path.exists() {
            format!("that is no {kind}")
        } else {
            format!("there is no such {kind}")
        }
    };
    if !image.is_file() {
        let message = format!(
            "--image {}: {}; expected a bzImage, a vmlinux, or a package file (.deb, .rpm, .pkg.tar.zst)",
            image.display(),
            problem(image, "file")
        );
        return Err(Failure::new(Exit::NoInput, message));
    }
    let is_package = |path: &Path| PackageFormat::of(path).is_some();
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    if is_package(image) {
        let files: Vec<PathBuf> = std::iter::once(image.to_owned())
            .chain(modules.iter().cloned())
            .collect();
        return match files.iter().find(|file| !file.is_file() || !is_package(file)) {
            None => Ok(Kernel::from_package_files(&name, files)),
            Some(other) => {
                let message = format!(
                    "--modules {}: {}; expected the package file of the modules, as the kernel is a package; one that \
                    brings its own needs no `--modules`",
                    other.display(),
                    problem(other, "package file")
                );
                Err(Failure::new(Exit::NoInput, message))
            }
        };
    }
    if let Some(second) = modules.get(1) {
        let message = format!(
            "--modules {}: there is a directory of modules already; expected one for an image, or package files if the \
            kernel is one",
            second.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let modules = modules.first().map(PathBuf::as_path);
    if let Some(modules) = modules.filter(|dir| !dir.is_dir()) {
        let message = format!(
            "--modules {}: {}; expected one that holds lib/modules/RELEASE",
            modules.display(),
            problem(modules, "directory")
        );
        return Err(Failure::new(Exit::NoInput, message));
    }
    Ok(Kernel::from_image(&name, image, modules))
}

/// The kernel of a source tree; `ready` is the directory of the ready fragments of configurations.
///
/// # Errors
/// A part of the configuration is unknown.
pub fn tree_kernel(given: &GivenTree, fs: &[Fs], ready: &Path) -> Result<Kernel, Failure> {
    let fs = if fs.is_empty() { vec![Fs::Btrfs] } else { fs.to_vec() };
    let config = if given.config.is_empty() {
        ConfigPart::usual(&fs, ready)
    } else {
        config_parts(&given.config, ready).map_err(|(word, problem)| {
            let file = format!("a file is written with a dot or slash: ./{word}.config");
            let (what, help) = problem.say(&word, &file);
            Failure::new(Exit::Usage, format!("--config {word}: {what}; {help}"))
        })?
    };
    let source = TreeSource {
        origin: Origin::Git {
            repository: given.tree.to_string_lossy().into_owned(),
            rev: given.rev.clone().unwrap_or_else(|| "HEAD".to_owned()),
            dirty: given.rev.is_none(),
        },
        patches: given.patch.clone(),
        config,
        cc: given.cc.clone(),
        make: BTreeMap::new(),
    };
    let name = given
        .tree
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
    Ok(Kernel::from_tree(&id, source, fs))
}

/// These kernels of a manifest, with patches that are given on the command line. What is known of them is not known of
/// those.
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
        Exit::Usage,
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
        let again = given.absolute();
        assert_eq!(again.tree, here.join("linux"));
        assert_eq!(again.patch, [here.join("a.patch"), "/b.patch".into()]);
        let file = here.join("Cargo.toml").to_string_lossy().into_owned();
        assert_eq!(again.config, ["base", "defconfig", &file, "./nope"]);
        assert_eq!((&again.rev, &again.cc), (&given.rev, &given.cc));
        assert_eq!(again.absolute(), again);
        let remote = GivenTree {
            tree: "https://example.invalid/linux".into(),
            ..GivenTree::default()
        };
        assert_eq!(remote.absolute().tree, remote.tree);
    }
}
