//! Kernels that report more than anybody reads.

use guest_wire::Event;

use super::{Sketch, exec, failed_write, line, test};

#[test]
fn reports_that_nobody_looks_at_are_no_pass() {
    let abort = "BTRFS error (device vda state A): Transaction aborted (error -5)";
    let many = |count: u32, end: &str| {
        let cell = (0..count).fold(exec().device(failed_write()), |cell, n| {
            cell.says(5.1 + f64::from(n) / 1e6, abort)
        });
        line(&cell.says(5.2, end).bundle())
    };
    let pass = many(1_500, "a word");
    assert!(pass.starts_with("pass: "), "{pass}");
    let broken = many(2_003, "a word");
    assert_eq!(
        broken,
        "broken: evidence: the kernel's log has 3 more reports of a kind than are looked at"
    );
    let failed = many(2_003, "BUG: Bad page state in process a  pfn:1");
    assert!(failed.starts_with("fail crash"), "{failed}");
}

#[test]
fn a_kernel_that_reports_more_than_its_log_holds_fails() {
    let overrun = |sketch: Sketch| {
        let mut bundle = sketch.bundle();
        let mut seal = guest_wire::EventSeal::default();
        for timed in &mut bundle.events {
            match &mut timed.event {
                Event::Log(piece) => {
                    piece.last = 700;
                    piece.records[1].seq = 700;
                }
                Event::End { .. } => timed.event = seal.end(),
                _ => {}
            }
            seal.add(timed.uptime_ms, &timed.event);
        }
        line(&bundle)
    };
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    let failed = overrun(test().says(3.1, warning));
    assert!(failed.starts_with("fail warning [btrfs_get_extent]: "), "{failed}");
    let quiet = overrun(test().says(3.1, "a word"));
    assert!(
        quiet.starts_with("broken: evidence: the guest's reading of its kernel's log is not whole"),
        "{quiet}"
    );
}
