//! Tagged data pages: how a test names "the third page of my file" without knowing where it lands on disk.
//!
//! A tagged page is 4 KiB and begins with [`MAGIC`], the tag as `u64` little endian and the page's index as `u64`
//! little endian. The device looks at the first [`HEADER_LEN`] bytes of a write's data and at nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a tagged page begins with.
pub const MAGIC: [u8; 8] = *b"BIOSCOPE";

/// Length of the header in bytes: magic, tag and page index.
pub const HEADER_LEN: usize = 24;

/// Length of a tagged page in bytes.
pub const PAGE_LEN: usize = 4096;

/// The tag found at the head of a write's data. On the wire and in the trace it is `[tag, page]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Tag {
    /// Which buffer or file the page belongs to.
    pub tag: u64,
    /// Index of the page in that buffer or file, from 0.
    pub page: u64,
}

impl Tag {
    /// Reads a tag from the first bytes of a page; `None` when they are not tagged.
    #[must_use]
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Tag> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (tag, rest) = rest.split_first_chunk::<8>()?;
        let (page, _) = rest.split_first_chunk::<8>()?;
        (*magic == MAGIC).then(|| Tag {
            tag: u64::from_le_bytes(*tag),
            page: u64::from_le_bytes(*page),
        })
    }

    /// The header that [`Tag::read`] reads.
    #[must_use]
    pub fn header(self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&self.tag.to_le_bytes());
        header[16..].copy_from_slice(&self.page.to_le_bytes());
        header
    }
}

impl From<(u64, u64)> for Tag {
    fn from((tag, page): (u64, u64)) -> Self {
        Tag { tag, page }
    }
}

impl From<Tag> for (u64, u64) {
    fn from(tag: Tag) -> Self {
        (tag.tag, tag.page)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tag, self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_reads_back() {
        let tag = Tag { tag: 7, page: 513 };
        assert_eq!(Tag::read(&tag.header()), Some(tag));
    }

    #[test]
    fn other_bytes_are_no_tag() {
        assert_eq!(Tag::read(&[0; 64]), None);
        assert_eq!(Tag::read(b"BIOSCOPE"), None, "a header cut short");
    }
}
