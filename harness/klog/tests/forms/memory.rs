//! The sanitizers, and what memory management finds.

use super::{each, kinds, one};

/// Kinds, and lines with the function that each names.
const OPENINGS: &[(&str, &[(&str, &str)])] = &[
    (
        "kasan",
        &[
            (
                "BUG: KASAN: use-after-free in btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]",
                "btrfs_put_ordered_extent",
            ),
            ("BUG: KASAN: slab-out-of-bounds in f+0x1/0x2", "f"),
            ("BUG: KASAN: double-free or invalid-free in f+0x1/0x2", "f"),
            ("BUG: KASAN: invalid-access", "-"),
        ],
    ),
    (
        "kfence",
        &[
            ("BUG: KFENCE: out-of-bounds read in f+0x1/0x2", "f"),
            ("BUG: KFENCE: use-after-free write in f+0x1/0x2", "f"),
            ("BUG: KFENCE: memory corruption in f+0x1/0x2", "f"),
            ("BUG: KFENCE: invalid free in f+0x1/0x2", "f"),
        ],
    ),
    ("kmsan", &[("BUG: KMSAN: uninit-value in f+0x1/0x2", "f")]),
    (
        "kcsan",
        &[
            ("BUG: KCSAN: data-race in btrfs_a / btrfs_b", "btrfs_a"),
            ("BUG: KCSAN: data-race in btrfs_a+0x1/0x2 [btrfs]", "btrfs_a"),
        ],
    ),
    (
        "ubsan",
        &[
            ("UBSAN: array-index-out-of-bounds in fs/btrfs/inode.c:12:3", "-"),
            ("UBSAN: shift-out-of-bounds in ./include/linux/log2.h:57:13", "-"),
        ],
    ),
    (
        "bad-page",
        &[
            ("BUG: Bad page state in process repro  pfn:10500", "-"),
            ("BUG: Bad page map in process repro  pte:8000000 pmd:1234", "-"),
            ("BUG: Bad page cache in process repro  pfn:10500", "-"),
        ],
    ),
    (
        "bad-rss",
        &[(
            "BUG: Bad rss-counter state mm:00000000a1b2c3d4 type:MM_FILEPAGES val:1",
            "-",
        )],
    ),
    (
        "page-tables",
        &[("BUG: non-zero pgtables_bytes on freeing mm: 4096", "-")],
    ),
    (
        "slab",
        &[
            ("BUG kmalloc-8 (Not tainted): Poison overwritten", "-"),
            (
                "BUG btrfs_inode (Tainted: G    B             ): Right Redzone overwritten",
                "-",
            ),
            ("BUG kmalloc-8 (Tainted: G    B   W         ): Object already free", "-"),
        ],
    ),
    (
        "slab-left",
        &[
            (
                "BUG btrfs_ordered_extent (Not tainted): Objects remaining in btrfs_ordered_extent on __kmem_cache_shutdown()",
                "-",
            ),
            (
                "BUG btrfs_ordered_extent (Not tainted): Objects remaining on __kmem_cache_shutdown()",
                "-",
            ),
            ("kmem_cache_destroy btrfs_inode: Slab cache still has objects", "-"),
        ],
    ),
    (
        "kmemleak",
        &[(
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "-",
        )],
    ),
    (
        "stack-guard",
        &[
            (
                "BUG: stack guard page was hit at 0000000012345678 (stack is 0000..0000)",
                "-",
            ),
            (
                "BUG: TASK stack guard page was hit at ffffc90000000000 (stack is ffff..ffff)",
                "-",
            ),
        ],
    ),
];

#[test]
fn openings_name_the_function_where_they_can() {
    for (kind, lines) in OPENINGS {
        each(kind, lines);
    }
}

#[test]
fn kasan_is_read_whole() {
    let log = "\
[    9.1] ==================================================================
[    9.1] BUG: KASAN: use-after-free in btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1] Write of size 4 at addr ffff8881051cf910 by task kworker/u4:2/71
[    9.1] 
[    9.1] CPU: 0 PID: 71 Comm: kworker/u4:2 Not tainted 6.1.0 #1
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  dump_stack_lvl+0x44/0x5c
[    9.1]  print_report+0x16a/0x4c0
[    9.1]  ? btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1]  kasan_report+0xa8/0xe0
[    9.1]  btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    9.1]  </TASK>
[    9.1] 
[    9.1] Allocated by task 70:
[    9.1]  kasan_save_stack+0x1e/0x40
[    9.1]  other+0x1e/0x40
[    9.1] ==================================================================
[    9.1] Disabling lock debugging due to kernel taint
";
    let report = one(log);
    assert_eq!(report.frames, ["btrfs_put_ordered_extent", "btrfs_work_helper"]);
    assert_eq!((report.cpu, report.task.as_deref()), (Some(0), Some("kworker/u4:2/71")));
    assert!(!report.truncated);
    // A fault in what follows is another report.
    let fault = "[    9.2] BUG: unable to handle page fault for address: ffff\n[    9.2] RIP: 0010:f+0x1/0x2\n";
    assert_eq!(
        kinds(&format!("{log}{fault}")),
        ["kasan btrfs_put_ordered_extent", "oops f"]
    );
}

#[test]
fn stacks_without_a_head_are_read() {
    let kcsan = "\
[    9.1] ==================================================================
[    9.1] BUG: KCSAN: data-race in btrfs_a / btrfs_b
[    9.1] 
[    9.1] write to 0xffff8881051cf910 of 8 bytes by task 71 on cpu 1:
[    9.1]  btrfs_a+0x12/0x80 [btrfs]
[    9.1]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    9.1] 
[    9.1] read to 0xffff8881051cf910 of 8 bytes by task 72 on cpu 0:
[    9.1]  btrfs_b+0x12/0x80 [btrfs]
";
    assert_eq!(one(kcsan).frames, ["btrfs_a", "btrfs_work_helper"]);
    let kfence = "\
[    9.1] BUG: KFENCE: use-after-free read in btrfs_a+0x12/0x80 [btrfs]
[    9.1] 
[    9.1] Use-after-free read at 0x00000000a1b2c3d4 (in kfence-#12):
[    9.1]  btrfs_a+0x12/0x80 [btrfs]
[    9.1]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    9.1] 
[    9.1] kfence-#12: 0x00000000a1b2c3d4-0x00000000a1b2c3d5, size=32, cache=kmalloc-32
[    9.1] 
[    9.1] allocated by task 70 on cpu 0 at 9.000000s:
[    9.1]  other+0x12/0x80
";
    assert_eq!(one(kfence).frames, ["btrfs_a", "btrfs_work_helper"]);
}

#[test]
fn ubsan_is_placed_by_its_stack() {
    let log = "\
[    9.1] ------------[ cut here ]------------
[    9.1] UBSAN: array-index-out-of-bounds in fs/btrfs/inode.c:12:3
[    9.1] index 12 is out of range for type 'int [4]'
[    9.1] CPU: 0 PID: 71 Comm: repro Not tainted 6.1.0 #1
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  dump_stack_lvl+0x44/0x5c
[    9.1]  ubsan_epilogue+0x5/0x40
[    9.1]  __ubsan_handle_out_of_bounds.cold+0x43/0x48
[    9.1]  btrfs_a+0x12/0x80 [btrfs]
[    9.1]  </TASK>
[    9.1] ---[ end trace ]---
";
    assert_eq!(kinds(log), ["ubsan btrfs_a"]);
    assert!(!one(log).truncated);
}
