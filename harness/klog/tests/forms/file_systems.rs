//! btrfs, ext4 with its journal, XFS.

use super::{each, kinds, one};

/// Kinds, and lines with the function that each names.
const BTRFS: &[(&str, &[(&str, &str)])] = &[
    (
        "btrfs-abort",
        &[
            ("BTRFS: Transaction aborted (error -2)", "-"),
            ("BTRFS error (device vda): Transaction aborted (error -5)", "-"),
            ("BTRFS error (device vda state A): Transaction aborted (error -28)", "-"),
            ("BTRFS warning (device vda): Transaction aborted (error -5)", "-"),
            ("BTRFS error (device vda state A): Transaction 8 aborted (-ENOENT)", "-"),
            ("BTRFS: Transaction 8 aborted (error -2)", "-"),
        ],
    ),
    (
        "btrfs-error",
        &[
            (
                "BTRFS: error (device vda) in cleanup_transaction:1942: errno=-5 IO failure",
                "cleanup_transaction",
            ),
            (
                "BTRFS: error (device vda state A) in __btrfs_unlink_inode:4337: errno=-2 No such entry",
                "__btrfs_unlink_inode",
            ),
            (
                "BTRFS: error (device vda state EA) in btrfs_x:12: errno=-117 Filesystem corrupted (bad: 1)",
                "btrfs_x",
            ),
            (
                "BTRFS critical (device vda): bad ordered extent accounting, root=5 ino=257 OE offset=0",
                "-",
            ),
            (
                "BTRFS critical (device vda): bad ordered accounting left 4096 size 8192",
                "-",
            ),
            (
                "BTRFS critical (device vda state A): unable to find logical 30 length 4096",
                "-",
            ),
            (
                "BTRFS critical (device vda): unable to find chunk map for logical 30 length 4096",
                "-",
            ),
            (
                "BTRFS critical (device vda): found a bad chunk map, wanted 1-2, found 3-4",
                "-",
            ),
            (
                "BTRFS critical (device vda): mapping failed logical 30 bio len 4096 len 0",
                "-",
            ),
        ],
    ),
    (
        "btrfs-device-errors",
        &[
            // 5.10 to 7.3, and with the states of a file system in error as 6.1 and as later kernels spell them.
            (
                "BTRFS error (device vda): bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0",
                "-",
            ),
            (
                "BTRFS error (device vda: state EA): bdev /dev/vda errs: wr 12, rd 3, flush 1, corrupt 0, gen 0",
                "-",
            ),
            (
                "BTRFS error (device dm-0 state EA): bdev /dev/mapper/a errs: wr 0, rd 0, flush 0, corrupt 0, gen 1",
                "-",
            ),
            (
                "BTRFS error (device vda): bdev <missing disk> errs: wr 0, rd 1, flush 0, corrupt 0, gen 0",
                "-",
            ),
        ],
    ),
    (
        "btrfs-readonly",
        &[
            ("BTRFS info (device vda): forced readonly", "-"),
            ("BTRFS info (device vda state EA): forced readonly", "-"),
        ],
    ),
    (
        "btrfs-corrupt",
        &[
            (
                "BTRFS critical (device vda): corrupt leaf: root=5 block=30 slot=1 ino=257, invalid",
                "-",
            ),
            (
                "BTRFS critical (device vda): corrupt node: root=5 block=30 slot=1, invalid",
                "-",
            ),
            (
                "BTRFS error (device vda): parent transid verify failed on logical 30 mirror 1 wanted 9 found 7",
                "-",
            ),
            (
                "BTRFS error (device vda): bad tree block start, mirror 1 want 30 have 0",
                "-",
            ),
        ],
    ),
    (
        "btrfs-csum",
        &[
            (
                "BTRFS warning (device vda): csum failed root 5 ino 257 off 0 csum 0x12345678 expected csum 0x87654321 mirror 1",
                "-",
            ),
            (
                "BTRFS warning (device vda state A): csum failed root -9 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
                "-",
            ),
        ],
    ),
    (
        "btrfs-leak",
        &[
            ("BTRFS error (device vda): qgroup reserved space leaked", "-"),
            (
                "BTRFS warning (device vda): qgroup 0/5 has unreleased space, type 0 rsv 4096",
                "-",
            ),
            (
                "BTRFS warning (device vda): leaking qgroup reserved space, ino: 257, start: 0, end: 4095",
                "-",
            ),
            ("BTRFS: buffer leak start 30 len 16384 refs 1 bflags 1 owner 5", "-"),
            ("BTRFS: state leak: start 0 end 4095 state 1 in tree 1 refs 1", "-"),
            (
                "BTRFS error (device vda): state leak: start 0 end 4095 state 1 in tree 1 refs 1",
                "-",
            ),
            ("BTRFS error (device vda): leaked root 5-1 refcount 2", "-"),
        ],
    ),
    (
        "btrfs-assertion",
        &[
            ("assertion failed: !ordered, in fs/btrfs/inode.c:12", "-"),
            ("BTRFS: assertion failed: !ordered, in fs/btrfs/inode.c:12", "-"),
            (
                "BTRFS: assertion failed: !ordered :: 0, in fs/btrfs/inode.c:12 (ordered=1)",
                "-",
            ),
        ],
    ),
];

