//! The operations that an action can be done to, and how messages and sentences name them.

use crate::op::Op;

/// Which requests an action can be done to, whatever the rule's trigger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ops {
    /// Every request.
    All,
    /// Those that move data.
    Data,
    /// Those that change something: all but reads.
    Changes,
    /// Flushes.
    Flush,
}

impl Ops {
    /// Whether this operation is among them.
    pub(crate) fn contains(self, op: Op) -> bool {
        match self {
            Ops::All => true,
            Ops::Data => op.moves_data(),
            Ops::Changes => op != Op::Read,
            Ops::Flush => op == Op::Flush,
        }
    }

    /// The operation, if there is but one: what a rule for `any` means, too.
    pub(crate) fn only(self) -> Option<Op> {
        (self == Ops::Flush).then_some(Op::Flush)
    }

    /// The words of the rule language that can stand after the action, for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Ops::All => "read, write, flush, discard, write-zeroes or any",
            Ops::Data => "read, write or any",
            Ops::Changes => "write, flush, discard, write-zeroes or any",
            Ops::Flush => "flush or any",
        }
    }

    /// What a rule for `any` means, for its sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Ops::All => "request",
            Ops::Data => "read or write",
            Ops::Changes => "request that is no read",
            Ops::Flush => "flush",
        }
    }
}
