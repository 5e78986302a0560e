//! Where this clone is: its root and cargo's target directory, found at run time, so that a copied or moved clone
//! works on itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};
use thiserror::Error;
use xshell::Shell;

/// A clone of the repository, and a shell at its root with what cargo and the harness are to know of it.
pub(crate) struct Repo {
    pub(crate) shell: Shell,
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Where the person is; paths on the command line are relative to it.
    pub(crate) here: PathBuf,
}

/// There is no clone to work on.
#[derive(Debug, Error)]
pub(crate) enum NoRepo {
    #[error("this is not run from a clone of bioscope: run `cargo xtask` in one")]
    Nowhere,
    #[error("the current directory cannot be used: run `cargo xtask` in a clone of bioscope")]
    Here(#[source] xshell::Error),
}

impl ExitError for NoRepo {
    fn exit(&self) -> Exit {
        Exit::NoInput
    }
}

impl Repo {
    /// Finds the clone and goes to its root.
    ///
    /// # Errors
    /// There is none, or the current directory is gone.
    pub(crate) fn find() -> Result<Repo, NoRepo> {
        let shell = Shell::new().map_err(NoRepo::Here)?;
        let here = shell.current_dir();
        // `cargo run` names the package's directory when it starts us; a binary started by hand has its own place.
        let starts = [
            std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
            std::env::current_exe().ok(),
            Some(here.clone()),
        ];
        let root = starts.into_iter().flatten().find_map(|start| root_above(&start));
        let root = root.ok_or(NoRepo::Nowhere)?;
        let root = root.canonicalize().unwrap_or(root);
        let target = target(&root, &here, std::env::var_os("CARGO_TARGET_DIR"));
        shell.change_dir(&root);
        shell.set_var("CARGO_TARGET_DIR", &target);
        shell.set_var("BIOSCOPE_ROOT", &root);
        shell.set_var("BIOSCOPE_TARGET", &target);
        Ok(Repo {
            shell,
            root,
            target,
            here,
        })
    }
}

/// The nearest directory, this one or one above, that is the root of a clone.
fn root_above(start: &Path) -> Option<PathBuf> {
    let is_root = |dir: &&Path| dir.join("kernels.toml").is_file() && dir.join("Cargo.toml").is_file();
    start.ancestors().find(is_root).map(Path::to_owned)
}

/// cargo's target directory, which may be named relative to where the person is.
fn target(root: &Path, here: &Path, named: Option<OsString>) -> PathBuf {
    named.map_or_else(|| root.join("target"), |dir| here.join(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_nearest_folder_with_both_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, package) = (dir.path().join("clone"), dir.path().join("clone/xtask"));
        std::fs::create_dir_all(&package).expect("folders");
        for file in ["Cargo.toml", "xtask/Cargo.toml"] {
            std::fs::write(root.join(file), "").expect("a file");
        }
        assert_eq!(root_above(&package), None);
        std::fs::write(root.join("kernels.toml"), "").expect("a file");
        assert_eq!(root_above(&package), Some(root.clone()));
        assert_eq!(root_above(&root), Some(root.clone()));
        assert_eq!(root_above(dir.path()), None);
    }

    #[test]
    fn the_target_directory_is_cargos() {
        let (root, here) = (Path::new("/clone"), Path::new("/clone/docs"));
        assert_eq!(target(root, here, None), Path::new("/clone/target"));
        assert_eq!(target(root, here, Some("t".into())), Path::new("/clone/docs/t"));
        assert_eq!(target(root, here, Some("/t".into())), Path::new("/t"));
    }
}
