//! Where a stack is stuck, in words that stay the same from run to run and from version to version.

/// What functions are called in all versions, where they were renamed or are inlined into each other.
const SAME: &[(&str, &str)] = &[
    ("wait_extent_bit", "lock_extent"),
    ("lock_extent_bits", "lock_extent"),
    ("lock_extent_bit", "lock_extent"),
    ("__lock_extent", "lock_extent"),
    ("__lock_extent_bits", "lock_extent"),
    ("btrfs_lock_extent", "lock_extent"),
    ("btrfs_lock_extent_bits", "lock_extent"),
    ("btrfs_start_ordered_extent_nowriteback", "btrfs_start_ordered_extent"),
    ("read_events", "io_getevents"),
    ("do_io_getevents", "io_getevents"),
    ("__do_sys_io_getevents", "io_getevents"),
    ("__x64_sys_io_getevents", "io_getevents"),
    ("io_cqring_wait", "io_uring_enter"),
    ("__do_sys_io_uring_enter", "io_uring_enter"),
    ("__x64_sys_io_uring_enter", "io_uring_enter"),
];

/// Beginnings of names that say how one sleeps, spins or was interrupted, and not where.
const WAYS_BEGIN: &[&str] = &[
    "schedule",
    "__schedule",
    "io_schedule",
    "submit_bio_wait",
    "blk_io_schedule",
    "blk_wait_io",
    "blk_execute_rq",
    "preempt_schedule",
    "folio_wait_",
    "wait_on_page_",
    "__folio_lock",
    "__lock_page",
    "__wait_on_",
    "out_of_line_wait_on_",
    "bit_wait",
    "rwsem_down_",
    "__down_",
    "down_read",
    "down_write",
    "__mutex_lock",
    "mutex_lock",
    "__rt_mutex_",
    "rt_mutex_",
    "rwbase_",
    "percpu_rwsem_wait",
    "__percpu_down_read",
    "wait_for_completion",
    "__wait_for_common",
    "__flush_work",
    "flush_work",
    "__flush_workqueue",
    "flush_workqueue",
    "drain_workqueue",
    "__cancel_work",
    "cancel_work_sync",
    "kthread_stop",
    "prepare_to_wait",
    "finish_wait",
    "__filemap_fdatawait_range",
    "filemap_fdatawait",
    "filemap_write_and_wait",
    "file_write_and_wait",
    "file_fdatawait",
    "native_queued_spin_lock_slowpath",
    "queued_spin_lock_slowpath",
    "__pv_queued_spin_lock_slowpath",
    "pv_queued_spin_lock_slowpath",
    "queued_read_lock_slowpath",
    "queued_write_lock_slowpath",
    "_raw_spin_",
    "_raw_read_",
    "_raw_write_",
    "do_raw_spin_lock",
    "delay_",
    "__delay",
    "__const_udelay",
    "__udelay",
    "cpu_relax",
    "rep_nop",
    "__cond_resched",
    "_cond_resched",
    "irqentry_",
    "irq_exit",
    "__irq_exit",
    "asm_",
    "sysvec_",
    "__sysvec_",
    "common_interrupt",
    "exit_to_user_mode",
    "syscall_exit_to_user_mode",
    "retint_",
    "ret_from_intr",
    "restore_regs",
    "apic_timer_interrupt",
    "smp_apic_timer_interrupt",
    "exc_",
    "do_softirq",
    "__do_softirq",
    "handle_softirqs",
    "rcu_",
    "__rcu_",
    "hrtimer_interrupt",
    "__hrtimer_run_queues",
    "tick_",
    "update_process_times",
    "scheduler_tick",
    "sched_tick",
    "task_tick_",
    "perf_",
    "ktime_get",
    "clocksource_",
    "read_tsc",
    "native_sched_clock",
    "sched_clock",
    "local_clock",
    "touch_",
    "__sanitizer_",
    "__asan_",
    "kasan_",
    "__tsan_",
    "__kcsan_",
    "lock_acquire",
    "lock_release",
    "__lock_acquire",
];

