//! What a file may hold after the write under test, and the first place where it holds something else.

use crate::errno;
use crate::file::Content;
use crate::pattern::{self, Origin, PAGE, SECTOR};

/// What a page of the file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Bytes of the pattern: this page of this tag.
    Page(Origin),
    /// Zeros: a hole, or an extent that was never written.
    Zeros,
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Allowed::Page(origin) => origin.fmt(f),
            Allowed::Zeros => f.write_str("zeros"),
        }
    }
}

/// This page of a tag, as an allowed content.
#[must_use]
pub fn page_of(tag: u64, index: usize) -> Allowed {
    Allowed::Page(Origin {
        tag,
        index: index as u64,
    })
}

/// What a whole file may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// For every page what it may hold. Where several are allowed, each sector may hold any of them.
    pub pages: Vec<Vec<Allowed>>,
    /// Size in bytes at least.
    pub size_min: u64,
    /// Size in bytes at most.
    pub size_max: u64,
}

impl Expected {
    /// A file of exactly `size` bytes whose pages hold what `page` says.
    #[must_use]
    pub fn exactly(size: u64, page: impl FnMut(usize) -> Vec<Allowed>) -> Expected {
        let pages = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(PAGE);
        Expected {
            pages: (0..pages).map(page).collect(),
            size_min: size,
            size_max: size,
        }
    }
}

/// The first place where a file holds what it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The file is too short or too long.
    Size {
        /// The file's size in bytes.
        found: u64,
        /// What it should be, as text.
        expected: String,
    },
    /// A read failed.
    Unreadable {
        /// Offset of the read in bytes.
        offset: u64,
        /// The error's name.
        errno: String,
    },
    /// Bytes differ.
    Data {
        /// Offset of the first differing byte.
        offset: u64,
        /// Length of the run of sectors that differ, from there.
        len: u64,
        /// What belongs there.
        expected: String,
        /// What is there: whose page, zeros, or the bytes.
        found: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::Size { found, expected } => write!(f, "file has {found} bytes, expected {expected}"),
            Difference::Unreadable { offset, errno } => write!(f, "read at offset {offset} fails with {errno}"),
            Difference::Data {
                offset,
                len,
                expected,
                found,
            } => {
                write!(
                    f,
                    "first differing offset {offset}, {len} bytes: expected {expected}, found {found}"
                )
            }
        }
    }
}

/// Compares a file with what it may hold: data before size, for lost data says more than a size.
#[must_use]
pub fn compare(expected: &Expected, content: &Content) -> Option<Difference> {
    let data = first_bad_sector(expected, &content.bytes, 0).map(|(at, offset)| {
        let mut end = at + SECTOR;
        while let Some((next, _)) = first_bad_sector(expected, &content.bytes, end) {
            if next != end {
                break;
            }
            end += SECTOR;
        }
        let end = end.min(content.bytes.len());
        Difference::Data {
            offset: offset as u64,
            len: (end - offset) as u64,
            expected: join(&expected.pages[offset / PAGE]),
            found: describe(&content.bytes, offset),
        }
    });
    if data.is_some() {
        return data;
    }
    let found = content.bytes.len() as u64;
    if let Some(error) = content.error {
        return Some(Difference::Unreadable {
            offset: found,
            errno: errno::name(error),
        });
    }
    ((found < expected.size_min) || (found > expected.size_max)).then(|| Difference::Size {
        found,
        expected: size_text(expected.size_min, expected.size_max),
    })
}

/// How a range of sizes is written.
#[must_use]
pub(crate) fn size_text(min: u64, max: u64) -> String {
    if min == max {
        format!("{min}")
    } else {
        format!("{min} to {max}")
    }
}

