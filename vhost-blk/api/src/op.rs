//! The operations of a virtio block device, as rules and traces name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of a sector, the unit of the protocol whatever the disk's block size.
pub const SECTOR_BYTES: u64 = 512;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Device to guest memory.
    Read,
    /// Guest memory to device.
    Write,
    /// Make what was written durable.
    Flush,
    /// The range's content is no longer needed.
    Discard,
    /// The range reads as zeros from now on.
    WriteZeroes,
    /// Ask for the serial number. No rule matches it: a driver sends it once, and no file system ever.
    GetId,
}

impl Op {
    /// Those that a rule can name.
    pub const MATCHABLE: [Op; 5] = [Op::Read, Op::Write, Op::Flush, Op::Discard, Op::WriteZeroes];

    /// The name in rules and traces.
    #[must_use]
    #[inline]
    pub fn name(self) -> &'static str {
        match self {
            Op::Read => "read",
            Op::Write => "write",
            Op::Flush => "flush",
            Op::Discard => "discard",
            Op::WriteZeroes => "write-zeroes",
            Op::GetId => "get-id",
        }
    }

    /// Whether data moves between guest memory and disk.
    #[must_use]
    #[inline]
    pub fn moves_data(self) -> bool {
        matches!(self, Op::Read | Op::Write)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
