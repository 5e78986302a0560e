//! XFS.

use crate::Kind;
use crate::row::{Extent, Place, Row, line, row};

/// What comes before XFS says that it shuts down for it.
const BEFORE_SHUTDOWN: &[Kind] = &[
    Kind::XfsInternal,
    Kind::XfsCorruption,
    Kind::XfsIoError,
    Kind::XfsShutdown,
];

/// Somebody asked for it.
const ASKED_FOR: &[&str] = &[
    "XFS (*: User initiated shutdown",
    "XFS (*: xfs_do_force_shutdown(0x4) ",
    "XFS (*: * detected at xfs_fs_goingdown*hutting down filesystem",
];

const fn shutdown(pattern: &'static str) -> Row {
    line(Kind::XfsShutdown, pattern)
        .continues(BEFORE_SHUTDOWN)
        .except(ASKED_FOR)
}

pub(super) const ROWS: &[Row] = &[
    row(Kind::XfsAssertion, "XFS: Assertion failed: ")
        .place(Place::Stack)
        .extent(Extent::Trace),
    row(Kind::XfsAssertion, "XFS (*): Assertion failed: ")
        .place(Place::Stack)
        .extent(Extent::Trace),
    row(Kind::XfsAssertion, "XFS: assertion failed: ")
        .place(Place::Stack)
        .extent(Extent::Trace),
    // Corruption that XFS only warns of, and what a repair brought about.
    row(Kind::XfsInternal, "XFS (*): Internal error ").place(Place::After("Internal error ")),
    row(Kind::XfsInternal, "XFS: Internal error ").place(Place::After("Internal error ")),
    shutdown("XFS (*): Corruption of in-memory data*hutting down filesystem"),
    shutdown("XFS (*): Corruption of on-disk metadata*hutting down filesystem"),
    shutdown("XFS (*): Metadata I/O Error (*hutting down filesystem"),
    shutdown("XFS (*): Log I/O Error*hutting down filesystem"),
    shutdown("XFS (*): I/O Error Detected. Shutting down filesystem"),
    shutdown("XFS (*): *hutting down filesystem"),
    shutdown("XFS (*): Filesystem has been shut down due to log error"),
    shutdown("XFS (*): xfs_do_force_shutdown(0x").place(Place::Offset),
    line(Kind::XfsCorruption, "XFS (*): Metadata corruption detected at "),
    line(Kind::XfsCorruption, "XFS (*): Metadata CRC error detected at "),
    line(Kind::XfsCorruption, "XFS (*): Corruption detected"),
    line(Kind::XfsCorruption, "XFS (*): Corruption Alert"),
    line(Kind::XfsCorruption, "XFS: Corruption Alert"),
    line(Kind::XfsCorruption, "XFS (*): Corruption warning: "),
    line(Kind::XfsCorruption, "XFS (*): *ecord corruption in *detected"),
    line(Kind::XfsCorruption, "XFS (*): *ecord corruption detected at "),
    line(Kind::XfsCorruption, "XFS (*): AG *: Corrupt *pointer at level "),
    line(
        Kind::XfsCorruption,
        "XFS (*): Inode * fork *: Corrupt *pointer at level ",
    ),
    line(Kind::XfsCorruption, "XFS (*): Allocated a known in-use inode "),
    line(Kind::XfsCorruption, "XFS (*): corrupt"),
    line(Kind::XfsIoError, "XFS (*): log I/O error "),
    line(Kind::XfsIoError, "XFS (*): metadata I/O error"),
    line(Kind::XfsIoError, "XFS (*): Failing async write on buffer block "),
    line(Kind::XfsIoError, "XFS (*): log recovery * I/O error at "),
    line(Kind::XfsPageDiscard, "XFS (*): page discard on "),
];
