//! A virtual machine that is paused, reset or powered off while rules keep its requests waiting: nothing freezes, and
//! what the guest will still ask for is neither lost nor done twice.

use machine::DiskShape;
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::ReleasedBy;
use vhost_blk_api::trace::Status;

use crate::guest::{Guest, MIB, Setup, status};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_paused_guest_loses_nothing() {
    let mut guest = Guest::boot(&Setup {
        shape: DiskShape {
            num_queues: 2,
            ..DiskShape::ORDINARY
        },
        cpus: 2,
        ..Setup::default()
    });
    guest.rule("hold write nth=1 until=release max=300s");
    guest.rule("hold write nth=2 until=release max=300s");
    guest.rule("fail write nth=2");
    let held = guest.requests_of(Op::Write, |guest| {
        let first = guest.begin("write 0 4096 11");
        guest.until_held(1);
        let second = guest.begin("write 4096 4096 22");
        guest.until_held(2);
        guest.qmp().pause().expect("a pause");
        assert_eq!(guest.stats().held, 0);
        guest.qmp().resume().expect("an end of the pause");
        assert_eq!((guest.answer(first), guest.answer(second)), ("ok".into(), "EIO".into()));
    });
    let ends = held.iter().map(|request| {
        let timing = request.complete.as_ref().and_then(|complete| complete.timing.as_ref());
        (status(request), timing.and_then(|timing| timing.released_by))
    });
    let stop = Some(ReleasedBy::Stop);
    assert_eq!(
        ends.collect::<Vec<_>>(),
        [(Some(Status::Ok), stop), (Some(Status::IoErr), stop)]
    );
    guest.assert_reads(0, 8192, "4096x11 4096x5a");
    // Again and again, wherever requests happen to be: in the ring, in a thread's hands, or made to wait.
    guest.rule("delay write for=0ms..20ms p=0.3");
    guest.rule("reorder write window=3 order=shuffle max=100ms p=0.3");
    for round in 1..=20u32 {
        let writes: Vec<u32> = (0..12)
            .map(|part| {
                let offset = 16 * MIB + part * 4096;
                guest.begin(&format!("cpu {} write {offset} 4096 {round:02x}", part % 2))
            })
            .collect();
        guest.qmp().pause().expect("a pause");
        guest.qmp().resume().expect("an end of the pause");
        for id in writes {
            assert_eq!(guest.answer(id), "ok", "round {round}");
        }
        guest.assert_reads(16 * MIB, 49_152, &format!("49152x{round:02x}"));
    }
    let now = guest.stats();
    assert_eq!((now.outstanding, now.dropped, now.connections), (0, 0, 1), "{now:?}");
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_reset_and_a_power_off_wait_for_no_rule() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("hold write nth=1 until=release max=300s");
    guest.begin("write 0 4096 11");
    guest.until_held(1);
    guest.qmp().reset().expect("a reset");
    guest.until_ready();
    // The driver of before the reset cannot know whether its write was done; it was.
    guest.assert_reads(0, 8192, "4096x11 4096x5a");
    guest.assert_works();
    let now = guest.stats();
    assert_eq!((now.outstanding, now.held, now.dropped), (0, 0, 0), "{now:?}");
    guest.rule("hold write nth=1 until=release max=300s");
    guest.begin("write 4096 4096 22");
    guest.until_held(1);
    guest.end();
}
