//! The block layer, buffers and the page cache.

use super::{each, kinds};

#[test]
fn errors_of_requests_and_buffers() {
    each(
        "io-error",
        &[
            (
                "I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x3800 phys_seg 4 prio class 2",
                "-",
            ),
            (
                "critical medium error, dev vda, sector 27136 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
                "-",
            ),
            (
                "critical space allocation error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2",
                "-",
            ),
            (
                "blk_update_request: I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x8800 phys_seg 18 prio class 0",
                "-",
            ),
            ("print_req_error: I/O error, dev vda, sector 27136", "-"),
        ],
    );
    each(
        "buffer-io-error",
        &[("Buffer I/O error on dev vda, logical block 3, async page read", "-")],
    );
    each(
        "lost-write",
        &[
            (
                "Buffer I/O error on dev vda, logical block 3, lost async page write",
                "-",
            ),
            (
                "Buffer I/O error on dev vda, logical block 3, lost sync page write",
                "-",
            ),
        ],
    );
    each(
        "stale-page-cache",
        &[(
            "Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!",
            "-",
        )],
    );
    each(
        "beyond-end",
        &[
            ("attempt to access beyond end of device", "-"),
            ("repro: attempt to access beyond end of device", "-"),
        ],
    );
}

#[test]
fn each_request_is_a_report() {
    let log = "\
[    9.1] repro: attempt to access beyond end of device
[    9.1] vda: rw=0, sector=2097152, nr_sectors = 8 limit=2097152
[    9.2] I/O error, dev vda, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2
[    9.2] I/O error, dev vda, sector 16 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2
[    9.3] Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!
[    9.3] File: /mnt/f PID: 62 Comm: kworker/0:1
";
    assert_eq!(
        kinds(log),
        ["beyond-end -", "io-error -", "io-error -", "stale-page-cache -"]
    );
}
