//! Direct writes whose buffer faults part-way: the seed's corruption, and its edges.
//!
//! Payload tags: 1 is the source file's pages, which is what the direct write carries.

use evidence::needs::Need;

use super::{BTRFS, Case, PLAIN, Profile, SPLIT};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "partial-write",
        about: "direct write into another file; the first page of the source is cached, the rest is not",
        params: &[("size", "262144"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "partial-write.dsync",
        about: "with O_DSYNC, so that the completion of a partial write syncs",
        params: &[("size", "262144"), ("present", "1"), ("flags", "dsync")],
        ..PLAIN
    },
    Case {
        name: "partial-write.append",
        about: "with O_APPEND after an initial prefix",
        params: &[("size", "262144"), ("present", "1"), ("flags", "append")],
        ..PLAIN
    },
    Case {
        name: "partial-write.prealloc",
        about: "into extents that fallocate made",
        params: &[("size", "262144"), ("present", "1"), ("target", "prealloc")],
        ..PLAIN
    },
    Case {
        name: "partial-write.nocow",
        about: "into a file without copy-on-write",
        fs: BTRFS,
        params: &[("size", "262144"), ("present", "1"), ("target", "nocow")],
        ..PLAIN
    },
    Case {
        name: "partial-write.fragmented",
        about: "over a file of many extents",
        params: &[("size", "262144"), ("present", "1"), ("target", "fragmented")],
        ..PLAIN
    },
    Case {
        name: "partial-write.held",
        about: "the part before the fault is several requests; the first is held until the second was submitted",
        params: &[("size", "524288"), ("present", "64")],
        rules: &["hold write payload=tag:1.0 until=next(write payload=tag:1) max=5s limit=1 name=first"],
        needs: &[
            Need::WriteRequests { tag: 1, at_least: 3 },
            Need::ReleasedByCondition("first"),
        ],
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "partial-write.split",
        about: "bios split into 64 KiB requests that complete in reverse order",
        params: &[("size", "524288"), ("present", "64")],
        rules: &["reorder write payload=tag:1 window=4 order=reverse max=150ms name=order"],
        needs: &[
            Need::WriteRequests { tag: 1, at_least: 4 },
            Need::ReleasedByCondition("order"),
        ],
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "partial-write.first-fails",
        about: "the very first request, before the page fault, fails",
        params: &[("size", "262144"), ("present", "1"), ("expect-error", "1")],
        rules: &["fail write payload=tag:1.0 limit=1 name=fault"],
        needs: &[Need::Hits("fault", 1)],
        ..PLAIN
    },
    Case {
        name: "partial-write.rest-fails",
        about: "what comes before the page fault is fine, a request after it fails",
        params: &[("size", "262144"), ("present", "1"), ("expect-error", "1")],
        rules: &["fail write payload=tag:1 nth=3 limit=1 name=fault"],
        needs: &[Need::Hits("fault", 1)],
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "partial-write.8k",
        about: "the smallest write that can be cut: two pages",
        params: &[("size", "8192"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "partial-write.8m",
        about: "8 MiB with the fault in the sixth",
        profile: Profile::Full,
        params: &[("size", "8388608"), ("present", "1300")],
        ..PLAIN
    },
    Case {
        name: "partial-write.2m",
        about: "2 MiB with the first page cached",
        profile: Profile::Full,
        params: &[("size", "2097152"), ("present", "1")],
        ..PLAIN
    },
    Case {
        name: "partial-write.64k",
        about: "64 KiB, half of it cached",
        profile: Profile::Full,
        params: &[("size", "65536"), ("present", "8")],
        ..PLAIN
    },
    Case {
        name: "partial-write.append-dsync",
        about: "O_APPEND and O_DSYNC together",
        profile: Profile::Full,
        params: &[("size", "262144"), ("present", "1"), ("flags", "append,dsync")],
        ..PLAIN
    },
    Case {
        name: "partial-write.prealloc-dsync",
        about: "into preallocated extents with O_DSYNC",
        profile: Profile::Full,
        params: &[
            ("size", "262144"),
            ("present", "1"),
            ("target", "prealloc"),
            ("flags", "dsync"),
        ],
        ..PLAIN
    },
    Case {
        name: "partial-write.nocow-dsync",
        about: "into a NOCOW file with O_DSYNC",
        fs: BTRFS,
        profile: Profile::Full,
        params: &[
            ("size", "262144"),
            ("present", "1"),
            ("target", "nocow"),
            ("flags", "dsync"),
        ],
        ..PLAIN
    },
    Case {
        name: "partial-write.new-nocow",
        about: "into a new file without checksums, which kernels write directly that copy what has checksums first",
        fs: BTRFS,
        profile: Profile::Full,
        params: &[("size", "262144"), ("present", "1"), ("target", "new-nocow")],
        ..PLAIN
    },
    Case {
        name: "partial-write.existing",
        about: "over data that is already there",
        profile: Profile::Full,
        params: &[("size", "262144"), ("present", "1"), ("target", "existing")],
        ..PLAIN
    },
    Case {
        name: "zero-progress",
        about: "the very first page can never be faulted in: EFAULT, and nothing of the write may remain",
        params: &[("size", "262144")],
        ..PLAIN
    },
    Case {
        name: "zero-progress.cold",
        about: "the very first page is absent but can be faulted in: the write must succeed",
        params: &[("size", "262144"), ("first", "cold")],
        ..PLAIN
    },
    Case {
        name: "zero-progress.dsync",
        about: "EFAULT at the first page with O_DSYNC",
        params: &[("size", "262144"), ("flags", "dsync")],
        ..PLAIN
    },
    Case {
        name: "zero-progress.prealloc",
        about: "EFAULT at the first page of a write into preallocated extents",
        params: &[("size", "262144"), ("target", "prealloc")],
        ..PLAIN
    },
    Case {
        name: "zero-progress.nocow",
        about: "EFAULT at the first page of a write into a NOCOW file",
        fs: BTRFS,
        profile: Profile::Full,
        params: &[("size", "262144"), ("target", "nocow")],
        ..PLAIN
    },
    Case {
        name: "fault-midway",
        about: "the buffer becomes unreadable half-way: EFAULT or a short write, with the size that belongs to it",
        params: &[("size", "262144"), ("readable", "131072")],
        ..PLAIN
    },
    Case {
        name: "fault-midway.dsync",
        about: "the same with O_DSYNC",
        profile: Profile::Full,
        params: &[("size", "262144"), ("readable", "131072"), ("flags", "dsync")],
        ..PLAIN
    },
    Case {
        name: "fault-midway.existing",
        about: "over data that is already there",
        params: &[("size", "262144"), ("readable", "131072"), ("target", "existing")],
        ..PLAIN
    },
    Case {
        name: "fault-midway.prealloc",
        about: "into preallocated extents",
        profile: Profile::Full,
        params: &[("size", "262144"), ("readable", "131072"), ("target", "prealloc")],
        ..PLAIN
    },
    Case {
        name: "fault-midway.8k",
        about: "two pages, the second unreadable",
        profile: Profile::Full,
        params: &[("size", "8192"), ("readable", "4096")],
        ..PLAIN
    },
];
