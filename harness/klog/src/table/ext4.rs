//! ext4 and its journal.

use crate::Kind;
use crate::row::{Place, Row, line};

/// JBD2 of a journal that cannot be used, which says nothing of what the kernel did.
const NO_JOURNAL: &[&str] = &[
    "JBD2: Cannot enable",
    "JBD2: Can't enable",
    "JBD2: no memory",
    "JBD2: failed to create",
    "JBD2: clearing recovery",
    "JBD2: deleting recovery",
    "JBD2: ignoring recovery",
    "JBD2: * recovery information on journal",
    "JBD2: Unrecognised features",
    "JBD2: unrecognised superblock format",
    "JBD2: Find incomplete commit block",
    "JBD2: Waiting for Godot",
    "JBD2: * wants too many credits",
    "JBD2: Out of memory",
    "JBD2: Cannot load crc32c",
    "JBD2: Journal too short",
    "JBD2: Unknown checksum type",
];

pub(super) const ROWS: &[Row] = &[
    // Freeing an inode that still waits in a list.
    line(Kind::Ext4Orphan, "EXT4-fs (*): Inode * (*): orphan list check failed"),
    line(Kind::Ext4Orphan, "EXT4-fs (*): Inode * (*): inode tracked as orphan"),
    line(Kind::Ext4Orphan, "EXT4-fs (*): sb orphan head is "),
    line(Kind::Ext4Orphan, "EXT4-fs error (device *bad orphan inode").place(Place::Line),
    line(Kind::Ext4Orphan, "EXT4-fs error (device *couldn't read orphan inode").place(Place::Line),
    line(Kind::Ext4Orphan, "EXT4-fs error (device *: orphan file block ").place(Place::Line),
    line(
        Kind::Ext4Reserved,
        "EXT4-fs (*): Inode * i_reserved_data_blocks (*) not cleared",
    ),
    line(
        Kind::Ext4DataLost,
        "EXT4-fs (*: This should not happen!! Data will be lost",
    )
    .continues(&[Kind::Ext4DataLost]),
    line(
        Kind::Ext4DataLost,
        "EXT4-fs (*: Delayed block allocation failed for inode ",
    ),
    line(Kind::Ext4DataLost, "This should not happen!!  Data will be lost"),
    line(
        Kind::Ext4DataLost,
        "EXT4-fs (*: failed to convert unwritten extents to written extents -- potential data loss",
    ),
    line(Kind::Ext4Error, "EXT4-fs error (device ").place(Place::Line),
    line(Kind::Ext4Error, "EXT4-fs critical (device ").place(Place::Line),
    line(Kind::Ext4Error, "EXT4-fs (*: panic forced after error"),
    line(Kind::JournalAbort, "Aborting journal on device "),
    line(Kind::JournalAbort, "EXT4-fs: *:*: aborting transaction: ").place(Place::Line),
    line(
        Kind::LostWrite,
        "EXT4-fs warning (device *: ext4_end_bio:*: I/O error * writing to inode ",
    ),
    line(Kind::LostWrite, "EXT4-fs (*: I/O error while writing superblock"),
    line(Kind::JournalAbort, "EXT4-fs (*: Detected aborted journal"),
    line(Kind::JournalError, "JBD2: ").except(NO_JOURNAL),
    line(Kind::JournalError, "Assertion failure in *() at *:*: \""),
];