#[test]
fn btrfs_in_all_its_words() {
    for (kind, lines) in BTRFS {
        each(kind, lines);
    }
}

#[test]
fn an_abort_is_one_report_with_what_btrfs_does_about_it() {
    let log = "\
[   12.3] BTRFS error (device vda): bdev /dev/vda errs: wr 2, rd 0, flush 0, corrupt 0, gen 0
[   12.3] BTRFS error (device vda state A): Transaction aborted (error -5)
[   12.3] BTRFS: error (device vda state A) in cleanup_transaction:2020: errno=-5 IO failure
[   12.3] BTRFS info (device vda state EA): forced readonly
";
    assert_eq!(kinds(log), ["btrfs-device-errors -", "btrfs-abort cleanup_transaction"]);
    let alone: String = log.lines().skip(1).map(|line| format!("{line}\n")).collect();
    assert_eq!(one(&alone).line, 1);
    // A later one is another.
    let later = log.replace("12.3", "14.3");
    let again = format!("{log}{}{later}", "[   13.0] talk\n".repeat(20));
    assert_eq!(kinds(&again).len(), 4);
    let alone: String = log.lines().skip(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(kinds(&alone), ["btrfs-error cleanup_transaction"]);
}

#[test]
fn an_abort_with_one_error_does_not_hide_another() {
    for abort in ["Transaction aborted (error -5)", "Transaction 8 aborted (-EIO)"] {
        let log = |errno| {
            format!(
                "[   12.3] BTRFS error (device vda state A): {abort}\n\
                 [   12.3] BTRFS: error (device vda state A) in btrfs_insert_item:20: errno={errno}\n\
                 [   12.3] BTRFS info (device vda state EA): forced readonly\n"
            )
        };
        assert_eq!(kinds(&log("-5 IO failure")), ["btrfs-abort btrfs_insert_item"]);
        let two = kinds(&log("-17 Object already exists"));
        assert_eq!(two, ["btrfs-abort -", "btrfs-error btrfs_insert_item"]);
    }
}

#[test]
fn ext4_and_its_journal() {
    each(
        "ext4-error",
        &[
            (
                "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: deleted inode referenced: 12",
                "ext4_lookup",
            ),
            (
                "EXT4-fs error (device vda) in ext4_reserve_inode_write:5769: Journal has aborted",
                "ext4_reserve_inode_write",
            ),
            (
                "EXT4-fs error (device vda): ext4_map_blocks:609: inode #12: block 5: comm a b: lblock 0 mapped to illegal pblock 5",
                "ext4_map_blocks",
            ),
        ],
    );
    each(
        "ext4-data-lost",
        &[
            ("EXT4-fs (vda): This should not happen!! Data will be lost", "-"),
            (
                "EXT4-fs (vda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 with error 5",
                "-",
            ),
        ],
    );
    each(
        "ext4-reserved",
        &[(
            "EXT4-fs (vda): Inode 12 (00000000a1b2c3d4): i_reserved_data_blocks (1) not cleared!",
            "-",
        )],
    );
    each(
        "ext4-orphan",
        &[
            (
                "EXT4-fs (vda): Inode 12 (00000000a1b2c3d4): orphan list check failed!",
                "-",
            ),
            (
                "EXT4-fs (vda): Inode 12 (00000000a1b2c3d4): inode tracked as orphan!",
                "-",
            ),
            (
                "EXT4-fs error (device vda): ext4_orphan_get:1417: comm mount: bad orphan inode 12",
                "ext4_orphan_get",
            ),
        ],
    );
    each("journal-abort", &[("Aborting journal on device vda-8.", "-")]);
    each(
        "journal-error",
        &[
            ("JBD2: Detected IO errors while flushing file data on vda-8", "-"),
            ("JBD2: I/O error when updating journal superblock for vda-8.", "-"),
            ("JBD2: Invalid checksum recovering block 12 in log", "-"),
            ("JBD2: leaked 2 journal_heads!", "-"),
        ],
    );
    let lost = "\
[    9.1] EXT4-fs (vda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 with error 5
[    9.1] EXT4-fs (vda): This should not happen!! Data will be lost
";
    assert_eq!(kinds(lost), ["ext4-data-lost -"]);
}

/// The same of XFS.
const XFS: &[(&str, &[(&str, &str)])] = &[
    (
        "xfs-assertion",
        &[
            (
                "XFS: Assertion failed: tp->t_magic == XFS_TRANS_MAGIC, file: fs/xfs/xfs_trans.c, line: 123",
                "-",
            ),
            (
                "XFS (vda): Assertion failed: 0, file: fs/xfs/xfs_trans.c, line: 123",
                "-",
            ),
        ],
    ),
    (
        "xfs-corruption",
        &[
            (
                "XFS (vda): Metadata corruption detected at xfs_agf_verify+0x12/0x80 [xfs], xfs_agf block 0x1",
                "xfs_agf_verify",
            ),
            (
                "XFS (vda): Metadata CRC error detected at xfs_agf_read_verify+0x12/0x80 [xfs], xfs_agf block 0x1",
                "xfs_agf_read_verify",
            ),
            ("XFS (vda): Corruption detected. Unmount and run xfs_repair", "-"),
            (
                "XFS (vda): Corruption warning: Metadata has LSN (3:12) ahead of current LSN (1:2). Please unmount",
                "-",
            ),
        ],
    ),
    (
        "xfs-internal",
        &[
            (
                "XFS (vda): Internal error xfs_trans_cancel at line 1097 of file fs/xfs/xfs_trans.c.  Caller xfs_create+0x12/0x80 [xfs]",
                "xfs_trans_cancel",
            ),
            (
                "XFS (vda): Internal error i != 1 at line 12 of file fs/xfs/libxfs/xfs_btree.c.  Caller xfs_create+0x12/0x80 [xfs]",
                "xfs_create",
            ),
        ],
    ),
    (
        "xfs-shutdown",
        &[
            (
                "XFS (vda): Corruption of in-memory data (0x8) detected at xfs_defer_finish_noroll+0x12/0x80 [xfs] (fs/xfs/xfs_trans.c:12).  Shutting down filesystem.",
                "xfs_defer_finish_noroll",
            ),
            (
                "XFS (vda): Metadata I/O Error (0x1) detected at xfs_x+0x12/0x80 [xfs] (fs/xfs/x.c:12).  Shutting down filesystem.",
                "xfs_x",
            ),
            (
                "XFS (vda): Log I/O Error (0x2) detected at xfs_x+0x12/0x80 [xfs] (fs/xfs/x.c:12).  Shutting down filesystem.",
                "xfs_x",
            ),
            (
                "XFS (vda): Corruption of in-memory data detected.  Shutting down filesystem",
                "-",
            ),
            ("XFS (vda): Log I/O Error Detected. Shutting down filesystem", "-"),
            ("XFS (vda): I/O Error Detected. Shutting down filesystem", "-"),
            ("XFS (vda): Filesystem has been shut down due to log error (0x2).", "-"),
            (
                "XFS (vda): xfs_do_force_shutdown(0x2) called from line 12 of file fs/xfs/xfs_log.c. Return address = 00000000a1b2c3d4",
                "-",
            ),
        ],
    ),
    (
        "xfs-io-error",
        &[
            ("XFS (vda): log I/O error -5", "-"),
            (
                "XFS (vda): metadata I/O error in \"xfs_buf_ioend+0x12/0x80 [xfs]\" at daddr 0x2 len 1 error 5",
                "xfs_buf_ioend",
            ),
            (
                "XFS (vda): log recovery write I/O error at daddr 0x2 len 1 error -5",
                "-",
            ),
        ],
    ),
    (
        "xfs-page-discard",
        &[(
            "XFS (vda): page discard on page 00000000a1b2c3d4, inode 0x83, pos 4096.",
            "-",
        )],
    ),
];

#[test]
fn xfs_in_all_its_words() {
    for (kind, lines) in XFS {
        each(kind, lines);
    }
}

#[test]
fn xfs_shuts_down_for_what_it_said_before() {
    let log = "\
[    9.1] XFS (vda): log I/O error -5
[    9.1] XFS (vda): Filesystem has been shut down due to log error (0x2).
[    9.1] XFS (vda): Please unmount the filesystem and rectify the problem(s).
";
    assert_eq!(kinds(log), ["xfs-io-error -"]);
    let internal = "\
[    9.1] XFS (vda): Internal error xfs_trans_cancel at line 1097 of file fs/xfs/xfs_trans.c.  Caller xfs_create+0x12/0x80 [xfs]
[    9.1] CPU: 0 PID: 71 Comm: repro Not tainted 6.1.0 #1
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  dump_stack_lvl+0x44/0x5c
[    9.1]  xfs_trans_cancel+0x12/0x80 [xfs]
[    9.1]  xfs_create+0x12/0x80 [xfs]
[    9.1]  </TASK>
[    9.1] XFS (vda): Corruption of in-memory data (0x8) detected at xfs_trans_cancel+0x12/0x80 [xfs] (fs/xfs/xfs_trans.c:12).  Shutting down filesystem.
";
    assert_eq!(kinds(internal), ["xfs-internal xfs_trans_cancel"]);
    assert_eq!(one(internal).frames, ["xfs_trans_cancel", "xfs_create"]);
}

#[test]
fn a_block_that_is_wrong_is_one_report_and_the_next_another() {
    let log = "\
[   12.3] BTRFS critical (device vda): corrupt leaf: root=5 block=30507008 slot=1, bad key order
[   12.3] BTRFS error (device vda): read time tree block corruption detected on logical 30507008 mirror 1
[   12.4] BTRFS error (device vda): parent transid verify failed on logical 30474240 mirror 1 wanted 8 found 7
[   12.5] BTRFS error (device vda): block=30605312 write time tree block corruption detected
";
    assert_eq!(kinds(log), ["btrfs-corrupt -"; 3]);
}

#[test]
fn lost_writes_are_told_of_by_file_systems_too() {
    each(
        "lost-write",
        &[
            ("vda: writeback error on inode 131, offset 0, sector 264", "-"),
            (
                "BTRFS warning (device vda): lost page write due to IO error on /dev/vda (-5)",
                "-",
            ),
            (
                "BTRFS warning (device vda): lost super block write due to IO error on /dev/vda (-5)",
                "-",
            ),
            (
                "EXT4-fs warning (device vda): ext4_end_bio:343: I/O error 10 writing to inode 12 starting block 33)",
                "-",
            ),
            ("EXT4-fs (vda): I/O error while writing superblock", "-"),
        ],
    );
    each(
        "xfs-io-error",
        &[(
            "XFS (vda): Failing async write on buffer block 0x1. Retrying async write.",
            "-",
        )],
    );
    each(
        "journal-abort",
        &[(
            "EXT4-fs: ext4_x:12: aborting transaction: IO failure in __ext4_y",
            "ext4_x",
        )],
    );
}
