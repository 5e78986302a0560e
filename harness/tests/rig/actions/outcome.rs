//! Actions that say how a request completes.

use guest_wire::Fs;
use host::cache::Cache;
use machine::golden;
use vhost_blk_api::control::Command;

use crate::guest::{FILL, Guest, Setup};

pub fn fail() {
    let mut guest = Guest::boot(&Setup::default());
    guest.rule("fail write sectors=8..16 limit=1");
    assert_eq!(guest.tell("write 4096 4096 11"), "EIO");
    guest.kernel_says("I/O error, dev vda, sector 8 op 0x1:(WRITE)");
    guest.assert_reads(0, 12_288, "12288x5a");
    // The limit is reached: the same write again is done.
    guest.ask("write 4096 4096 11");
    guest.assert_reads(0, 12_288, "4096x5a 4096x11 4096x5a");
    guest.rule("fail read nth=2");
    guest.assert_reads(0, 512, "512x5a");
    assert_eq!(guest.tell("read 512 512"), "EIO");
    guest.kernel_says("I/O error, dev vda, sector 1 op 0x0:(READ)");
    guest.assert_reads(512, 512, "512x5a");
    guest.rule("fail flush limit=1");
    assert_eq!(guest.tell("sync"), "EIO");
    guest.ask("sync");
    guest.rule("fail write status=unsupp limit=1");
    assert_eq!(guest.tell("write 4096 4096 22"), "EOPNOTSUPP");
    // A discard is a wish: Linux knows that it was not granted, and tells nobody.
    guest.rule("fail discard status=unsupp limit=1");
    guest.ask("discard 4096 4096");
    guest.kernel_says("operation not supported error, dev vda, sector 8 op 0x3:(DISCARD)");
    guest.assert_reads(4096, 4096, "4096x11");
    guest.rule("fail discard limit=1");
    assert_eq!(guest.tell("discard 4096 4096"), "EIO");
    guest.kernel_says("I/O error, dev vda, sector 8 op 0x3:(DISCARD)");
    guest.rule("fail write-zeroes limit=2");
    assert_eq!(guest.tell("punch-hole 4096 4096"), "EIO");
    guest.kernel_says("I/O error, dev vda, sector 8 op 0x9:(WRITE_ZEROES)");
    guest.assert_reads(4096, 4096, "4096x11");
    // Linux writes the zeros itself then.
    guest.ask("zero-range 4096 4096");
    guest.assert_reads(0, 12_288, "4096x5a 4096x00 4096x5a");
    assert_eq!(guest.hits(), [1, 1, 1, 1, 1, 1, 2]);
    guest.end();
}

pub fn short() {
    let mut guest = Guest::boot(&Setup::default());
    guest.kernel_log();
    // Silent: the whole write is acknowledged, and the rest of it is not on the disk.
    guest.rule("short write bytes=1k then=ok limit=1");
    guest.ask("write 0 4096 11");
    guest.assert_reads(0, 8192, "1024x11 7168x5a");
    // A stale tail: the whole read is acknowledged, and the rest of the buffer is what it was (0xee).
    guest.rule("short read bytes=512 then=ok limit=1");
    guest.assert_reads(0, 4096, "512x11 3584xee");
    guest.assert_reads(0, 4096, "1024x11 3072x5a");
    assert_eq!(guest.kernel_log().matches("error").count(), 0);
    // Torn: told as an error, and a part is there all the same.
    guest.rule("short write bytes=4k then=ioerr limit=1");
    assert_eq!(guest.tell("write 8192 8192 22"), "EIO");
    guest.kernel_says("I/O error, dev vda, sector 16 op 0x1:(WRITE)");
    guest.assert_reads(8192, 8192, "4096x22 4096x5a");
    guest.rule("short read bytes=4k then=ioerr limit=1");
    assert_eq!(guest.tell("read 8192 8192"), "EIO");
    assert_eq!(guest.hits(), [1, 1, 1, 1]);
    guest.end();
}

pub fn corrupt() {
    let cache = Cache::of_user().expect("the cache");
    let image = golden::image(Fs::Xfs, &cache).expect("an image");
    let mut guest = Guest::boot(&Setup {
        image: Some(&image),
        modules: &["xfs"],
        ..Setup::default()
    });
    // Where nothing of the file system's is.
    let at = std::fs::metadata(&image).expect("the image").len() - 65_536;
    guest.ask(&format!("write {at} 65536 5a"));
    guest.kernel_log();
    guest.rule("corrupt read flip=1bit limit=1");
    let read = guest.ask(&format!("read {at} 4096"));
    let odd: Vec<u8> = read.split(' ').filter_map(odd_byte).collect();
    let [odd] = odd[..] else { panic!("{read}") };
    assert_eq!((odd ^ FILL).count_ones(), 1, "{read}");
    guest.assert_reads(at, 4096, "4096x5a");
    guest.rule("corrupt read zero=all limit=1");
    guest.assert_reads(at, 4096, "4096x00");
    guest.rule("corrupt write zero=2 limit=1");
    guest.ask(&format!("write {at} 1024 11"));
    guest.assert_reads(at, 2048, "1024x00 1024x5a");
    guest.rule("corrupt write stale=all limit=1");
    guest.ask(&format!("write {at} 4096 22"));
    guest.assert_reads(at, 2048, "1024x00 1024x5a");
    guest.rule("corrupt write misdirect=8 limit=1");
    guest.ask(&format!("write {} 4096 33", at + 4096));
    guest.assert_reads(at + 4096, 12_288, "4096x5a 4096x33 4096x5a");
    guest.rule("corrupt read misdirect=-8 limit=1");
    guest.assert_reads(at + 12_288, 4096, "4096x33");
    // The block layer knows nothing of any of this; a file system with checksums does.
    assert_eq!(guest.kernel_log().matches("error").count(), 0);
    guest.rule("corrupt read sectors=0..1 flip=1bit");
    let refused = guest.tell("mount xfs discard");
    assert!(["EBADMSG", "EINVAL", "EUCLEAN"].contains(&&*refused), "{refused}");
    guest.kernel_says("XFS (vda)");
    guest.device().call("clear", &Command::Clear).expect("clear");
    guest.ask("mount xfs discard");
    guest.ask("umount");
    guest.end();
}

/// The byte of a run of one that is not [`FILL`].
fn odd_byte(run: &str) -> Option<u8> {
    let (len, byte) = run.split_once('x')?;
    let byte = u8::from_str_radix(byte, 16).ok()?;
    (byte != FILL && len == "1").then_some(byte)
}

pub fn drop() {
    let mut guest = Guest::boot(&Setup {
        options: &["--history", "16M"],
        ..Setup::default()
    });
    guest.kernel_log();
    guest.rule("drop write limit=1");
    guest.ask("write 0 4096 11");
    guest.assert_reads(0, 4096, "4096x5a");
    guest.rule("drop discard limit=1");
    guest.ask("discard 0 4096");
    guest.assert_reads(0, 4096, "4096x5a");
    // A flush that is dropped makes nothing durable; one that is not does.
    for (rule, survivor) in [("drop flush limit=1", "5a"), ("delay flush for=1ms", "22")] {
        guest.rule(rule);
        guest.ask("write 8192 4096 22");
        guest.ask("sync");
        guest.lose_power();
        guest.assert_reads(8192, 4096, &format!("4096x{survivor}"));
    }
    assert_eq!(guest.kernel_log().matches("error").count(), 0);
    assert_eq!(guest.hits(), [1, 1, 1, 1]);
    guest.end();
}
