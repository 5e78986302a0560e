//! What two requests are compared by.

use std::fmt;

use crate::op::Op;
use crate::payload::Tag;
use crate::request::Request;
use crate::trace::Submit;

/// What a request looked like, as far as a trace knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    op: Op,
    sector: u64,
    len: u64,
    tag: Option<Tag>,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Look { op, sector, len, tag } = self;
        write!(f, "{op} of {len} bytes at sector {sector}")?;
        if let Some(tag) = tag {
            write!(f, " with tag {tag}")?;
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
        }
    }
}

impl From<&Request> for Look {
    fn from(Request { facts, .. }: &Request) -> Look {
        Look {
            op: facts.op,
            sector: facts.sector,
            len: facts.len,
            tag: facts.tag,
        }
    }
}
