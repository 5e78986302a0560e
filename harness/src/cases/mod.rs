//! The cases: each test's variants with their parameters, fault plans and what makes them count.
//!
//! A *test* is a guest binary; a *case* is one way of running it. To add one, add an entry to the table of its test
//! (`direct.rs`, `faults.rs`, `control.rs`) and, for a new test, a binary in `guest-tests/src/bin`.

mod control;
mod direct;
mod ioerr;
mod mapping;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::golden::Fs;
use crate::vm::args::DiskShape;

/// The name of the case that runs a user's own program.
pub const EXEC: &str = "exec";

/// How much a run takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What `cargo xtask test` runs: each test's plain case and the variants that take another path in the kernel.
    Default,
    /// Rarer variants and sizes as well.
    Full,
    /// All of them, on the kernels of kernels.toml that carry known bugs: shows that the cases catch what they are for.
    Truth,
}

impl Profile {
    /// The group of kernels that it is about; none if it says nothing of kernels.
    #[must_use]
    pub fn group(self) -> Option<&'static str> {
        (self == Profile::Truth).then_some("truth")
    }
}

/// What the device must have seen for a case to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The rule of this name fired at least so often.
    Hits(&'static str, u64),
    /// A held request was let go because of what the rule waited for, not because its time was up.
    ReleasedByCondition(&'static str),
    /// The guest's write of pages with this tag reached the device in at least so many requests.
    WriteRequests {
        /// Payload tag of the pages.
        tag: u64,
        /// Least number of requests.
        at_least: usize,
    },
}

/// One case as the tables hold it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `test` or `test.variant`.
    pub name: &'static str,
    /// One line: what is different here.
    pub about: &'static str,
    /// File systems that it applies to.
    pub fs: &'static [Fs],
    /// The smallest profile that has it.
    pub profile: Profile,
    /// Parameters for the guest binary.
    pub params: &'static [(&'static str, &'static str)],
    /// The fault plan: rules in the device's language.
    pub rules: &'static [&'static str],
    /// What the device must have seen.
    pub needs: &'static [Need],
    /// How the disk looks to the guest.
    pub disk: DiskShape,
}

/// A case with everything at its ordinary value; tables override what differs.
pub(crate) const PLAIN: Case = Case {
    name: "",
    about: "",
    fs: ALL,
    profile: Profile::Default,
    params: &[],
    rules: &[],
    needs: &[],
    disk: DiskShape::ORDINARY,
};

/// One request holds at most 64 KiB, so that each bio of a write is cut into several requests.
pub(crate) const SPLIT: DiskShape = DiskShape {
    seg_max: Some(16),
    size_max: Some(4096),
    ..DiskShape::ORDINARY
};

pub(crate) const ALL: &[Fs] = &[Fs::Btrfs, Fs::Ext4, Fs::Xfs];
pub(crate) const BTRFS: &[Fs] = &[Fs::Btrfs];

impl Case {
    /// The test that it is a variant of; also the name of the guest binary.
    #[must_use]
    pub fn test(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// The parameters as the guest takes them.
    #[must_use]
    pub fn params(&self) -> BTreeMap<String, String> {
        self.params
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }
}

/// Every case, in the order in which tables and reports show them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [control::CASES, direct::CASES, mapping::CASES, ioerr::CASES]
        .into_iter()
        .flatten()
}

/// The case of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Case> {
    all().find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_test_has_a_plain_case() {
        let names: BTreeSet<_> = all().map(|case| case.name).collect();
        assert_eq!(names.len(), all().count(), "a case name stands twice");
        for case in all() {
            assert!(names.contains(case.test()), "{} has no plain case", case.name);
        }
    }

    #[test]
    fn every_rule_parses_and_every_need_names_a_rule() {
        for case in all() {
            let rules: Vec<vhost_blk_api::plan::Rule> = case
                .rules
                .iter()
                .map(|rule| {
                    rule.parse()
                        .unwrap_or_else(|error| panic!("{}: {rule}: {error}", case.name))
                })
                .collect();
            for need in case.needs {
                if let Need::Hits(name, _) | Need::ReleasedByCondition(name) = need {
                    let named = rules.iter().any(|rule| rule.name.as_deref() == Some(name));
                    assert!(named, "{}: no rule is called {name}", case.name);
                }
            }
        }
    }
}
