//! Direct I/O between a file and a mapping of that same file: the seed's deadlocks.

use super::{Case, PLAIN, Profile};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "self-deadlock",
        about: "direct write of a file's own mapping onto itself, nothing cached",
        params: &[("size", "262144")],
        ..PLAIN
    },
    Case {
        name: "self-deadlock.dsync",
        about: "with O_DSYNC",
        params: &[("size", "262144"), ("flags", "dsync")],
        ..PLAIN
    },
    Case {
        name: "self-deadlock.4k",
        about: "a single page",
        profile: Profile::Full,
        params: &[("size", "4096")],
        ..PLAIN
    },
    Case {
        name: "self-deadlock.8m",
        about: "8 MiB",
        profile: Profile::Full,
        params: &[("size", "8388608")],
        ..PLAIN
    },
    Case {
        name: "overlap",
        about: "half the file at a quarter's offset into the same file, first page cached, no O_TRUNC",
        params: &[("size", "262144"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "overlap.dsync",
        about: "with O_DSYNC",
        profile: Profile::Full,
        params: &[("size", "262144"), ("present", "1"), ("flags", "dsync")],
        ..PLAIN
    },
    Case {
        name: "overlap.32k",
        about: "four pages at the second of eight",
        profile: Profile::Full,
        params: &[("size", "32768"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "overlap.8m",
        about: "4 MiB at 2 MiB",
        profile: Profile::Full,
        params: &[("size", "8388608"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "read-own-mapping",
        about: "direct read of a file into a mapping of that same file",
        params: &[("size", "262144")],
        ..PLAIN
    },
    Case {
        name: "read-own-mapping.8m",
        about: "8 MiB",
        profile: Profile::Full,
        params: &[("size", "8388608")],
        ..PLAIN
    },
];
