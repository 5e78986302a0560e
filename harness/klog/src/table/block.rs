//! The block layer, buffers and the page cache.

use crate::Kind;
use crate::row::{Row, line};

/// What another program says of the kernel: no task has such a name.
const SAID_BY_PROGRAM: &[&str] = &["*[*]: *", "audit: ", "*=*: "];

pub(super) const ROWS: &[Row] = &[
    line(Kind::StalePageCache, "Page cache invalidation failure on direct I/O"),
    line(Kind::LostWrite, "Buffer I/O error on dev *, lost async page write"),
    line(Kind::LostWrite, "Buffer I/O error on dev *, lost sync page write"),
    line(Kind::LostWrite, "lost page write due to "),
    // iomap, of which XFS writes with; the device comes first.
    line(Kind::LostWrite, "*: writeback error on inode *, offset *, sector ").except(SAID_BY_PROGRAM),
    line(Kind::BufferIoError, "Buffer I/O error on dev"),
    // 5.16 and later; before it with the name of the function.
    line(Kind::IoError, "I/O error, dev "),
    line(Kind::IoError, "* error, dev *, sector * op 0x*:(").except(SAID_BY_PROGRAM),
    line(Kind::IoError, "blk_update_request: * error, dev "),
    line(Kind::IoError, "print_req_error: * error, dev "),
    line(Kind::IoError, "end_request: I/O error, dev "),
    line(Kind::BeyondEnd, "attempt to access beyond end of device"),
    line(Kind::BeyondEnd, "*: attempt to access beyond end of device$").except(SAID_BY_PROGRAM),
];
