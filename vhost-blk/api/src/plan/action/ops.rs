//! The operations that an action can be done to, and how messages and sentences name them.

use crate::op::Op;

/// Which requests an action can be done to, whatever the rule's trigger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ops(&'static [Op]);

impl Ops {
    /// Every request.
    pub(super) const ALL: Ops = Ops(&Op::MATCHABLE);

    /// Requests with these operations, in the order of [`Op::MATCHABLE`].
    pub(super) const fn of(ops: &'static [Op]) -> Ops {
        Ops(ops)
    }

    /// Whether this operation is among them.
    pub(crate) fn contains(self, op: Op) -> bool {
        self.0.contains(&op)
    }

    /// The operation, if there is but one: what a rule for `any` means, too.
    pub(crate) fn only(self) -> Option<Op> {
        match self.0 {
            [op] => Some(*op),
            _ => None,
        }
    }

    /// The words of the rule language that can stand after the action, for messages.
    pub(crate) fn expected(self) -> String {
        format!("{} or any", self.names().join(", "))
    }

    /// What a rule for `any` means, for its sentence.
    pub(crate) fn noun(self) -> String {
        let missing: Vec<Op> = Op::MATCHABLE.into_iter().filter(|op| !self.contains(*op)).collect();
        match missing[..] {
            [] => "request".to_owned(),
            [op] => format!("request that is no {op}"),
            _ => self.names().join(" or "),
        }
    }

    fn names(self) -> Vec<&'static str> {
        self.0.iter().map(|op| op.name()).collect()
    }
}
