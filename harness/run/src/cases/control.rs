//! Controls: what must work on every kernel and file system, or the rig itself is in doubt.
//!
//! They share a disk that takes small requests only, so that there is always something to reorder, and one boot.

use evidence::needs::Need;
use guest_wire::params::{Pages, Parameters, RwVerify, TestParams};

use super::case::{Case, PLAIN, Profile, SPLIT};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "rw-verify",
        about: "buffered and direct writes read back the same, before and after a remount",
        params: TestParams::RwVerify(RwVerify {
            size: Pages::kib(512),
            ..RwVerify::PLAIN
        }),
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "rw-verify.delayed",
        about: "the same on a disk that answers late and out of order",
        params: TestParams::RwVerify(RwVerify {
            size: Pages::kib(512),
            ..RwVerify::PLAIN
        }),
        rules: &[
            "reorder write payload=tag:2 window=4 order=reverse max=150ms name=order",
            "delay write for=1ms..5ms p=0.2 name=late",
        ],
        needs: &[Need::ReleasedByCondition("order")],
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "rw-verify.large",
        about: "the same with 8 MiB",
        profile: Profile::Full,
        params: TestParams::RwVerify(RwVerify {
            size: Pages::mib(8),
            ..RwVerify::PLAIN
        }),
        ..PLAIN
    },
];
