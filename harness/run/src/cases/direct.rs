//! Direct writes whose buffer faults part-way: the seed's corruption, and its edges.
//!
//! Payload tags: 1 is the source file's pages, which is what the direct write carries.

use evidence::needs::Need;
use guest_wire::params::{
    FaultMidway, FirstPage, Layout, Pages, Parameters, PartialWrite, Target, TestParams, WriteSync, ZeroProgress,
};

use super::case::{BTRFS, Case, PLAIN, Profile, SPLIT};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "partial-write",
        about: "direct write into another file; the first page of the source is cached, the rest is not",
        params: TestParams::PartialWrite(PartialWrite::PLAIN),
        ..PLAIN
    },
    Case {
        name: "partial-write.dsync",
        about: "with O_DSYNC, so that the completion of a partial write syncs",
        params: TestParams::PartialWrite(PartialWrite {
            sync: WriteSync::Dsync,
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.append",
        about: "with O_APPEND after an initial prefix",
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::APPEND,
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.prealloc",
        about: "into extents that fallocate made",
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Prealloc),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.nocow",
        about: "into a file without copy-on-write",
        fs: BTRFS,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Nocow),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.fragmented",
        about: "over a file of many extents",
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Fragmented),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.held",
        about: "the part before the fault is several requests; the first is held until the second was submitted",
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::kib(512),
            present: Pages(64),
            ..PartialWrite::PLAIN
        }),
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
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::kib(512),
            present: Pages(64),
            ..PartialWrite::PLAIN
        }),
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
        params: TestParams::PartialWrite(PartialWrite {
            expect_error: true,
            ..PartialWrite::PLAIN
        }),
        rules: &["fail write payload=tag:1.0 limit=1 name=fault"],
        needs: &[Need::Hits("fault", 1)],
        ..PLAIN
    },
    Case {
        name: "partial-write.rest-fails",
        about: "what comes before the page fault is fine, a request after it fails",
        params: TestParams::PartialWrite(PartialWrite {
            expect_error: true,
            ..PartialWrite::PLAIN
        }),
        rules: &["fail write payload=tag:1 nth=3 limit=1 name=fault"],
        needs: &[Need::Hits("fault", 1)],
        disk: SPLIT,
        ..PLAIN
    },
    Case {
        name: "partial-write.8k",
        about: "the smallest write that can be cut: two pages",
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::kib(8),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.8m",
        about: "8 MiB with the fault in the sixth",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::mib(8),
            present: Pages(1300),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.2m",
        about: "2 MiB with the first page cached",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::mib(2),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.64k",
        about: "64 KiB, half of it cached",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            size: Pages::kib(64),
            present: Pages(8),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.append-dsync",
        about: "O_APPEND and O_DSYNC together",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::APPEND,
            sync: WriteSync::Dsync,
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.prealloc-dsync",
        about: "into preallocated extents with O_DSYNC",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Prealloc),
            sync: WriteSync::Dsync,
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.nocow-dsync",
        about: "into a NOCOW file with O_DSYNC",
        fs: BTRFS,
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Nocow),
            sync: WriteSync::Dsync,
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.new-nocow",
        about: "into a new file without checksums, which kernels write directly that copy what has checksums first",
        fs: BTRFS,
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::NewNocow),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "partial-write.existing",
        about: "over data that is already there",
        profile: Profile::Full,
        params: TestParams::PartialWrite(PartialWrite {
            target: Target::of(Layout::Existing),
            ..PartialWrite::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "zero-progress",
        about: "the very first page can never be faulted in: EFAULT, and nothing of the write may remain",
        params: TestParams::ZeroProgress(ZeroProgress::PLAIN),
        ..PLAIN
    },
    Case {
        name: "zero-progress.cold",
        about: "the very first page is absent but can be faulted in: the write must succeed",
        params: TestParams::ZeroProgress(ZeroProgress {
            first: FirstPage::Cold,
            ..ZeroProgress::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "zero-progress.dsync",
        about: "EFAULT at the first page with O_DSYNC",
        params: TestParams::ZeroProgress(ZeroProgress {
            sync: WriteSync::Dsync,
            ..ZeroProgress::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "zero-progress.prealloc",
        about: "EFAULT at the first page of a write into preallocated extents",
        params: TestParams::ZeroProgress(ZeroProgress {
            target: Target::of(Layout::Prealloc),
            ..ZeroProgress::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "zero-progress.nocow",
        about: "EFAULT at the first page of a write into a NOCOW file",
        fs: BTRFS,
        profile: Profile::Full,
        params: TestParams::ZeroProgress(ZeroProgress {
            target: Target::of(Layout::Nocow),
            ..ZeroProgress::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "fault-midway",
        about: "the buffer becomes unreadable half-way: EFAULT or a short write, with the size that belongs to it",
        params: TestParams::FaultMidway(FaultMidway::PLAIN),
        ..PLAIN
    },
    Case {
        name: "fault-midway.dsync",
        about: "the same with O_DSYNC",
        profile: Profile::Full,
        params: TestParams::FaultMidway(FaultMidway {
            sync: WriteSync::Dsync,
            ..FaultMidway::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "fault-midway.existing",
        about: "over data that is already there",
        params: TestParams::FaultMidway(FaultMidway {
            target: Target::of(Layout::Existing),
            ..FaultMidway::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "fault-midway.prealloc",
        about: "into preallocated extents",
        profile: Profile::Full,
        params: TestParams::FaultMidway(FaultMidway {
            target: Target::of(Layout::Prealloc),
            ..FaultMidway::PLAIN
        }),
        ..PLAIN
    },
    Case {
        name: "fault-midway.8k",
        about: "two pages, the second unreadable",
        profile: Profile::Full,
        params: TestParams::FaultMidway(FaultMidway {
            size: Pages::kib(8),
            readable: Pages::kib(4),
            ..FaultMidway::PLAIN
        }),
        ..PLAIN
    },
];
