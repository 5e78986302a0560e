//! Actions that end more than one request: the power, and the connection.

use vhost_blk_api::control::Command;
use vhost_blk_api::op::Op;

use crate::guest::{Guest, Setup};

pub fn early() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("early flush for=300s name=lazy");
    guest.ask("write 0 4096 11");
    // Linux is told that it is durable, and finds it gone after a power cut.
    guest.ask("sync");
    guest.assert_reads(0, 4096, "4096x11");
    guest.lose_power();
    guest.assert_reads(0, 4096, "4096x5a");
    assert_eq!(guest.hits(), [1]);
    guest.device().call("clear", &Command::Clear).expect("clear");
    guest.ask("write 0 4096 22");
    guest.ask("sync");
    guest.lose_power();
    guest.assert_reads(0, 4096, "4096x22");
    guest.end();
}

pub fn cut() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("cut write payload=hex:33 name=cut");
    guest.rule("hang read sectors=64..72");
    guest.ask("write 0 4096 11");
    guest.ask("sync");
    guest.ask("write 4096 4096 22");
    let before = guest.begin("read 32768 4096");
    guest.until_held(1);
    let at = guest.begin("write 8192 4096 33");
    guest.until_dark();
    let after = guest.begin("read 0 4096");
    // Whatever was out, comes with the cut or comes later is not answered.
    for task in [before, at, after] {
        guest.assert_sleeps(task);
    }
    guest.device().call("power", &Command::Power).expect("power");
    guest.assert_sleeps(before);
    guest.assert_sleeps(at);
    // As after a power cut the machine begins anew, and finds what was durable.
    guest.qmp().reset().expect("a reset");
    guest.until_ready();
    guest.assert_reads(0, 12_288, "4096x11 8192x5a");
    guest.assert_works();
    guest.end();
}

pub fn disconnect() {
    let mut guest = Guest::boot(&Setup {
        reconnect: true,
        ..Setup::default()
    });
    guest.rule("disconnect write nth=2 limit=1");
    let writes = guest.requests_of(Op::Write, |guest| {
        guest.ask("write 0 4096 11");
        // QEMU connects again, and gives the device the request that was not answered.
        guest.ask("write 4096 4096 22");
    });
    guest.assert_reads(0, 12_288, "4096x11 4096x22 4096x5a");
    let sectors: Vec<u64> = writes.iter().map(|write| write.submit.sector).collect();
    assert_eq!(sectors, [0, 8, 8]);
    let now = guest.stats();
    assert_eq!((now.connections, now.outstanding), (2, 0), "{now:?}");
    guest
        .device()
        .call("disconnect", &Command::Disconnect)
        .expect("a hang-up");
    guest.assert_works();
    assert_eq!(guest.stats().connections, 3);
    guest.end();
}
