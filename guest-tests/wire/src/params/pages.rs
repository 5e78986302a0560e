//! Sizes in whole pages.

use serde::{Deserialize, Serialize};

/// Size of a page, on the machines that we run on and in the pattern of the data.
pub const PAGE_BYTES: usize = 4096;

/// A length or an offset in pages of [`PAGE_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pages(pub u32);

impl Pages {
    /// So many KiB, a multiple of 4: another number does not compile in a `const`.
    #[must_use]
    #[track_caller]
    pub const fn kib(kib: u32) -> Pages {
        assert!(kib.is_multiple_of(4), "a size must be a multiple of 4 KiB");
        Pages(kib / 4)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(mib: u32) -> Pages {
        Pages::kib(mib * 1024)
    }

    /// How many they are.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0 as usize
    }

    /// How many bytes they have.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.count() * PAGE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_pages() {
        assert_eq!((Pages::kib(256), Pages::mib(8)), (Pages(64), Pages(2048)));
        assert_eq!((Pages(1300).count(), Pages::kib(8).bytes()), (1300, 8192));
    }

    #[test]
    #[should_panic(expected = "a size must be a multiple of 4 KiB")]
    fn a_part_of_a_page_is_refused() {
        let _ = Pages::kib(5);
    }
}
