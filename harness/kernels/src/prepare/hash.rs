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

/// The name of an artifact of an image: the hash of the image's bytes, and of what its modules directory looks like
/// from outside (reading it all takes too long).
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
        look(&top, &mut seen);
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
