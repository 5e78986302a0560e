//! Direct I/O between a file and a mapping of that same file: the seed's deadlocks.

use guest_wire::params::{Overlap, Pages, Parameters, ReadOwnMapping, SelfDeadlock, TestParams, WriteSync};

use super::case::{Case, PLAIN, Profile};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "self-deadlock",
        about: "direct write of a file's own mapping onto itself, nothing cached",
        params: TestParams::SelfDeadlock(SelfDeadlock::PLAIN),
        ..PLAIN
    },
    Case {
        name: "self-deadlock.dsync",
        about: "with O_DSYNC",
        params: TestParams::SelfDeadlock(SelfDeadlock {
            sync: WriteSync::Dsync,
            ..SelfDeadlock::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "self-deadlock.4k",
        about: "a single page",
        profile: Profile::Full,
        params: TestParams::SelfDeadlock(SelfDeadlock {
            size: Pages::kib(4),
            ..SelfDeadlock::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "self-deadlock.8m",
        about: "8 MiB",
        profile: Profile::Full,
        params: TestParams::SelfDeadlock(SelfDeadlock {
            size: Pages::mib(8),
            ..SelfDeadlock::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "overlap",
        about: "half the file at a quarter's offset into the same file, first page cached, no O_TRUNC",
        params: TestParams::Overlap(Overlap::PLAIN),
        ..PLAIN
    },
    Case {
        name: "overlap.dsync",
        about: "with O_DSYNC",
        profile: Profile::Full,
        params: TestParams::Overlap(Overlap {
            sync: WriteSync::Dsync,
            ..Overlap::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "overlap.32k",
        about: "four pages at the second of eight",
        profile: Profile::Full,
        params: TestParams::Overlap(Overlap {
            size: Pages::kib(32),
            ..Overlap::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "overlap.8m",
        about: "4 MiB at 2 MiB",
        profile: Profile::Full,
        params: TestParams::Overlap(Overlap {
            size: Pages::mib(8),
            ..Overlap::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "read-own-mapping",
        about: "direct read of a file into a mapping of that same file",
        params: TestParams::ReadOwnMapping(ReadOwnMapping::PLAIN),
        ..PLAIN
    },
    Case {
        name: "read-own-mapping.8m",
        about: "8 MiB",
        profile: Profile::Full,
        params: TestParams::ReadOwnMapping(ReadOwnMapping {
            size: Pages::mib(8),
            ..ReadOwnMapping::PLAIN
        }),
        ..PLAIN
    },
];
