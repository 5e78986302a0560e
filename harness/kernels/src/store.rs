//! The artifact store: kernels ready to boot, each in a directory named by the hash of what it was made of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use host::cache::{Cache, CacheError};

/// Changes whenever a directory's content would be made differently from the same packages.
const FORMAT: u32 = 1;
const FOLDER: &str = "store";
const DESCRIPTION: &str = "artifact.json";

/// A kernel ready to boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The kernel's name in `kernels.toml`.
    pub id: String,
    /// Hash of what it was made of.
    pub hash: String,
    /// Its directory in the store.
    pub dir: PathBuf,
    /// What QEMU is to boot: an ELF with a PVH entry if there is one, else the bzImage.
    pub kernel: PathBuf,
    /// The image as it came.
    pub bzimage: PathBuf,
    /// `uname -r`.
    pub release: String,
    /// The package's version, or the release of an image.
    pub version: String,
    /// Directory that holds `lib/modules/RELEASE`; none if the image came without modules.
    pub modules_root: Option<PathBuf>,
}

impl Artifact {
    /// Whether QEMU boots an ELF through PVH, rather than a bzImage.
    #[must_use]
    pub fn is_elf(&self) -> bool {
        self.kernel != self.bzimage
    }
}

/// What the store keeps beside an artifact's files. Paths are relative to the directory unless they lie outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What QEMU is to boot.
    pub kernel: PathBuf,
    /// The image as it came.
    pub bzimage: PathBuf,
    /// `uname -r`.
    pub release: String,
    /// The package's version.
    pub version: String,
    /// Directory that holds `lib/modules/RELEASE`.
    pub modules_root: Option<PathBuf>,
    /// Why there is no ELF to boot, if there is none.
    pub no_elf: Option<String>,
    /// For one that was built: of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<MadeOf>,
}

/// What a kernel was built of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeOf {
    /// The source, for a person: `v6.1-12-gabcdef`.
    pub source: String,
    /// Its tree, as git names it.
    pub tree: String,
    /// The parts of the configuration, in order.
    pub config: Vec<String>,
    /// Toolchain and make's variables.
    pub with: String,
    /// How many files of the source the build read; `inputs` in the artifact's directory lists them.
    pub files: usize,
}

/// The name of an artifact made of these parts.
#[must_use]
pub fn hash(parts: &[impl AsRef<[u8]>]) -> String {
    let mut sum = Sha256::new();
    sum.update(FORMAT.to_le_bytes());
    for part in parts.iter().map(AsRef::as_ref) {
        // The length keeps parts apart: ["ab"] is not ["a", "b"].
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    hex(&sum.finalize())[..32].to_owned()
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The artifact of this name, if the store has it.
#[must_use]
pub fn get(cache: &Cache, id: &str, hash: &str) -> Option<Artifact> {
    let dir = place(cache, hash);
    let text = std::fs::read_to_string(dir.join(DESCRIPTION)).ok()?;
    let description: Description = serde_json::from_str(&text).ok()?;
    let artifact = Artifact {
        id: id.to_owned(),
        hash: hash.to_owned(),
        kernel: dir.join(&description.kernel),
        bzimage: dir.join(&description.bzimage),
        release: description.release,
        version: description.version,
        modules_root: description.modules_root.map(|root| {
            if root == Path::new(".") {
                dir.clone()
            } else {
                dir.join(root)
            }
        }),
        dir,
    };
    // Someone may have tidied up, or a power cut left an empty image: half an artifact is none.
    let is_image = std::fs::metadata(&artifact.kernel).is_ok_and(|kernel| kernel.is_file() && kernel.len() > 0);
    let whole = is_image && artifact.modules_root.as_ref().is_none_or(|root| root.is_dir());
    // What is used stays when the store is tidied up. A cache that cannot be written is no reason not to use what is
    // there.
    if whole
        && let Ok(file) = std::fs::File::options()
            .append(true)
            .open(artifact.dir.join(DESCRIPTION))
    {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
    whole.then_some(artifact)
}

/// Makes an artifact unless the store has it: `make` fills a scratch directory and describes what it put there.
///
/// # Errors
/// `make` fails, or the store cannot be written to.
pub fn get_or_make<E: From<CacheError>>(
    cache: &Cache,
    id: &str,
    hash: &str,
    on_wait: impl FnOnce(),
    make: impl FnOnce(&Path) -> Result<Description, E>,
) -> Result<Artifact, E> {
    if let Some(artifact) = get(cache, id, hash) {
        return Ok(artifact);
    }
    // Another run may be making the same: its result is waited for, not made twice.
    let _lock = cache.lock(&format!("store-{hash}"), on_wait)?;
    if let Some(artifact) = get(cache, id, hash) {
        return Ok(artifact);
    }
    let scratch = cache.scratch(FOLDER)?;
    let made = scratch.path().join("made");
    std::fs::create_dir(&made).map_err(|source| CacheError::io("create", &made, source))?;
    let description = make(&made)?;
    let path = made.join(DESCRIPTION);
    let text = serde_json::to_string_pretty(&description)
        .map_err(|source| CacheError::io("write", &path, std::io::Error::other(source)))?;
    std::fs::write(&path, text).map_err(|source| CacheError::io("write", &path, source))?;
    let place = place(cache, hash);
    // Whatever is there is not whole, or `get` had found it.
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(|source| CacheError::io("remove", &place, source))?;
    }
    // An image that a power cut left empty would be booted by this name for ever.
    scratch.publish_folder_durably("made", &place)?;
    get(cache, id, hash).ok_or_else(|| {
        let vanished = std::io::Error::other("the artifact vanished right after it was made");
        CacheError::io("read", &place, vanished).into()
    })
}

fn place(cache: &Cache, hash: &str) -> PathBuf {
    cache.root().join(FOLDER).join(hash)
}

/// An artifact as it lies in the store.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The hash of what it was made of, which is its name in the store.
    pub hash: String,
    /// Its directory in the store.
    pub dir: PathBuf,
    /// What the store knows of it.
    pub description: Description,
    /// When a run last took it.
    pub used: std::time::SystemTime,
}

/// All artifacts, the one used last first.
#[must_use]
pub fn all(cache: &Cache) -> Vec<Kept> {
    let entries = std::fs::read_dir(cache.root().join(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let kept = |dir: PathBuf| {
        let file = dir.join(DESCRIPTION);
        Some(Kept {
            hash: dir.file_name()?.to_string_lossy().into_owned(),
            description: serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()?,
            used: file.metadata().and_then(|metadata| metadata.modified()).ok()?,
            dir,
        })
    };
    let mut all: Vec<Kept> = entries.filter_map(|entry| kept(entry.path())).collect();
    all.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.hash.cmp(&b.hash)));
    all
}

/// Removes a directory of the store, or a build directory, unless a run holds its lock; says whether it did. It is
/// moved aside first, so that nobody finds half of it.
///
/// # Errors
/// It cannot be removed.
pub(crate) fn remove(cache: &Cache, dir: &Path, lock: &str) -> Result<bool, CacheError> {
    let Some(_lock) = cache.try_lock(lock)? else {
        return Ok(false);
    };
    let scratch = cache.scratch(FOLDER)?;
    let aside = scratch.path().join("removed");
    std::fs::rename(dir, &aside).map_err(|source| CacheError::io("remove", dir, source))?;
    std::fs::remove_dir_all(&aside).map_err(|source| CacheError::io("remove", &aside, source))?;
    Ok(true)
}
