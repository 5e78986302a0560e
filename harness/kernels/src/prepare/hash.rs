//! Names of artifacts that are not built.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::Error;
use crate::lock::Deb;
use crate::{fetch, store, unpack};

/// The name of an artifact of packages.
pub(super) fn package_hash(debs: &[Deb]) -> String {
    let sums: Vec<&str> = debs.iter().map(|deb| deb.sha256.as_str()).collect();
    store::hash(&sums)
}

/// The name of an artifact of an image: the hash of the image's bytes, and of what its modules look like from outside
/// (reading them all takes too long).
pub(super) fn image_hash(image: &Path, modules: Option<&Path>) -> Result<String, Error> {
    unpack::check_image(image)?;
    let bytes = fs::read(image).map_err(|source| unpack::UnpackError::Read {
        path: image.to_owned(),
        source,
    })?;
    let mut seen = String::new();
    if let Some(modules) = modules {
        let top = modules.canonicalize().map_err(|source| unpack::UnpackError::Read {
            path: modules.to_owned(),
            source,
        })?;
        seen.push_str(&top.display().to_string());
        // `/` holds the modules of this machine, and much more. What has none is refused later.
        let release = unpack::release_of(&bytes);
        if let Some(Ok(folder)) = release.map(|release| unpack::modules_folder(&top, &release)) {
            look(&folder.canonicalize().unwrap_or(folder), &mut seen);
        }
    }
    Ok(store::hash(&[b"image", bytes.as_slice(), seen.as_bytes()]))
}

/// The name of an artifact of package files: the hashes of what they hold.
pub(super) fn files_hash(files: &[PathBuf]) -> Result<String, Error> {
    let sum = |path: &PathBuf| {
        // A file that is missing is the user's, and no fault of the cache's.
        unpack::check_file(path)?;
        Ok::<_, Error>(fetch::sha256(path)?)
    };
    let mut parts = vec!["package files".to_owned()];
    for file in files {
        parts.push(sum(file)?);
    }
    Ok(store::hash(&parts))
}

fn look(folder: &Path, seen: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            look(&entry.path(), seen);
            continue;
        }
        let modified = meta
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        seen.push_str(&format!(
            "\n{} {} {}",
            entry.path().display(),
            meta.len(),
            modified.as_nanos()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_of_the_kernel_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let image = dir.path().join("vmlinux");
        fs::write(&image, "Linux version 6.1.9 (gcc)").expect("a file");
        let modules = dir.path().join("lib/modules/6.1.9/kernel");
        fs::create_dir_all(&modules).expect("a directory");
        let name = || image_hash(&image, Some(dir.path())).expect("a name");
        let first = name();
        fs::write(dir.path().join("anything"), "else").expect("a file");
        assert_eq!(name(), first);
        fs::write(modules.join("a.ko"), "module").expect("a file");
        assert_ne!(name(), first);
    }
}
