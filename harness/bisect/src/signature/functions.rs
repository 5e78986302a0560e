//! Functions of the kernel that took the place of one another, so that a bug has one place on all versions.

/// Each row is one function under the names that it had; the first is the one that counts. Callers that only wrap one
/// of them on some versions stand with it.
const RENAMED: &[&[&str]] = &[
    // 6.0 dropped lock_extent_bits for lock_extent, which sleeps in wait_extent_bit; 6.16 gave them prefixes.
    &[
        "lock_extent",
        "lock_extent_bits",
        "__lock_extent",
        "wait_extent_bit",
        "btrfs_lock_extent",
        "btrfs_lock_extent_bits",
    ],
    &["folio_lock", "lock_page", "__lock_page", "__folio_lock"],
    &[
        "folio_lock_killable",
        "lock_page_killable",
        "__lock_page_killable",
        "__folio_lock_killable",
    ],
    &["folio_lock_or_retry", "__lock_page_or_retry", "__folio_lock_or_retry"],
    &[
        "folio_wait_bit",
        "wait_on_page_bit",
        "wait_on_page_bit_common",
        "folio_wait_bit_common",
        "wait_on_page_locked",
        "folio_wait_locked",
    ],
    &["folio_wait_writeback", "wait_on_page_writeback"],
    &["fault_in_iov_iter_readable", "iov_iter_fault_in_readable"],
    &["fault_in_readable", "fault_in_pages_readable"],
    &["btrfs_do_write_iter", "btrfs_file_write_iter"],
    &["btrfs_read_folio", "btrfs_readpage"],
    &["btrfs_finish_one_ordered", "btrfs_finish_ordered_io"],
    &["btrfs_invalidate_folio", "btrfs_invalidatepage"],
    &["ext4_read_folio", "ext4_readpage"],
    &["iomap_read_folio", "iomap_readpage"],
    &["submit_bio_noacct", "generic_make_request"],
    &["bio_split_to_limits", "blk_queue_split", "__blk_queue_split"],
    &["folio_unlock", "unlock_page"],
    &["filemap_get_pages", "generic_file_buffered_read"],
    &["btrfs_dio_write", "btrfs_direct_IO", "btrfs_direct_write"],
    &["jbd2_journal_abort", "__jbd2_journal_abort_hard"],
    &["truncate_inode_folio", "truncate_inode_page"],
];

/// A function's name on whichever version.
pub(super) fn canonical(function: &str) -> &str {
    let row = RENAMED.iter().find(|names| names.contains(&function));
    row.and_then(|names| names.first()).copied().unwrap_or(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_one_row() {
        let mut names: Vec<&str> = RENAMED.concat();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
