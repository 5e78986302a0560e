//! Readers of `/proc` and `/sys` formats, pure; whoever reads the files is elsewhere.

/// Length of a clock tick in `/proc/PID/stat`, in milliseconds: `USER_HZ` is 100 on every kernel we meet.
const TICK_MS: u64 = 10;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Thread or process id.
    pub id: u32,
    /// Command name; it may hold spaces and parentheses.
    pub comm: String,
    /// `R`, `S`, `D` and so on: the third field of proc(5).
    pub state: char,
    pub(crate) parent: u32,
    /// Its process group.
    pub(crate) group: u32,
    /// Whether it is a thread of the kernel.
    pub(crate) kthread: bool,
    /// User and system time, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// The part of it in user space.
    pub(crate) user_ms: u64,
}

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`, the same since 2.6.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Reads `/proc/PID/stat` or `/proc/PID/task/TID/stat`.
#[must_use]
pub fn stat(text: &str) -> Option<Stat> {
    // The name is the only field that can hold spaces; it ends at the last parenthesis.
    let (head, tail) = text.rsplit_once(')')?;
    let (id, comm) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(Stat {
        id: id.trim().parse().ok()?,
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        kthread: fields.get(6)?.parse::<u64>().ok()? & PF_KTHREAD != 0,
        cpu_ms: (user + system) * TICK_MS,
        user_ms: user * TICK_MS,
    })
}

/// Context switches, voluntary and not, from `/proc/PID/status`.
#[must_use]
pub(crate) fn switches(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| matches!(*key, "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches"))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum()
}

/// Symbol names of `/proc/PID/stack`, innermost first: `[<0>] io_schedule+0x42/0x70 [btrfs]` becomes `io_schedule`.
#[must_use]
pub fn stack(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.split_once("] ").map(|(_, symbol)| symbol))
        .filter_map(|symbol| symbol.split(['+', ' ']).next())
        .filter(|symbol| !symbol.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The number of the system call that a task sleeps in, and its six arguments, from `/proc/PID/syscall`; nothing for a
/// task that runs or is in none (`running`, `-1 0x… 0x…`).
#[must_use]
pub(crate) fn syscall(text: &str) -> Vec<u64> {
    let mut words = text.split_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
        return Vec::new();
    };
    let arguments = words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    std::iter::once(number).chain(arguments.take(6)).collect()
}

/// Timers in `/proc/timer_list` that run one of the kernel's functions of this name.
#[must_use]
pub(crate) fn timers_of(text: &str, function: &str) -> u32 {
    // ` #3: <0000000000000000>, io_timeout_fn, S:01`
    let hits = text.lines().filter(|line| {
        line.split(", ")
            .nth(1)
            .is_some_and(|word| word.split('.').next() == Some(function))
    });
    u32::try_from(hits.count()).unwrap_or(u32::MAX)
}

/// Idle time summed over the CPUs, in milliseconds, from `/proc/stat`: also that while a task waits for an I/O, which
/// `/proc/uptime` leaves out.
#[must_use]
pub(crate) fn idle_ms(text: &str) -> Option<u64> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut ticks = all.split_whitespace().skip(3).map(|word| word.parse::<u64>().ok());
    Some((ticks.next()?? + ticks.next()??) * TICK_MS)
}

/// `procs_running` of `/proc/stat`.
#[must_use]
pub(crate) fn runnable(text: &str) -> Option<u32> {
    text.lines()
        .find_map(|line| line.strip_prefix("procs_running "))
        .and_then(|value| value.trim().parse().ok())
}

/// Reads and writes in flight, from `/sys/block/DISK/inflight`.
#[must_use]
pub(crate) fn inflight(text: &str) -> Option<[u64; 2]> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// `debug_locks` of `/proc/lockdep_stats`: whether lockdep still checks.
#[must_use]
pub(crate) fn lockdep_on(text: &str) -> Option<bool> {
    let (_, value) = text.lines().find_map(|line| line.trim().split_once("debug_locks:"))?;
    Some(value.trim() != "0")
}

/// The first number of `/proc/sys/kernel/printk`.
#[must_use]
pub(crate) fn console_level(text: &str) -> Option<u8> {
    text.split_whitespace().next()?.parse().ok()
}

/// Whether `/proc/filesystems` names a file system.
#[must_use]
pub(crate) fn knows_file_system(text: &str, name: &str) -> bool {
    text.lines()
        .any(|line| line.split_whitespace().next_back() == Some(name))
}

