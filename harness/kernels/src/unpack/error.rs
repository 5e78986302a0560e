//! Why files do not become a kernel.

use std::path::PathBuf;

use exit::{Exit, ExitError};
use host::cache::CacheError;
use host::tool::ToolError;

use crate::payload;

/// Minutes that a tool may take.
pub(super) const DEADLINE_MIN: u64 = 5;

/// Why packages or files do not become a kernel that boots.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// No kernel image is where packages put it.
    #[error(
        "no kernel image in {packages}: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only \
        names others has none"
    )]
    NoImage {
        /// The packages, for a person.
        packages: String,
    },
    /// There are several.
    #[error("several kernel images in {packages}: {images}; name one kernel's packages only")]
    ManyImages {
        /// The packages, for a person.
        packages: String,
        /// The images found.
        images: String,
    },
    /// A package file is damaged, or of a kind that nobody knows.
    #[error("{} cannot be unpacked: it is damaged, or no package; download or build it again", path.display())]
    Damaged {
        path: PathBuf,
        /// What bsdtar said.
        source: ToolError,
    },
    /// A package file holds much more than a kernel's does.
    #[error(
        "{} was not unpacked within {} min: it holds much more than a kernel does, or the disk is slow; name a \
        kernel's package",
        path.display(), DEADLINE_MIN
    )]
    TooLong { path: PathBuf },
    /// A file that kernels.toml or the command line names cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// What is named by its content has another one now.
    #[error("{} changed while it was read; run this again when it is written", path.display())]
    Changed { path: PathBuf },
    /// A file that was named is no kernel.
    #[error("{} is no kernel: {reason}", path.display())]
    NotAKernel {
        path: PathBuf,
        reason: payload::PayloadError,
    },
    /// The modules directory given holds no modules of this kernel.
    #[error(
        "{} holds no modules of {release}: {found}; build the two together, or leave `modules` out if all is built in",
        path.display()
    )]
    NoModules {
        /// The directory given.
        path: PathBuf,
        /// The kernel's release.
        release: String,
        /// What is there.
        found: String,
    },
    /// Packages hold modules of several kernels.
    #[error(
        "{packages}: modules of {others} are there, which {release} does not load; name packages of one build, and \
        each of its modules"
    )]
    OtherModules {
        /// The packages, for a person.
        packages: String,
        /// The kernel's release.
        release: String,
        /// The releases whose modules are there.
        others: String,
    },
    /// What drives the disk is a module, and no modules are given.
    #[error(
        "{}: the driver of the disk (virtio_blk) is not built into {release}: {how}, or build it with \
        CONFIG_VIRTIO_BLK=y",
        path.display()
    )]
    NeedsModules {
        path: PathBuf,
        /// How its modules are named.
        how: String,
        /// The kernel's release.
        release: String,
    },
    /// Nothing says which modules are built in.
    #[error(
        "{packages}: modules of {release} are there, but no modules.builtin, which says what is built in; another \
        package of this kernel has it (Debian's linux-base-{release} from 7.x on): name it as well"
    )]
    NoBuiltin {
        /// The packages, for a person.
        packages: String,
        /// The kernel's release.
        release: String,
    },
    /// A module cannot be decompressed.
    #[error("cannot decompress {}", path.display())]
    Module {
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A host tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ExitError for UnpackError {
    fn exit(&self) -> Exit {
        match self {
            UnpackError::Module { .. } => Exit::Internal,
            UnpackError::NoImage { .. }
            | UnpackError::ManyImages { .. }
            | UnpackError::Damaged { .. }
            | UnpackError::TooLong { .. }
            | UnpackError::Read { .. }
            | UnpackError::Changed { .. }
            | UnpackError::NotAKernel { .. }
            | UnpackError::NeedsModules { .. }
            | UnpackError::NoBuiltin { .. }
            | UnpackError::OtherModules { .. }
            | UnpackError::NoModules { .. } => Exit::NoInput,
            UnpackError::Tool(error) => error.exit(),
            UnpackError::Cache(error) => error.exit(),
        }
    }
}