/// Share of the stacks that a frame must be in to be common to them, in percent.
const COMMON_PERCENT_MIN: usize = 90;

/// A function's name without what the compiler or a printer added: `.isra.0`, `.constprop.0`, `.part.0`, `.cold`,
/// `? `, `+0x12/0x80`.
pub(super) fn plain(frame: &str) -> &str {
    let frame = frame.trim_start_matches("? ");
    frame.split(['.', '+', ' ']).next().unwrap_or(frame)
}

/// The innermost function of a stack that names a place, by its name of all versions.
pub(super) fn of(stack: &[String]) -> String {
    let mut names = stack.iter().map(|frame| plain(frame));
    let first = names.clone().next().unwrap_or("?");
    let name = names.find(|name| !is_a_way(name)).unwrap_or(first);
    let same = SAME.iter().find(|(other, _)| *other == name);
    same.map_or(name, |(_, same)| same).to_owned()
}

fn is_a_way(name: &str) -> bool {
    WAYS_BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// The frames that nearly all of these stacks have, in the order of the one that has most of them.
pub(super) fn common(stacks: &[&[String]]) -> Vec<String> {
    let known: Vec<&[String]> = stacks.iter().copied().filter(|stack| !stack.is_empty()).collect();
    let is_common = |frame: &String| {
        let with = known.iter().filter(|stack| stack.contains(frame)).count();
        with * 100 >= known.len() * COMMON_PERCENT_MIN
    };
    let shared = known.iter().map(|stack| {
        stack
            .iter()
            .filter(|frame| is_common(frame))
            .cloned()
            .collect::<Vec<_>>()
    });
    // Of one function that is always there and its callers, the first is where it is stuck.
    shared.max_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[&str]) -> Vec<String> {
        frames.iter().map(|frame| (*frame).to_owned()).collect()
    }

    #[test]
    fn one_place_in_all_versions() {
        let old = stack(&["wait_extent_bit", "lock_extent_bits", "btrfs_dio_iomap_begin"]);
        let inlined = stack(&["schedule", "lock_extent_bits.constprop.0", "btrfs_dio_iomap_begin"]);
        let new = stack(&["schedule", "btrfs_lock_extent_bits", "btrfs_dio_iomap_begin"]);
        for stack in [old, inlined, new] {
            assert_eq!(of(&stack), "lock_extent");
        }
    }

    #[test]
    fn a_way_of_sleeping_is_no_place() {
        for (frames, place) in [
            (
                &[
                    "__schedule",
                    "schedule",
                    "io_schedule",
                    "folio_wait_bit_common",
                    "f.isra.0",
                ][..],
                "f",
            ),
            (
                &["rwsem_down_write_slowpath", "down_write", "ext4_file_write_iter"],
                "ext4_file_write_iter",
            ),
            (
                &["__flush_work.isra.0", "flush_work", "xlog_cil_push_now"],
                "xlog_cil_push_now",
            ),
            (&["schedule"], "schedule"),
            (&[], "?"),
        ] {
            assert_eq!(of(&stack(frames)), place);
        }
    }

    #[test]
    fn the_function_that_loops_is_common_to_the_looks() {
        let looks = [
            stack(&["delay_tsc", "stale", "loops_here", "caller"]),
            stack(&["loops_here", "caller"]),
            stack(&[
                "hrtimer_interrupt",
                "asm_sysvec_apic_timer_interrupt",
                "loops_here",
                "caller",
            ]),
        ];
        let looks: Vec<&[String]> = looks.iter().map(Vec::as_slice).collect();
        let common = common(&looks);
        assert_eq!(common, ["loops_here", "caller"]);
        assert_eq!(of(&common), "loops_here");
        assert!(super::common(&[]).is_empty());
    }
}