/// The first sector at or after `from` that holds none of what is allowed, and its first byte that differs from the
/// first of what is allowed.
fn first_bad_sector(expected: &Expected, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut wanted = [0u8; PAGE];
    for (index, page) in bytes.chunks(PAGE).enumerate().skip(from / PAGE) {
        let allowed = expected.pages.get(index)?;
        let mut good = [allowed.is_empty(); PAGE / SECTOR];
        let mut first = [0; PAGE / SECTOR];
        for (choice, allowed) in allowed.iter().enumerate() {
            match allowed {
                Allowed::Page(origin) => pattern::fill_page(&mut wanted, origin.tag, origin.index),
                Allowed::Zeros => wanted.fill(0),
            }
            for (sector, (found, wanted)) in page.chunks(SECTOR).zip(wanted.chunks(SECTOR)).enumerate() {
                match found.iter().zip(wanted).position(|(found, wanted)| found != wanted) {
                    None => good[sector] = true,
                    Some(at) if choice == 0 => first[sector] = at,
                    Some(_) => {}
                }
            }
        }
        for sector in 0..page.len().div_ceil(SECTOR) {
            let at = index * PAGE + sector * SECTOR;
            if at >= from && !good[sector] {
                return Some((at, at + first[sector]));
            }
        }
    }
    None
}

fn join(allowed: &[Allowed]) -> String {
    allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// What is at an offset: zeros, a page that says where it belongs, or the bytes.
fn describe(bytes: &[u8], offset: usize) -> String {
    let sector = offset / SECTOR * SECTOR;
    let found = &bytes[sector..bytes.len().min(sector + SECTOR)];
    if found.iter().all(|byte| *byte == 0) {
        return "zeros".to_owned();
    }
    if let Some(origin) = pattern::origin(&bytes[offset / PAGE * PAGE..]) {
        return origin.to_string();
    }
    let shown: Vec<String> = bytes[offset..]
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("bytes {}", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{TAG_OLD, TAG_SOURCE, fill};
    use rustix::io::Errno;

    fn source(pages: usize) -> Vec<u8> {
        let mut bytes = vec![0; pages * PAGE];
        fill(&mut bytes, TAG_SOURCE, 0);
        bytes
    }

    fn expected(pages: usize) -> Expected {
        Expected::exactly((pages * PAGE) as u64, |page| vec![page_of(TAG_SOURCE, page)])
    }

    fn text(expected: &Expected, bytes: Vec<u8>, error: Option<Errno>) -> String {
        compare(expected, &Content { bytes, error }).map_or_else(|| "same".to_owned(), |d| d.to_string())
    }

    #[test]
    fn names_the_first_difference() {
        assert_eq!(text(&expected(4), source(4), None), "same");
        let mut bytes = source(4);
        bytes[..PAGE].fill(0);
        assert_eq!(
            text(&expected(4), bytes.clone(), None),
            "first differing offset 0, 4096 bytes: expected source (tag 1) page 0, found zeros"
        );
        bytes[..PAGE].copy_from_slice(&pattern::page(TAG_OLD, 0));
        assert_eq!(
            text(&expected(4), bytes, None),
            "first differing offset 8, 4088 bytes: expected source (tag 1) page 0, found old data (tag 3) page 0"
        );
        assert_eq!(
            text(&expected(4), source(3), None),
            "file has 12288 bytes, expected 16384"
        );
        assert_eq!(
            text(&expected(4), source(2), Some(Errno::IO)),
            "read at offset 8192 fails with EIO"
        );
        assert_eq!(
            text(&expected(1), source(2), None),
            "file has 8192 bytes, expected 4096"
        );
    }

    #[test]
    fn a_page_may_be_old_or_new_by_sectors() {
        let rule = |page| vec![page_of(TAG_SOURCE, page), page_of(TAG_OLD, page)];
        let expected = Expected::exactly(PAGE as u64, rule);
        let mut bytes = source(1);
        bytes[SECTOR..].copy_from_slice(&pattern::page(TAG_OLD, 0)[SECTOR..]);
        assert_eq!(text(&expected, bytes.clone(), None), "same");
        bytes[3 * SECTOR + 5] ^= 0xff;
        let difference = compare(&expected, &Content { bytes, error: None });
        assert!(
            matches!(difference, Some(Difference::Data { len, .. }) if len <= SECTOR as u64),
            "{difference:?}"
        );
    }

    #[test]
    fn nothing_said_about_a_page_allows_anything() {
        let expected = Expected::exactly(PAGE as u64, |_| Vec::new());
        assert_eq!(text(&expected, vec![9; PAGE], None), "same");
    }
}
