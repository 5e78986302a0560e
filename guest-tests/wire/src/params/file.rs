//! What a write goes to: how the file was made, where in it the write begins, and whether the write syncs.

use serde::{Deserialize, Serialize};

use crate::params::check::{ParamsError, some_page};
use crate::params::pages::Pages;

/// How a file is laid out before the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Empty: the write allocates and extends.
    New,
    /// Empty, and without copy-on-write and so without checksums (btrfs only): the write allocates and extends. Newer
    /// kernels send direct writes of data that has checksums through the page cache; these they do directly.
    NewNocow,
    /// Full of data: the write is copy-on-write on btrfs, in place elsewhere.
    Existing,
    /// Allocated by fallocate(2) and never written: unwritten extents are converted.
    Prealloc,
    /// Full of data and without copy-on-write (btrfs only): the write goes in place.
    Nocow,
    /// Full of data in 4 KiB extents: the write is mapped piece by piece.
    Fragmented,
    /// [`Nocow`](Layout::Nocow) and [`Fragmented`](Layout::Fragmented): many in-place extents in one write.
    NocowFragmented,
}

/// A [`Layout`] that has data, for a file that is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataLayout {
    /// [`Layout::Existing`]: copy-on-write on btrfs.
    Existing,
    /// [`Layout::Nocow`]: btrfs only, in place.
    Nocow,
    /// [`Layout::Fragmented`]: 4 KiB extents.
    Fragmented,
    /// [`Layout::NocowFragmented`]: btrfs only, many extents in place.
    NocowFragmented,
}

impl From<DataLayout> for Layout {
    fn from(layout: DataLayout) -> Layout {
        match layout {
            DataLayout::Existing => Layout::Existing,
            DataLayout::Nocow => Layout::Nocow,
            DataLayout::Fragmented => Layout::Fragmented,
            DataLayout::NocowFragmented => Layout::NocowFragmented,
        }
    }
}

/// The file that a test writes into, where that is not the source, and where the write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// A write into a file of this layout.
    At {
        /// How the file is made.
        layout: Layout,
        /// Where the write begins.
        offset: Pages,
    },
    /// A write with `O_APPEND`, behind what the file has.
    Append {
        /// How much it has.
        prefix: Pages,
    },
}

impl Target {
    /// A new file, written from its start.
    pub const NEW: Target = Target::of(Layout::New);
    /// An appending write behind the usual prefix.
    pub const APPEND: Target = Target::Append { prefix: Pages(4) };

    /// A file of this layout, written from its start.
    #[must_use]
    pub const fn of(layout: Layout) -> Target {
        Target::At {
            layout,
            offset: Pages(0),
        }
    }

    pub(super) fn validate(self) -> Result<(), ParamsError> {
        match self {
            Target::At { .. } => Ok(()),
            Target::Append { prefix } => some_page("prefix", prefix),
        }
    }
}

/// Whether a write waits until its data is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteSync {
    /// It does not.
    None,
    /// `O_DSYNC`: until the data and the size can be read back.
    Dsync,
    /// `O_SYNC`: until all metadata is durable as well.
    Sync,
}

/// Order in which a buffer's pages are faulted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FillOrder {
    /// First page first. The page allocator then tends to hand out contiguous pages, which merge into large bios.
    Forwards,
    /// Last page first, so that neighbours in the buffer are no neighbours in memory and bios stay small.
    Backwards,
}
