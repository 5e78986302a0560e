//! Direct writes of which a bio fails while the write is still going on: the seed's leaked ordered extent.
//!
//! The buffer is fully present and discontiguous, 8 MiB of it, so that the write takes eight bios or more. With a
//! virtqueue of four requests the submitter itself has to wait for completions, so that the error of an early bio is
//! sure to arrive while later ones are still unsubmitted.

use evidence::needs::Need;
use guest_wire::params::{IoerrLeak, Parameters, TestParams, WriteSync};

use super::case::{Case, PLAIN, Profile, SPLIT};
use machine::DiskShape;

/// Room for four requests: the fifth is submitted only after one of the first four completed. With two, 6.12 has only
/// one in flight at a time, and nothing can be held until the next.
const NARROW: DiskShape = DiskShape {
    queue_size: 4,
    ..DiskShape::ORDINARY
};

const FAILED: &[Need] = &[Need::Hits("fault", 1), Need::WriteRequests { tag: 1, at_least: 2 }];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "ioerr-leak",
        about: "the first bio fails while the write is still submitting",
        params: TestParams::IoerrLeak(IoerrLeak::PLAIN),
        rules: &["fail write payload=tag:1.0 limit=1 name=fault"],
        needs: FAILED,
        disk: NARROW,
        ..PLAIN
    },
    Case {
        name: "ioerr-leak.second",
        about: "the second bio fails, the first is fine",
        params: TestParams::IoerrLeak(IoerrLeak::PLAIN),
        rules: &["fail write payload=tag:1 nth=2 limit=1 name=fault"],
        needs: FAILED,
        disk: NARROW,
        ..PLAIN
    },
    Case {
        name: "ioerr-leak.torn",
        about: "the first bio is stored in part, then fails",
        params: TestParams::IoerrLeak(IoerrLeak::PLAIN),
        rules: &["short write payload=tag:1.0 bytes=4096 then=ioerr limit=1 name=fault"],
        needs: FAILED,
        disk: NARROW,
        ..PLAIN
    },
    Case {
        name: "ioerr-leak.dsync",
        about: "the first bio of an O_DSYNC write fails",
        params: TestParams::IoerrLeak(IoerrLeak {
            sync: WriteSync::Dsync,
            ..IoerrLeak::PLAIN
        }),
        rules: &["fail write payload=tag:1.0 limit=1 name=fault"],
        needs: FAILED,
        disk: NARROW,
        ..PLAIN
    },
    Case {
        name: "ioerr-leak.late",
        about: "the first bio is held until the second was submitted, then fails",
        params: TestParams::IoerrLeak(IoerrLeak::PLAIN),
        rules: &[
            "hold write payload=tag:1.0 until=next(write payload=tag:1) max=5s limit=1 name=held",
            "fail write payload=tag:1.0 limit=1 name=fault",
        ],
        needs: &[
            Need::Hits("fault", 1),
            Need::WriteRequests { tag: 1, at_least: 2 },
            Need::ReleasedByCondition("held"),
        ],
        disk: NARROW,
        ..PLAIN
    },
    Case {
        name: "ioerr-leak.eighth",
        about: "the eighth request fails, after most was submitted",
        profile: Profile::Full,
        params: TestParams::IoerrLeak(IoerrLeak::PLAIN),
        rules: &["fail write payload=tag:1 nth=8 limit=1 name=fault"],
        needs: FAILED,
        disk: DiskShape { queue_size: 4, ..SPLIT },
        ..PLAIN
    },
];
