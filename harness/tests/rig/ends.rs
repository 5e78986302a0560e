//! The device or QEMU is killed with SIGKILL while requests are out: the other side goes on, and nothing is lost that
//! was not answered.

use std::time::{Duration, Instant};

use machine::DiskShape;
use vhost_blk_api::op::Op;

use crate::guest::{Guest, MIB, Setup, WITHIN};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_guest_goes_on_with_the_device_that_follows_a_killed_one() {
    let mut guest = Guest::boot(&Setup {
        shape: DiskShape {
            num_queues: 2,
            ..DiskShape::ORDINARY
        },
        cpus: 2,
        reconnect: true,
        ..Setup::default()
    });
    guest.rule("hold write until=release max=300s");
    let held = [0, 1].map(|part| guest.begin(&format!("cpu {part} write {} 4096 1{part}", part * 4096)));
    guest.until_held(2);
    // Done while the two wait, so that the used ring alone does not say which are out.
    guest.assert_reads(MIB, 4096, "4096x5a");
    guest.kill_device();
    guest.restart_device();
    // The rule went with the device that had it.
    for id in held {
        assert_eq!(guest.answer(id), "ok");
    }
    guest.assert_reads(0, 12_288, "4096x10 4096x11 4096x5a");
    let again = guest
        .requests()
        .iter()
        .filter(|line| line.submit.op == Op::Write)
        .count();
    assert_eq!(again, 2, "each was handed in once more, once");
    // Again and again, wherever requests happen to be: in the ring, in a thread's hands, or made to wait.
    for round in 1..=10u32 {
        guest.rule("delay write for=0ms..20ms p=0.5");
        guest.rule("reorder write window=3 order=shuffle max=50ms p=0.3");
        let writes: Vec<u32> = (0..12)
            .map(|part| {
                guest.begin(&format!(
                    "cpu {} write {} 4096 {round:02x}",
                    part % 2,
                    16 * MIB + part * 4096
                ))
            })
            .collect();
        guest.kill_device();
        guest.restart_device();
        for id in writes {
            assert_eq!(guest.answer(id), "ok", "round {round}");
        }
        let now = guest.stats();
        assert_eq!((now.outstanding, now.connections), (0, 1), "round {round}: {now:?}");
    }
    guest.assert_works();
    assert!(!guest.kernel_log().contains("I/O error"), "no request failed");
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_device_serves_the_next_guest_after_a_killed_one() {
    let mut guest = Guest::boot(&Setup::default());
    let before = guest.device_has();
    for round in 1..=3 {
        guest.rule("hold write nth=1 until=release max=300s");
        guest.rule("hang write nth=2");
        let writes = [guest.begin("write 0 4096 11"), guest.begin("write 8192 4096 22")];
        guest.until_held(2);
        // SIGKILL: QEMU says nothing to the device, which finds the connection closed.
        guest.kill_guest();
        let deadline = Instant::now() + WITHIN;
        while guest.stats().outstanding > 0 {
            assert!(Instant::now() < deadline, "round {round}: {:?}", guest.stats());
            // The device tells when it is asked.
            std::thread::sleep(Duration::from_millis(10));
        }
        guest.power_on_again();
        // Of what was held then, nothing is done late, on the disk or in the new guest's ring.
        guest.assert_reads(0, 16_384, "16384x5a");
        guest
            .device()
            .call("clear", &vhost_blk_api::control::Command::Clear)
            .expect("no rules");
        guest.assert_works();
        guest
            .device()
            .call("rollback", &vhost_blk_api::control::Command::Rollback { to: None })
            .expect("as it was");
        let now = guest.stats();
        assert_eq!(
            (now.outstanding, now.held),
            (0, 0),
            "round {round}: {now:?} after {writes:?}"
        );
    }
    let after = guest.device_has();
    assert_eq!(before, after, "descriptors and threads");
    guest.end();
}