/// The file systems on a device that `/proc/filesystems` names, for a message.
#[must_use]
pub(crate) fn device_file_systems(text: &str) -> String {
    let names: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("nodev"))
        .map(str::trim)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_parentheses_in_the_name() {
        let text = "123 (a (b) c) D 45 67 45 0 -1 4194304 90 0 1 0 7 35 0 0 20 0 1 0 100 0 0 18446744073709551615 0 0";
        let stat = stat(text).unwrap();
        assert_eq!(
            (stat.id, stat.comm.as_str(), stat.state, stat.parent),
            (123, "a (b) c", 'D', 45)
        );
        assert_eq!((stat.cpu_ms, stat.user_ms, stat.kthread), (420, 70, false));
        assert_eq!(stat.group, 67);
        assert_eq!(super::stat("garbage"), None);
    }

    #[test]
    fn a_thread_of_the_kernel() {
        // As 6.12 shows it.
        let text = "12 (kworker/u4:1-events_unbound) I 2 0 0 0 -1 69238880 0 0 0 0 0 3 0 0 20 0 1 0 8 0 0";
        let stat = stat(text).unwrap();
        assert!(stat.kthread && stat.cpu_ms == 30);
    }

    #[test]
    fn a_system_call_with_its_arguments() {
        let text = "208 0x7f1 0x1 0x1 0x7ffe 0x0 0x0 0x7ffd01 0x7f22\n";
        assert_eq!(syscall(text), [208, 0x7f1, 1, 1, 0x7ffe, 0, 0]);
        assert!(syscall("running\n").is_empty() && syscall("-1 0x7ffd 0x7f22\n").is_empty() && syscall("").is_empty());
    }

    #[test]
    fn timers_by_their_function() {
        let text = "active timers:\n #0: <0000000000000000>, tick_nohz_handler, S:01\n\
                    # expires at 1-1 nsecs [in 1 to 1 nsecs]\n #1: <00000000a1b2c3d4>, io_timeout_fn, S:01\n\
                    #2: <0000000000000000>, io_timeout_fn.cold, S:01\n";
        assert_eq!(
            (timers_of(text, "io_timeout_fn"), timers_of(text, "hrtimer_wakeup")),
            (2, 0)
        );
    }

    #[test]
    fn switches_are_summed() {
        let text = "Name:\tinit\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(switches(text), 15);
        assert_eq!(switches("Name:\tinit\n"), 0);
    }

    #[test]
    fn stack_without_offsets_and_modules() {
        // As 5.10.218 shows it.
        let text = "[<0>] btrfs_start_ordered_extent+0xcd/0x140 [btrfs]\n[<0>] io_schedule+0x42/0x70\n\
                    [<0>] entry_SYSCALL_64_after_hwframe+0x61/0xc6\n";
        assert_eq!(
            stack(text),
            [
                "btrfs_start_ordered_extent",
                "io_schedule",
                "entry_SYSCALL_64_after_hwframe"
            ]
        );
        assert!(stack("").is_empty());
    }

    #[test]
    fn figures_of_the_whole_machine() {
        assert_eq!(
            idle_ms("cpu  10 0 20 700 89 0 1 0 0 0\ncpu0 10 0 20 700 89 0 1 0 0 0\n"),
            Some(7890)
        );
        assert_eq!(idle_ms("cpu  10 0\n"), None);
        assert_eq!(runnable("cpu 1 2\nprocs_running 3\nprocs_blocked 1\n"), Some(3));
        assert_eq!(inflight("       2        7\n"), Some([2, 7]));
    }

    #[test]
    fn what_the_kernel_says_of_lockdep_and_the_console() {
        // As 6.12 with CONFIG_PROVE_LOCKING shows it.
        let stats =
            " lock-classes:                         1431 [max: 8192]\n debug_locks:                             0\n";
        assert_eq!(lockdep_on(stats), Some(false));
        assert_eq!(lockdep_on(" debug_locks:             1\n"), Some(true));
        assert_eq!(lockdep_on(""), None);
        assert_eq!(console_level("7\t4\t1\t7\n"), Some(7));
        assert_eq!(console_level(""), None);
    }

    #[test]
    fn file_systems() {
        let text = "nodev\tsysfs\nnodev\ttmpfs\n\text4\n\tbtrfs\n";
        assert!(knows_file_system(text, "btrfs") && knows_file_system(text, "tmpfs"));
        assert!(!knows_file_system(text, "xfs"));
        assert_eq!(device_file_systems(text), "ext4, btrfs");
        assert_eq!(device_file_systems("nodev\tsysfs\n"), "none");
    }
}
