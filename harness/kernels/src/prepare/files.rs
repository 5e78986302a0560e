//! Files that are there already, into the store.

use std::path::{Path, PathBuf};

use super::hash::{files_hash, image_hash};
use crate::error::Error;
use crate::store::{self, Artifact, Description};
use crate::unpack::{self, UnpackError};
use host::cache::Cache;
use host::progress::Progress;

/// An image, with its modules if it has some.
pub(super) fn image(
    cache: &Cache,
    id: &str,
    image: &Path,
    modules: Option<&Path>,
    progress: &Progress,
) -> Result<Artifact, Error> {
    let name = || image_hash(image, modules);
    take_in(cache, id, image, name, progress, |made| {
        unpack::image(image, modules, made)
    })
}

/// Package files: a kernel's, and those of its modules.
pub(super) fn package_files(
    cache: &Cache,
    id: &str,
    files: &[PathBuf],
    progress: &Progress,
) -> Result<Artifact, Error> {
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    take_in(
        cache,
        id,
        first,
        || files_hash(files),
        progress,
        |made| {
            let _step = progress.spinner(format!("unpacking {id}"));
            unpack::package_files(files, made)
        },
    )
}

/// Takes in what has a name by its content, unless the store has it.
fn take_in(
    cache: &Cache,
    id: &str,
    file: &Path,
    name: impl Fn() -> Result<String, Error>,
    progress: &Progress,
    unpack: impl FnOnce(&Path) -> Result<Description, UnpackError>,
) -> Result<Artifact, Error> {
    let hash = name()?;
    let on_wait = || progress.say(&format!("waiting for another run that takes in {id}"));
    store::get_or_make(cache, id, &hash, on_wait, |made| {
        let unpacked = unpack(made);
        // A build may have written it meanwhile; another kernel would go by this one's name for ever.
        if name()? != hash {
            return Err(UnpackError::Changed { path: file.to_owned() }.into());
        }
        Ok(unpacked?)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_changes_meanwhile_gets_no_others_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(dir.path().join("cache"));
        let file = dir.path().join("bzImage");
        let taken = |content: &str, meanwhile: &str| {
            fs::write(&file, content).expect("a file");
            let name = || Ok(store::hash(&[fs::read(&file).expect("a file")]));
            take_in(&cache, "a", &file, name, &Progress::hidden(), |made| {
                fs::write(&file, meanwhile).expect("a file");
                fs::copy(&file, made.join("bzImage")).expect("a copy");
                Ok(Description {
                    kernel: "bzImage".into(),
                    bzimage: "bzImage".into(),
                    release: "6.1.9".to_owned(),
                    version: String::new(),
                    modules_root: None,
                    no_elf: None,
                    made_of: None,
                })
            })
        };
        let error = taken("old", "new").expect_err("it changed").to_string();
        assert!(
            error.ends_with("bzImage changed while it was read; run this again when it is written"),
            "{error}"
        );
        let artifact = taken("old", "old").expect("an artifact");
        assert_eq!(fs::read_to_string(artifact.kernel).expect("a file"), "old");
    }
}
