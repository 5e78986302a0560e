//! What two requests are compared by.

use std::fmt;

use vhost_blk_api::op::Op;
use vhost_blk_api::payload::Tag;
use vhost_blk_api::plan::Facts;
use vhost_blk_api::trace::{RangeOnDisk, Submit};

/// What a request looked like, as far as a trace knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    op: Op,
    sector: u64,
    len: u64,
    tag: Option<Tag>,
    ranges: Vec<RangeOnDisk>,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Look {
            op,
            sector,
            len,
            tag,
            ranges,
        } = self;
        write!(f, "{op} of {len} bytes at sector {sector}")?;
        if let Some(tag) = tag {
            write!(f, " with tag {tag}")?;
        }
        for (index, range) in ranges.iter().enumerate() {
            let RangeOnDisk { sector, sectors, flags } = range;
            write!(
                f,
                "{}{sector}..{}",
                if index == 0 { ", sectors " } else { ", " },
                sector.saturating_add(u64::from(*sectors))
            )?;
            if *flags != 0 {
                write!(f, " with flags {flags}")?;
            }
        }
        Ok(())
    }
}

impl From<&Submit> for Look {
    fn from(submit: &Submit) -> Look {
        Look {
            op: submit.op,
            sector: submit.sector,
            len: submit.len,
            tag: submit.tag,
            ranges: submit.ranges.clone(),
        }
    }
}

impl Look {
    /// What a request with these facts and ranges looks like.
    #[must_use]
    pub(crate) fn of(facts: &Facts, ranges: &[RangeOnDisk]) -> Look {
        Look {
            op: facts.op,
            sector: facts.sector,
            len: facts.len,
            tag: facts.tag,
            ranges: ranges.to_vec(),
        }
    }
}
