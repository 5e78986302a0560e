//! Bytes that say where they belong: every 4 KiB page carries a tag and its page index, and the rest follows from both.
//!
//! A page found in the wrong place is recognised for what it is (zeros, an older file's page, another offset's), and a
//! device can tell a test's requests from the file system's own by looking at the first 24 bytes of the data.

/// Size of a page of the pattern; the page size of the machines we run on.
pub const PAGE: usize = guest_wire::params::PAGE_BYTES;
/// The unit in which mixed old and new data is told apart: what a disk writes at once.
pub(crate) const SECTOR: usize = 512;
/// The first eight bytes of every page.
pub const MAGIC: [u8; 8] = *b"BIOSCOPE";

/// Tag of the pages of the source file or buffer.
pub const TAG_SOURCE: u64 = 1;
/// Tag of what a control test writes into its target itself.
pub const TAG_TARGET: u64 = 2;
/// Tag of the content that a target had before the write under test.
pub const TAG_OLD: u64 = 3;

/// Bytes of a page before its deterministic filling: magic, tag, page index.
const HEADER: usize = 24;

/// Fills a page (or its beginning, if `page` is shorter than [`PAGE`]).
pub(crate) fn fill_page(page: &mut [u8], tag: u64, index: u64) {
    for (at, word) in page.chunks_mut(8).enumerate() {
        let bytes = word_at(tag, index, at);
        let len = word.len();
        word.copy_from_slice(&bytes[..len]);
    }
}

/// Fills a buffer with consecutive pages, the first of which has page index `first`.
#[cfg(test)]
pub(crate) fn fill(buffer: &mut [u8], tag: u64, first: u64) {
    for (page, index) in buffer.chunks_mut(PAGE).zip(first..) {
        fill_page(page, tag, index);
    }
}

/// A page of [`PAGE`] bytes, which follow from tag and index.
#[must_use]
pub fn page(tag: u64, index: u64) -> [u8; PAGE] {
    let mut bytes = [0; PAGE];
    fill_page(&mut bytes, tag, index);
    bytes
}

/// Where a page's data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Which buffer or file the page was made for.
    pub tag: u64,
    /// The page index within that tag.
    pub index: u64,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.tag {
            TAG_SOURCE => "source",
            TAG_TARGET => "target",
            TAG_OLD => "old data",
            tag => return write!(f, "tag {tag} page {}", self.index),
        };
        write!(f, "{what} (tag {}) page {}", self.tag, self.index)
    }
}

/// What tag and index a page claims, if it begins like one of ours.
#[must_use]
pub fn origin(page: &[u8]) -> Option<Origin> {
    let rest = page.strip_prefix(&MAGIC)?;
    let tag = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let index = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
    Some(Origin { tag, index })
}

/// The first difference between a buffer and the pattern it should hold.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Offset of the first differing byte in the buffer.
    pub offset: usize,
    /// The byte that belongs there.
    pub expected: u8,
    /// The byte that is there.
    pub found: u8,
    /// Whose page it is, if it begins like one of ours.
    pub origin: Option<Origin>,
}

/// Compares a buffer with consecutive pages of the pattern, the first of which has page index `first`.
#[cfg(test)]
#[must_use]
pub(crate) fn check(buffer: &[u8], tag: u64, first: u64) -> Option<Mismatch> {
    buffer
        .chunks(PAGE)
        .zip(first..)
        .enumerate()
        .find_map(|(at, (found, index))| {
            let wanted = page(tag, index);
            let differs = found.iter().zip(&wanted).position(|(found, wanted)| found != wanted)?;
            Some(Mismatch {
                offset: at * PAGE + differs,
                expected: wanted[differs],
                found: found[differs],
                origin: origin(found),
            })
        })
}

/// The eight bytes at word `at` of a page.
fn word_at(tag: u64, index: u64, at: usize) -> [u8; 8] {
    match at * 8 {
        0 => MAGIC,
        8 => tag.to_le_bytes(),
        16 => index.to_le_bytes(),
        offset => {
            debug_assert!(offset >= HEADER);
            // The finaliser of splitmix64: neighbouring words, pages and tags share nothing.
            let mut z = tag.rotate_left(48) ^ index.rotate_left(16) ^ (offset as u64);
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_magic_tag_and_index() {
        let bytes = page(7, 0x1_0000_0002);
        assert_eq!(&bytes[..8], b"BIOSCOPE");
        assert_eq!(bytes[8..16], 7u64.to_le_bytes());
        assert_eq!(bytes[16..24], 0x1_0000_0002u64.to_le_bytes());
        assert_eq!(
            origin(&bytes),
            Some(Origin {
                tag: 7,
                index: 0x1_0000_0002
            })
        );
    }

    #[test]
    fn what_is_filled_checks_and_what_is_not_does_not() {
        let mut buffer = vec![0; 3 * PAGE];
        fill(&mut buffer, TAG_SOURCE, 5);
        assert_eq!(check(&buffer, TAG_SOURCE, 5), None);
        assert_eq!(
            check(&buffer, TAG_SOURCE, 6).map(|m| (m.offset, m.origin.map(|o| o.index))),
            Some((16, Some(5)))
        );
        buffer[2 * PAGE + 100] ^= 1;
        assert_eq!(check(&buffer, TAG_SOURCE, 5).map(|m| m.offset), Some(2 * PAGE + 100));
        buffer[PAGE..].fill(0);
        let zeros = check(&buffer, TAG_SOURCE, 5);
        assert_eq!(
            zeros,
            Some(Mismatch {
                offset: PAGE,
                expected: b'B',
                found: 0,
                origin: None
            })
        );
    }

    #[test]
    fn no_sector_of_a_page_equals_one_of_another_place() {
        let pages = [page(1, 0), page(1, 1), page(2, 0), page(2, 1), page(3, 0)];
        let mut sectors: Vec<&[u8]> = pages.iter().flat_map(|page| page.chunks(SECTOR)).collect();
        let all = sectors.len();
        sectors.sort_unstable();
        sectors.dedup();
        assert_eq!(sectors.len(), all);
    }
}
