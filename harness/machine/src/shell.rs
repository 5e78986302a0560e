//! What a guest with a prompt boots into: busybox, a script as pid 1, `inject`, the modules for its disk.

use std::path::{Path, PathBuf};

use exit::Failure;
use guest_wire::Fs;
use kernels::{Artifact, modules};

use crate::initramfs::{self, Content, Entry, INJECT};

/// The guest's pid 1, a script for busybox.
const INIT: &str = include_str!("shell-init.sh");

/// Packs the initramfs into the directory `into`, with this static busybox.
///
/// # Errors
/// The kernel lacks a driver, a file cannot be read, or `into` cannot be written.
pub fn pack(busybox: &Path, guest_bins: &Path, artifact: &Artifact, fs: Fs, into: &Path) -> Result<PathBuf, Failure> {
    let modules = modules::closure(artifact, &initramfs::modules_for(fs))?;
    let init = into.join("init");
    std::fs::write(&init, INIT.replace("@FS@", fs.as_str()))
        .map_err(|error| Failure::cannot_create("the guest's init", &error))?;
    let mut entries = initramfs::spec(&init, &[busybox.to_owned()], &modules);
    entries.push(Entry {
        path: INJECT.into(),
        content: Content::Program(guest_bins.join("init")),
    });
    let path = into.join("initramfs.cpio");
    initramfs::write(&path, &entries)?;
    Ok(path)
}
