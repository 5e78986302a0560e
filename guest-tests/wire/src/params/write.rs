//! Parameters of the tests that write directly from a buffer into another file.

use serde::{Deserialize, Serialize};

use crate::params::check::{Parameters, ParamsError, some_absent, some_page};
use crate::params::file::{FillOrder, Target, WriteSync};
use crate::params::pages::Pages;

/// `partial-write`: some pages of the buffer are not in memory when the write begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialWrite {
    /// How much is written in one call.
    pub size: Pages,
    /// Pages of the buffer that are touched first; the others are absent.
    pub present: Pages,
    /// The file, and where in it the write begins.
    pub target: Target,
    /// How the file is opened for the write.
    pub sync: WriteSync,
    /// The device fails a request of the write: it must not succeed.
    pub expect_error: bool,
}

impl Parameters for PartialWrite {
    const TEST: &'static str = "partial-write";
    const PLAIN: PartialWrite = PartialWrite {
        size: Pages::kib(256),
        present: Pages(1),
        target: Target::NEW,
        sync: WriteSync::None,
        expect_error: false,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        some_absent(self.present, self.size, "fewer pages than the write has")?;
        self.target.validate()
    }
}

/// `zero-progress`: the buffer's first page cannot be read, so the write cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroProgress {
    /// Length of the write.
    pub size: Pages,
    /// The state of the buffer's first page.
    pub first: FirstPage,
    /// The file, and where in it the write begins.
    pub target: Target,
    /// How the file is opened for the write.
    pub sync: WriteSync,
}

/// The state of a buffer's first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPage {
    /// `PROT_NONE`: the write must fail with EFAULT.
    Forbidden,
    /// Absent, and faulted in when the write gets to it.
    Cold,
}

impl Parameters for ZeroProgress {
    const TEST: &'static str = "zero-progress";
    const PLAIN: ZeroProgress = ZeroProgress {
        size: Pages::kib(256),
        first: FirstPage::Forbidden,
        target: Target::NEW,
        sync: WriteSync::None,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        some_page("size", self.size)?;
        self.target.validate()
    }
}

/// `fault-midway`: the buffer can be read at its beginning and is forbidden further on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultMidway {
    /// Length of the write.
    pub size: Pages,
    /// How much of the buffer can be read, from its beginning.
    pub readable: Pages,
    /// What kind of memory the readable part is.
    pub source: SourceBuffer,
    /// The file, and where in it the write begins.
    pub target: Target,
    /// How the file is opened for the write.
    pub sync: WriteSync,
}

/// Memory that a buffer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceBuffer {
    /// A mapping of a file, which page faults fill.
    File {
        /// Pages that are touched first; the others are absent.
        present: Pages,
    },
    /// Anonymous memory, all of it present.
    Anonymous,
}

impl Parameters for FaultMidway {
    const TEST: &'static str = "fault-midway";
    const PLAIN: FaultMidway = FaultMidway {
        size: Pages::kib(256),
        readable: Pages::kib(128),
        source: SourceBuffer::File { present: Pages(1) },
        target: Target::NEW,
        sync: WriteSync::None,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        if self.readable == Pages(0) || self.readable >= self.size {
            let expected = "more than 0 and less than size";
            return Err(ParamsError::bytes("readable", self.readable, expected));
        }
        if let SourceBuffer::File { present } = self.source
            && present > self.readable
        {
            let expected = "no more pages than are readable";
            return Err(ParamsError::pages("present", present, expected));
        }
        self.target.validate()
    }
}

/// `ioerr-leak`: the device fails a write, of which nothing may stay reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoerrLeak {
    /// Length of the write.
    pub size: Pages,
    /// Order in which the buffer's pages are faulted in.
    pub order: FillOrder,
    /// The file, and where in it the write begins.
    pub target: Target,
    /// How the file is opened for the write.
    pub sync: WriteSync,
    /// The device fails a request of the write; without it the same is run on a device that works.
    pub expect_error: bool,
}

impl Parameters for IoerrLeak {
    const TEST: &'static str = "ioerr-leak";
    const PLAIN: IoerrLeak = IoerrLeak {
        size: Pages::mib(8),
        order: FillOrder::Backwards,
        target: Target::NEW,
        sync: WriteSync::None,
        expect_error: true,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        some_page("size", self.size)?;
        self.target.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(params: &impl Parameters) -> String {
        params.validate().unwrap_err().to_string()
    }

    #[test]
    fn some_page_of_a_partial_write_must_be_absent() {
        let of_four = |present| PartialWrite {
            size: Pages(4),
            present: Pages(present),
            ..PartialWrite::PLAIN
        };
        assert_eq!(of_four(3).validate(), Ok(()));
        assert_eq!(
            refused(&of_four(4)),
            "parameter present=4: expected fewer pages than the write has"
        );
    }

    #[test]
    fn an_append_needs_something_before_it() {
        let target = Target::Append { prefix: Pages(0) };
        let params = PartialWrite {
            target,
            ..PartialWrite::PLAIN
        };
        assert_eq!(refused(&params), "parameter prefix=0: expected at least 4096");
    }

    #[test]
    fn a_part_of_the_buffer_is_readable() {
        let of_four = |readable, present| FaultMidway {
            size: Pages(4),
            readable: Pages(readable),
            source: SourceBuffer::File {
                present: Pages(present),
            },
            ..FaultMidway::PLAIN
        };
        assert_eq!(of_four(2, 2).validate(), Ok(()));
        let expected = "expected more than 0 and less than size";
        assert_eq!(refused(&of_four(0, 0)), format!("parameter readable=0: {expected}"));
        assert_eq!(refused(&of_four(4, 1)), format!("parameter readable=16384: {expected}"));
        assert_eq!(
            refused(&of_four(2, 3)),
            "parameter present=3: expected no more pages than are readable"
        );
    }

    #[test]
    fn nothing_is_no_write() {
        let size = Pages(0);
        let params = ZeroProgress {
            size,
            ..ZeroProgress::PLAIN
        };
        assert_eq!(refused(&params), "parameter size=0: expected at least 4096");
        let params = IoerrLeak {
            size,
            ..IoerrLeak::PLAIN
        };
        assert_eq!(refused(&params), "parameter size=0: expected at least 4096");
    }
}
