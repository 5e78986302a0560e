//! What the lines of file systems and of the block layer say in figures.

use vhost_blk_api::op::Op;

/// Errors of Linux that file systems name, by number.
const NAMES: &[(&str, i32)] = &[
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EIO", 5),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("EINVAL", 22),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("EOVERFLOW", 75),
    ("EUCLEAN", 117),
];

/// Number of an error that has a name which is not known here.
const UNKNOWN: i32 = i32::MAX;

/// The error that a message names, without its sign: `error -5`, `errno=-5`, `Transaction 8 aborted (-ENOENT)`.
pub(super) fn errno(title: &str) -> Option<i32> {
    if let Some((_, rest)) = title.split_once("(-E") {
        let name = format!("E{}", rest.split(')').next().unwrap_or_default());
        let known = NAMES.iter().find(|(known, _)| *known == name);
        return Some(known.map_or(UNKNOWN, |(_, number)| *number));
    }
    ["errno=", "error ", "Error ", "err "].iter().find_map(|mark| {
        title
            .match_indices(mark)
            .find_map(|(at, _)| number(title.get(at + mark.len()..)?))
    })
}

/// A number at the beginning of a text, without its sign.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The first sector of a request that the block layer says failed: `I/O error, dev vda, sector 27136 op 0x1:(WRITE)`.
pub(super) fn sector(title: &str) -> Option<u64> {
    number(title.split_once(", sector ")?.1)
}

/// What that request was for, if it says so.
pub(super) fn op(title: &str) -> Option<Op> {
    let (_, rest) = title.split_once(":(")?;
    Some(match rest.split(')').next()? {
        "READ" => Op::Read,
        "WRITE" | "ZONE_APPEND" => Op::Write,
        "FLUSH" => Op::Flush,
        "DISCARD" | "SECURE_ERASE" => Op::Discard,
        "WRITE_ZEROES" => Op::WriteZeroes,
        _ => return None,
    })
}

/// The block that a buffer is of: `Buffer I/O error on dev vda, logical block 3392, lost async page write`.
pub(super) fn logical_block(title: &str) -> Option<u64> {
    number(title.split_once("logical block ")?.1)
}

/// The device that a message is about, if it names one: `dev vda,`, `(device vda)`, `XFS (vda):`, `on device vda-8`,
/// `vda: writeback error`.
pub(super) fn device(title: &str) -> Option<&str> {
    if let Some((name, _)) = title.split_once(": writeback error on inode") {
        return Some(name);
    }
    let marks = [
        ", dev ",
        " on dev ",
        "(device ",
        "XFS (",
        "EXT4-fs (",
        "on device ",
        "superblock for ",
    ];
    let (_, rest) = marks.iter().find_map(|mark| title.split_once(mark))?;
    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
    rest.get(..end.unwrap_or(rest.len())).filter(|name| !name.is_empty())
}

/// Names of the counters that are not zero: `bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0`.
pub(super) fn device_errors(title: &str) -> Vec<&str> {
    let (_, counters) = title.split_once(" errs: ").unwrap_or_default();
    let counters = counters.split(", ").filter_map(|counter| counter.split_once(' '));
    counters
        .filter(|(_, count)| number::<u64>(count) != Some(0))
        .map(|(name, _)| name)
        .collect()
}

/// For how long a task has been blocked, in microseconds: `blocked for more than 10 seconds`. The task's name stands
/// before that and may be any words.
pub(super) fn blocked_us(title: &str) -> Option<u64> {
    let seconds: u64 = number(title.rsplit_once(" for more than ")?.1)?;
    seconds.checked_mul(1_000_000).filter(|us| *us > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_spelling() {
        for (title, expected) in [
            (
                "BTRFS error (device vda state A): Transaction aborted (error -5)",
                Some(5),
            ),
            (
                "BTRFS error (device vda state A): Transaction 8 aborted (-ENOENT)",
                Some(2),
            ),
            (
                "BTRFS error (device vda state A): Transaction 8 aborted (-EIO)",
                Some(5),
            ),
            (
                "BTRFS error (device vda state A): Transaction 8 aborted (-ESTALE)",
                Some(UNKNOWN),
            ),
            (
                "BTRFS: error (device vda) in cleanup_transaction:2020: errno=-5 IO failure",
                Some(5),
            ),
            (
                "EXT4-fs (vda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 \
                 with error 30",
                Some(30),
            ),
            ("XFS (vda): log I/O error -5", Some(5)),
            (
                "JBD2: Error -5 detected when updating journal superblock for vda-8.",
                Some(5),
            ),
            (
                "XFS (vda): metadata I/O error in \"xfs_trans_read_buf_map\" at daddr 0x2 len 1 error 117",
                Some(117),
            ),
            ("Aborting journal on device vda-8.", None),
            (
                "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: iget: bad extra_isize",
                None,
            ),
        ] {
            assert_eq!(errno(title), expected, "{title}");
        }
    }

    #[test]
    fn a_message_names_its_device() {
        for (title, name) in [
            ("I/O error, dev vdb, sector 27136 op 0x1:(WRITE)", Some("vdb")),
            ("Buffer I/O error on dev vda, logical block 3", Some("vda")),
            (
                "BTRFS error (device vda state A): Transaction aborted (error -5)",
                Some("vda"),
            ),
            (
                "BTRFS: error (device dm-0: state A) in a:1: errno=-5 IO failure",
                Some("dm-0"),
            ),
            ("XFS (vdb): log I/O error -5", Some("vdb")),
            ("vdb: writeback error on inode 131, offset 0, sector 264", Some("vdb")),
            ("EXT4-fs (vda): Inode 12", Some("vda")),
            ("Aborting journal on device vda-8.", Some("vda-8")),
            ("INFO: task a:71 blocked for more than 10 seconds.", None),
        ] {
            assert_eq!(device(title), name, "{title}");
        }
    }

    #[test]
    fn counters_that_are_not_zero_are_named() {
        for (title, expected) in [
            ("bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0", vec!["wr"]),
            (
                "bdev /dev/vda errs: wr 0, rd 12, flush 0, corrupt 0, gen 3",
                vec!["rd", "gen"],
            ),
            ("bdev /dev/vda errs: wr 10, rd 0, flu", vec!["wr"]),
            ("bdev /dev/vda errs: wr 0, rd x", vec!["rd"]),
            ("bdev /dev/vda errs:", vec![]),
        ] {
            assert_eq!(device_errors(title), expected, "{title}");
        }
    }

    #[test]
    fn requests_are_read_in_old_and_new_forms() {
        let new = "I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x3800 phys_seg 4 prio class 2";
        let old = "blk_update_request: I/O error, dev vda, sector 27136 op 0x0:(READ) flags 0x80700";
        assert_eq!((sector(new), op(new)), (Some(27_136), Some(Op::Write)));
        assert_eq!((sector(old), op(old)), (Some(27_136), Some(Op::Read)));
        assert_eq!(op("end_request: I/O error, dev vda, sector 1"), None);
        assert_eq!(
            logical_block("Buffer I/O error on dev vda, logical block 3392, lost async page write"),
            Some(3392)
        );
        assert_eq!(
            blocked_us("INFO: task a:71 blocked for more than 10 seconds."),
            Some(10_000_000)
        );
        for name in [" for more than ", "more than 1 s", "for more than 0"] {
            let title = format!("INFO: task {name}:71 blocked in I/O wait for more than 10 seconds.");
            assert_eq!(blocked_us(&title), Some(10_000_000), "{title}");
        }
        assert_eq!(blocked_us("INFO: task a:71 blocked for more than 0 seconds."), None);
    }
}
