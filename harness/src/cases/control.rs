//! Controls: what must work on every kernel and file system, or the rig itself is in doubt.

use super::{Case, PLAIN, Profile};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "rw-verify",
        about: "buffered and direct writes read back the same, before and after a remount",
        params: &[("size", "2097152")],
        ..PLAIN
    },
    Case {
        name: "rw-verify.delayed",
        about: "the same on a disk that answers late and out of order",
        params: &[("size", "2097152")],
        rules: &["delay write for=1ms..5ms p=0.2 name=late", "reorder write window=4 order=reverse name=order"],
        needs: &[super::Need::ReleasedByCondition("order")],
        ..PLAIN
    },
    Case {
        name: "rw-verify.large",
        about: "the same with 8 MiB",
        profile: Profile::Full,
        params: &[("size", "8388608")],
        ..PLAIN
    },
];
