//! A disk that grows and shrinks under a running Linux, which QEMU tells of it.

use vhost_blk_api::control::{Command, FrontEnd, Reply};
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::Status;

use crate::guest::{DISK_BYTES, FILL, Guest, MIB, Setup, status};

/// What the guest's kernel says of a new size, in sectors of 512 bytes.
fn detected(from: u64, to: u64) -> String {
    format!("vda: detected capacity change from {} to {}", from / 512, to / 512)
}

/// Tells the device, and waits until the guest has taken the size.
fn resize(guest: &mut Guest, from: u64, bytes: u64) {
    let reply = guest
        .device()
        .call("resize", &Command::Resize { bytes })
        .expect("a resize");
    let front_end = FrontEnd::Told;
    assert_eq!(reply, Reply::Resized { from, bytes, front_end });
    guest.kernel_says(&detected(from, bytes));
    guest.assert_sys("size", &(bytes / 512).to_string());
}

fn of_storage(storage: &str) {
    let mut guest = Guest::boot(&Setup {
        options: &["--storage", storage, "--history", "64M"],
        ..Setup::default()
    });
    let (whole, large, small) = (DISK_BYTES, 2 * DISK_BYTES, DISK_BYTES / 4);
    guest.assert_sys("size", &(whole / 512).to_string());
    let name = "before".to_owned();
    guest.device().call("mark", &Command::Mark { name }).expect("a mark");

    resize(&mut guest, whole, large);
    // Over what was the end.
    guest.assert_reads(whole - 4096, 8192, "4096x5a 4096x00");
    guest.ask(&format!("write {} 8192 11", whole - 4096));
    guest.ask(&format!("write {} 4096 22", large - 4096));
    guest.ask("sync");
    guest.assert_reads(whole - 4096, 12_288, "8192x11 4096x00");
    guest.assert_reads(large - 8192, 8192, "4096x00 4096x22");
    let discards = guest.requests_of(Op::Discard, |guest| {
        guest.ask(&format!("discard {} {}", whole + MIB, large - whole - MIB));
    });
    assert_eq!(discards.iter().map(status).collect::<Vec<_>>(), [Some(Status::Ok)]);
    guest.assert_works();

    resize(&mut guest, large, small);
    assert_eq!(
        guest.ask(&format!("read {small} 4096")),
        "",
        "Linux knows where it ends"
    );
    guest.ask(&format!("write {} 4096 33", small - 4096));
    guest.assert_reads(small - 8192, 8192, "4096x5a 4096x33");
    assert_eq!(guest.disk().len() as u64, small);

    // Grown again there are zeros, the image's own end included.
    resize(&mut guest, small, whole);
    guest.assert_reads(small - 4096, MIB, &format!("4096x33 {}x00", MIB - 4096));
    guest.assert_reads(whole - MIB, MIB, &format!("{MIB}x00"));
    let mut expected = vec![FILL; small as usize];
    expected[small as usize - 4096..].fill(0x33);
    expected.resize(whole as usize, 0);
    assert!(guest.disk() == expected, "the disk as the device has it");

    // A mark has a size, and so has the image.
    resize(&mut guest, whole, large);
    for to in [Some("before".to_owned()), None] {
        let front_end = FrontEnd::Told;
        let rollback = Command::Rollback { to: to.clone() };
        let reply = guest.device().call("rollback", &rollback).expect("a rollback");
        let (from, bytes) = (large, whole);
        assert_eq!(reply, Reply::Resized { from, bytes, front_end }, "{to:?}");
        guest.kernel_says(&detected(large, whole));
        assert!(guest.disk().iter().all(|byte| *byte == FILL));
        resize(&mut guest, whole, large);
    }
    guest.assert_works();
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_disk_in_memory_grows_and_shrinks() {
    of_storage("memory");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_disk_in_a_file_grows_and_shrinks() {
    of_storage("file");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn requests_that_are_out_and_a_reset_meet_the_new_size() {
    let mut guest = Guest::boot(&Setup {
        reconnect: true,
        ..Setup::default()
    });
    guest.rule("hold write until=release max=3000s name=hold");
    let inside = guest.begin("write 0 4096 11");
    let beyond = guest.begin(&format!("write {} 4096 22", DISK_BYTES - 4096));
    guest.until_held(2);
    resize(&mut guest, DISK_BYTES, MIB);
    guest.device().call("clear", &Command::Clear).expect("clear");
    assert_eq!(
        (guest.answer(inside), guest.answer(beyond)),
        ("ok".into(), "EIO".into())
    );
    // A machine that begins anew finds the size that the disk has, whether it was running as it changed or the device
    // had hung up.
    guest.qmp().reset().expect("a reset");
    guest.until_ready();
    guest.assert_sys("size", &(MIB / 512).to_string());
    guest
        .device()
        .call("disconnect", &Command::Disconnect)
        .expect("a hang-up");
    let bytes = 2 * MIB;
    let reply = guest
        .device()
        .call("resize", &Command::Resize { bytes })
        .expect("a resize");
    assert!(
        matches!(
            reply,
            Reply::Resized {
                front_end: FrontEnd::None | FrontEnd::Later | FrontEnd::NoChannel | FrontEnd::Told,
                ..
            }
        ),
        "{reply:?}"
    );
    // QEMU has connected again, and starts a ring that runs.
    guest.kernel_says(&detected(MIB, bytes));
    guest.assert_sys("size", &(bytes / 512).to_string());
    guest.assert_reads(0, MIB + 4096, &format!("4096x11 {}x5a 4096x00", MIB - 4096));
    guest.end();
}
