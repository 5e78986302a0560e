//! Actions that say when a request completes.

use vhost_blk_api::control::Command;

use crate::guest::{Guest, MIB, Setup};

/// The guest's clock need not run exactly as the device's does: a wait must seem three quarters of its length at least.
fn seems_at_least(us: u64, wait_ms: u64) -> bool {
    us >= wait_ms * 750
}

/// How long a command takes by the guest's own clock, in microseconds.
fn time(guest: &mut Guest, command: &str) -> u64 {
    guest.ask(&format!("time {command}")).parse().expect("microseconds")
}

pub fn delay() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("delay read for=400ms nth=1");
    let took_us = time(&mut guest, "read 0 4096");
    assert!(seems_at_least(took_us, 400), "{took_us} us");
    // What is late holds up nothing else, and is not lost.
    guest.rule("delay write for=300s nth=1");
    let late = guest.begin("write 0 4096 11");
    guest.until_held(1);
    guest.assert_sleeps(late);
    guest.ask("write 4096 4096 22");
    guest.assert_reads(0, 8192, "4096x5a 4096x22");
    guest.assert_sleeps(late);
    let inflight = guest.ask("get inflight");
    assert_eq!(inflight.split_whitespace().collect::<Vec<_>>(), ["0", "1"]);
    guest.device().call("clear", &Command::Clear).expect("clear");
    assert_eq!(guest.answer(late), "ok");
    guest.assert_reads(0, 8192, "4096x11 4096x22");
    guest.end();
}

pub fn slow() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("slow read for=0ms..400ms over=4");
    for wait_ms in [0, 100, 200, 300, 400, 400] {
        let took_us = time(&mut guest, "read 0 4096");
        assert!(seems_at_least(took_us, wait_ms), "{took_us} us instead of {wait_ms} ms");
    }
    assert_eq!(guest.hits(), [6]);
    guest.end();
}

pub fn hold() {
    let mut guest = Guest::boot(&Setup::default());
    guest.watch();
    guest.rule("hold write nth=1 until=next(write) max=300s");
    let first = guest.begin("write 8192 4096 11");
    guest.until_held(1);
    let stack = guest.assert_sleeps(first);
    assert!(stack.contains("blkdev") && stack.contains("pwrite64"), "{stack}");
    guest.assert_reads(8192, 4096, "4096x5a");
    // The second write is submitted before Linux sees the first one's end.
    guest.ask("write 0 4096 22");
    assert_eq!(guest.answer(first), "ok");
    let writes: Vec<(bool, u64)> = guest
        .watched()
        .iter()
        .filter(|event| event.write)
        .map(|event| (event.done, event.sector))
        .collect();
    assert_eq!(writes[..2], [(false, 16), (false, 0)], "{writes:?}");
    guest.assert_reads(0, 12_288, "4096x22 4096x5a 4096x11");
    guest.rule("hold read until=mark(go) max=300s limit=1");
    let read = guest.begin("read 0 4096");
    guest.until_held(1);
    guest.assert_sleeps(read);
    // What a held read returns is what is there when it is let go.
    guest.ask("write 0 4096 33");
    guest.assert_sleeps(read);
    guest
        .device()
        .call("mark", &Command::Mark { name: "go".into() })
        .expect("a mark");
    let read = guest.answer(read);
    assert!(["ok 4096x22", "ok 4096x33"].contains(&&*read), "{read}");
    guest.rule("hold write until=done(flush) max=300s limit=1");
    let write = guest.begin("write 0 4096 44");
    guest.until_held(1);
    guest.assert_sleeps(write);
    guest.ask("sync");
    assert_eq!(guest.answer(write), "ok");
    assert_eq!(guest.hits(), [1, 1, 1]);
    guest.end();
}

pub fn hang() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("hang write nth=1");
    // Through the page cache: a task that waits for direct I/O tells the kernel not to mind (`blk_io_schedule`).
    let write = guest.begin("write-cached 0 4096 11");
    guest.until_held(1);
    let stack = guest.assert_sleeps(write);
    assert!(stack.contains("folio_wait_writeback"), "{stack}");
    // The rest of the guest goes on, and its kernel finds the task.
    guest.assert_works();
    let said = guest.kernel_says(&format!("INFO: task c{write}:"));
    assert!(!said.contains("I/O error"), "{said}");
    guest.kernel_says("blocked for more than");
    guest.assert_sleeps(write);
    guest
        .device()
        .call("release", &Command::Release { rule: None })
        .expect("release");
    assert_eq!(guest.answer(write), "ok");
    guest.assert_reads(0, 8192, "4096x11 4096x5a");
    guest.end();
}

pub fn reorder() {
    let mut guest = Guest::boot(&Setup::default());
    guest.watch();
    guest.rule("reorder write window=4 order=reverse max=300s limit=4");
    let offsets = [3 * MIB, MIB, 4 * MIB, 2 * MIB];
    let collected: Vec<u32> = (1..)
        .zip(offsets)
        .map(|(count, offset)| {
            let write = guest.begin(&format!("write {offset} 4096 {count:02x}"));
            if count < 4 {
                guest.until_held(count);
            }
            write
        })
        .collect();
    for write in collected {
        assert_eq!(guest.answer(write), "ok");
    }
    let events = guest.watched();
    let sectors = |done: bool| -> Vec<u64> {
        let kept = events.iter().filter(|event| event.write && event.done == done);
        kept.map(|event| event.sector * 512).collect()
    };
    assert_eq!(sectors(false), offsets);
    assert_eq!(sectors(true), [2 * MIB, 4 * MIB, MIB, 3 * MIB]);
    // An epoch ends at the next flush.
    guest.rule("reorder write window=epoch order=rotate max=300s");
    let waiting = [0, 8192].map(|offset| {
        let write = guest.begin(&format!("write {offset} 4096 77"));
        guest.until_held(offset / 8192 + 1);
        guest.assert_sleeps(write);
        write
    });
    guest.ask("sync");
    for write in waiting {
        assert_eq!(guest.answer(write), "ok");
    }
    guest.assert_reads(0, 12_288, "4096x77 4096x5a 4096x77");
    guest.end();
}
