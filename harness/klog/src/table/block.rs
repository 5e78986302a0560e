//! The block layer, buffers and the page cache.

use crate::Kind;
use crate::row::{Row, line};

/// What another program says of the kernel: no task has such a name.
const SAID_BY_PROGRAM: &[&str] = &["*[*]: *", "audit: ", "*=*: ", "* *: writeback error"];

/// A request that failed, by the name that the block layer has for a status.
const fn failed(pattern: &'static str) -> Row {
    line(Kind::IoError, pattern)
}

pub(super) const ROWS: &[Row] = &[
    line(Kind::StalePageCache, "Page cache invalidation failure on direct I/O"),
    line(Kind::LostWrite, "Buffer I/O error on dev *, lost async page write"),
    line(Kind::LostWrite, "Buffer I/O error on dev *, lost sync page write"),
    line(Kind::LostWrite, "lost page write due to "),
    // iomap, of which XFS writes with; the device comes first.
    line(Kind::LostWrite, "*: writeback error on inode *, offset *, sector ")
        .except(SAID_BY_PROGRAM)
        .loose(),
    line(Kind::BufferIoError, "Buffer I/O error on dev"),
    // 5.16 and later; before it with the name of the function.
    failed("I/O error, dev "),
    failed("operation not supported error, dev "),
    failed("timeout error, dev "),
    failed("critical space allocation error, dev "),
    failed("recoverable transport error, dev "),
    failed("critical target error, dev "),
    failed("critical nexus error, dev "),
    failed("critical medium error, dev "),
    failed("protection error, dev "),
    failed("kernel resource error, dev "),
    failed("device resource error, dev "),
    failed("nonblocking retry error, dev "),
    failed("dm internal retry error, dev "),
    failed("active zones exceeded error, dev "),
    failed("open zones exceeded error, dev "),
    failed("invalid error, dev "),
    failed("device offline error, dev "),
    failed("duration limit exceeded error, dev "),
    line(Kind::IoError, "blk_update_request: * error, dev "),
    line(Kind::IoError, "print_req_error: * error, dev "),
    line(Kind::IoError, "end_request: I/O error, dev "),
    line(Kind::BeyondEnd, "attempt to access beyond end of device"),
    line(Kind::BeyondEnd, "*: attempt to access beyond end of device$")
        .except(SAID_BY_PROGRAM)
        .loose(),
];
