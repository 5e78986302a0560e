//! What a case is, and the values that most cases share.

use evidence::needs::Need;
use guest_wire::Fs;
use guest_wire::params::{Parameters, RwVerify, TestParams};
use machine::DiskShape;
use serde::{Deserialize, Serialize};

/// How much a run takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// One case as the tables hold it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `test` or `test.variant`.
    pub name: &'static str,
    /// One line: what is different here.
    pub about: &'static str,
    /// File systems that it applies to.
    pub fs: &'static [Fs],
    pub(crate) profile: Profile,
    /// The test's parameters, which also say which test it is.
    pub params: TestParams,
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
    fs: &Fs::ALL,
    profile: Profile::Default,
    params: TestParams::RwVerify(RwVerify::PLAIN),
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

pub(crate) const BTRFS: &[Fs] = &[Fs::Btrfs];

impl Case {
    /// The test that it is a variant of; also the name of the guest binary.
    #[must_use]
    pub fn test(&self) -> &'static str {
        self.params.test_name()
    }
}
