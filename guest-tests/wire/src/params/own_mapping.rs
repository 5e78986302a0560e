//! Parameters of the tests that read or write a file directly from or into a mapping of that same file.

use serde::{Deserialize, Serialize};

use crate::params::check::{Parameters, ParamsError, some_absent};
use crate::params::file::{DataLayout, WriteSync};
use crate::params::pages::Pages;

/// `self-deadlock`: a file's mapping is written onto the file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfDeadlock {
    /// Size of the file and length of the write.
    pub size: Pages,
    /// Pages of the mapping that are touched first.
    pub present: Pages,
    /// How the file is made.
    pub layout: DataLayout,
    /// How the file is opened for the write.
    pub sync: WriteSync,
    /// The device fails a request of the write: it must not succeed.
    pub expect_error: bool,
}

impl Parameters for SelfDeadlock {
    const TEST: &'static str = "self-deadlock";
    const PLAIN: SelfDeadlock = SelfDeadlock {
        size: Pages::kib(256),
        present: Pages(0),
        layout: DataLayout::Existing,
        sync: WriteSync::None,
        expect_error: false,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        some_absent(self.present, self.size, "fewer pages than the write has")
    }
}

/// `overlap`: a file's mapping is written onto another part of the file, which overlaps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlap {
    /// Size of the file; the write is half of it.
    pub size: Pages,
    /// Pages of the mapping that are touched first.
    pub present: Pages,
    /// How the file is made.
    pub layout: DataLayout,
    /// How the file is opened for the write.
    pub sync: WriteSync,
    /// The device fails a request of the write: it must not succeed.
    pub expect_error: bool,
}

impl Overlap {
    /// Where the write begins.
    #[must_use]
    pub const fn write_offset(&self) -> Pages {
        Pages(self.size.0 / 4)
    }

    /// Length of the write: half of the file.
    #[must_use]
    pub const fn write_size(&self) -> Pages {
        Pages(self.size.0 / 2)
    }
}

impl Parameters for Overlap {
    const TEST: &'static str = "overlap";
    const PLAIN: Overlap = Overlap {
        size: Pages::kib(256),
        present: Pages(1),
        layout: DataLayout::Existing,
        sync: WriteSync::None,
        expect_error: false,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        if !self.size.0.is_multiple_of(4) || self.size < Pages(8) {
            let expected = "a multiple of 16384, at least 32768";
            return Err(ParamsError::bytes("size", self.size, expected));
        }
        let expected = "at least one page, and fewer than the write has";
        if self.present == Pages(0) {
            return Err(ParamsError::pages("present", self.present, expected));
        }
        some_absent(self.present, self.write_size(), expected)
    }
}

/// `read-own-mapping`: a file is read directly into a mapping of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOwnMapping {
    /// Size of the file, all of it mapped.
    pub size: Pages,
    /// Pages of the mapping that are touched first.
    pub present: Pages,
    /// What part of the file is read into the beginning of the mapping.
    pub shift: ReadShift,
    /// How the file is made.
    pub layout: DataLayout,
}

/// What part of a file is read into the beginning of its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadShift {
    /// All of it, onto itself.
    None,
    /// The second half, over the first.
    Half,
}

impl Parameters for ReadOwnMapping {
    const TEST: &'static str = "read-own-mapping";
    const PLAIN: ReadOwnMapping = ReadOwnMapping {
        size: Pages::kib(256),
        present: Pages(0),
        shift: ReadShift::None,
        layout: DataLayout::Existing,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        some_absent(self.present, self.size, "fewer pages than the file has")?;
        if self.shift == ReadShift::Half && !self.size.0.is_multiple_of(2) {
            let expected = "a multiple of 8192 with shift=half";
            return Err(ParamsError::bytes("size", self.size, expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(params: &impl Parameters) -> String {
        params.validate().unwrap_err().to_string()
    }

    #[test]
    fn an_overlap_has_quarters_and_a_page_on_each_side_of_the_fault() {
        let overlap = |size, present| Overlap {
            size: Pages(size),
            present: Pages(present),
            ..Overlap::PLAIN
        };
        assert_eq!(overlap(8, 3).validate(), Ok(()));
        let size = "expected a multiple of 16384, at least 32768";
        assert_eq!(refused(&overlap(9, 1)), format!("parameter size=36864: {size}"));
        assert_eq!(refused(&overlap(4, 1)), format!("parameter size=16384: {size}"));
        let present = "expected at least one page, and fewer than the write has";
        assert_eq!(refused(&overlap(8, 0)), format!("parameter present=0: {present}"));
        assert_eq!(refused(&overlap(8, 4)), format!("parameter present=4: {present}"));
    }

    #[test]
    fn some_page_of_the_mapping_must_be_absent() {
        let (size, present) = (Pages(2), Pages(2));
        let params = SelfDeadlock {
            size,
            present,
            ..SelfDeadlock::PLAIN
        };
        let expected = "parameter present=2: expected fewer pages than the write has";
        assert_eq!(refused(&params), expected);
        let params = ReadOwnMapping {
            size,
            present,
            ..ReadOwnMapping::PLAIN
        };
        let expected = "parameter present=2: expected fewer pages than the file has";
        assert_eq!(refused(&params), expected);
    }

    #[test]
    fn a_file_that_is_read_over_its_half_has_one() {
        let params = ReadOwnMapping {
            size: Pages(3),
            shift: ReadShift::Half,
            ..ReadOwnMapping::PLAIN
        };
        assert_eq!(
            refused(&params),
            "parameter size=12288: expected a multiple of 8192 with shift=half"
        );
    }
}
