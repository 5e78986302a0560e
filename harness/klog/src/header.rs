//! What a report says of the machine: CPU, task, taint, where the CPU was.

use crate::Kind;
use crate::symbol;

/// What a line says of the CPU and the task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cpu: Option<u32>,
    /// `comm/pid`.
    pub(crate) task: Option<String>,
    pub(crate) taint: Option<String>,
}

/// Bytes of a task's name and number that are kept; the kernel has 16 for a name, workers have more.
const TASK_MAX: usize = 64;

/// What an opening says.
pub(crate) fn of_opening(kind: Kind, text: &str) -> Header {
    let task = match kind {
        Kind::SoftLockup => between(text, "[", "]").and_then(|inner| task(inner, ':')),
        Kind::HungTask => between(text, "INFO: task ", " blocked ")
            .or_else(|| between(text, "INFO: The task ", " has been waiting "))
            .and_then(|inner| task(inner, ':')),
        Kind::Warning => text
            .rsplit_once(", CPU#")
            .and_then(|(_, rest)| task(rest.split_once(": ")?.1, '/')),
        Kind::AtomicSchedule => text
            .rsplit_once(": ")
            .and_then(|(_, rest)| task(rest.rsplit_once('/')?.0, '/')),
        Kind::ProcessorId => text.rsplit_once("code: ").and_then(|(_, rest)| task(rest, '/')),
        Kind::Spinlock => text.rsplit_once(", ").and_then(|(_, rest)| task(rest, '/')),
        _ => None,
    };
    let cpu = ["CPU#", "WARNING: CPU: ", " on cpu ", "LOCKUP on cpu "]
        .iter()
        .find_map(|mark| leading_number(text.split_once(mark)?.1));
    Header { cpu, task, taint: None }
}

/// What the line `CPU: 0 UID: 0 PID: 71 Comm: name Tainted: G        W  6.12.0 #1` says.
pub(crate) fn of_cpu_line(text: &str) -> Option<Header> {
    let cpu = leading_number(text.strip_prefix("CPU: ")?)?;
    let pid = leading_number(text.split_once(" PID: ")?.1)?;
    let (_, rest) = text.split_once(" Comm: ")?;
    let end = [" Not tainted", " Tainted: "]
        .iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    let comm = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().trim();
    let flags = rest.split_once(" Tainted: ").map(|(_, flags)| flags);
    let taint = flags.map(|flags| {
        let end = flags.find(|letter: char| !(letter.is_ascii_uppercase() || letter == ' '));
        flags
            .get(..end.unwrap_or(flags.len()))
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    });
    Some(Header {
        cpu: Some(cpu),
        task: (comm.len() <= TASK_MAX).then(|| format!("{comm}/{pid}")),
        taint: taint.filter(|taint| !taint.is_empty() && taint.len() <= TASK_MAX),
    })
}

/// The task of `Write of size 4 at addr … by task name/71`.
pub(crate) fn by_task(text: &str) -> Option<String> {
    let rest = text.split_once(" by task ")?.1;
    task(rest.trim_end_matches(':'), '/')
}

/// The taint of the line that follows the opening of a hung task: `      Tainted: G        W  6.12.0 #1`.
pub(crate) fn of_taint_line(text: &str) -> Option<String> {
    let flags = text.trim_start().strip_prefix("Tainted: ")?;
    let end = flags.find(|letter: char| !(letter.is_ascii_uppercase() || letter == ' '))?;
    let flags = flags.get(..end)?.trim_end();
    (!flags.is_empty() && flags.len() <= TASK_MAX).then(|| flags.to_owned())
}

/// The function in which the CPU was, in kernel code.
pub(crate) fn instruction(text: &str) -> Option<&str> {
    if is_of_user(text) {
        return None;
    }
    let marks = ["RIP: ", "RIP  ", "IP: ", "pc : ", "PC is at ", "epc : ", "NIP ["];
    let rest = marks.iter().find_map(|mark| text.strip_prefix(mark))?;
    symbol::with_offset(rest)
}

/// A function that a line of a report names apart from the stack, which may be missing.
pub(crate) fn named(kind: Kind, text: &str) -> Option<&str> {
    let mark = match kind {
        Kind::Lockdep | Kind::RcuUsage => "at: ",
        Kind::ProcessorId => "caller is ",
        _ => return None,
    };
    symbol::with_offset(text.split_once(mark)?.1)
}

/// The work item's function: `Workqueue: events flush_fn [btrfs]`.
pub(crate) fn work(text: &str) -> Option<&str> {
    let mut words = text.strip_prefix("Workqueue: ")?.split_whitespace();
    words.nth(1).and_then(symbol::word)
}

/// Whether a line tells of registers in user space.
pub(crate) fn is_of_user(text: &str) -> bool {
    ["RIP: 0033:", "RIP: 0023:", "RIP: e033:"]
        .iter()
        .any(|mark| text.starts_with(mark))
}

/// Whether a line tells of registers or code, as it does within a stack where an interrupt or a fault came.
pub(crate) fn is_register(text: &str) -> bool {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let named = ["Code", "EFLAGS", "ORIG_RAX", "PKRU", "CR2", "FS", "CS", "GS"].contains(&word);
    let register =
        word.len() <= 3 && word.starts_with(['R', 'r']) && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (named || register) && !rest.is_empty()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.rsplit_once(to).map(|(inner, _)| inner)
}

/// `comm:pid` or `comm/pid` as `comm/pid`: the name may itself have such a sign in it.
fn task(text: &str, sign: char) -> Option<String> {
    let (comm, pid) = text.trim().rsplit_once(sign)?;
    let whole = !comm.is_empty() && comm.len() <= TASK_MAX && !pid.is_empty() && pid.len() <= 10;
    (whole && pid.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{comm}/{pid}"))
}

fn leading_number(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// Whether the stack that follows in the report of a stalled grace period is that of RCU's own thread, which only waits
/// for a CPU; none for a line that begins no stack.
pub(crate) fn shows_waiting_task(text: &str) -> Option<bool> {
    if text.contains("grace-period kthread stack dump:") {
        return Some(true);
    }
    let of_cpu = [
        "Stack dump where RCU GP kthread last ran",
        "NMI backtrace for ",
        "Sending NMI ",
    ];
    of_cpu.iter().any(|words| text.contains(words)).then_some(false)
}

/// Errors that btrfs aborts with, by number; since 7.3 it names them.
const ERRORS: &[(&str, u32)] = &[
    ("ENOENT", 2),
    ("EIO", 5),
    ("ENOMEM", 12),
    ("EEXIST", 17),
    ("EINVAL", 22),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("EOVERFLOW", 75),
    ("EUCLEAN", 117),
    ("EDQUOT", 122),
];

/// The error of a message of btrfs: `errno=-5`, `aborted (error -5)`, `aborted (-EIO)`.
pub(crate) fn btrfs_error(text: &str) -> Option<u32> {
    let after = |mark| text.split_once(mark).map(|(_, rest)| rest);
    let word = |rest: &str| rest.split([' ', ')']).next().map(str::to_owned);
    let word = after("errno=-").or(after("(error -")).or(after("(-")).and_then(word)?;
    let named = ERRORS.iter().find(|(name, _)| *name == word);
    named.map(|(_, number)| *number).or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_line_is_read_in_its_forms() {
        let head =
            of_cpu_line("CPU: 1 PID: 71 Comm: kworker/u4:2 Tainted: G        W         6.1.0 #1").unwrap_or_default();
        assert_eq!(head.cpu, Some(1));
        assert_eq!(head.task.as_deref(), Some("kworker/u4:2/71"));
        assert_eq!(head.taint.as_deref(), Some("G        W"));
        let head = of_cpu_line("CPU: 0 UID: 0 PID: 7 Comm: a b Not tainted 6.12.0 #1 PREEMPT").unwrap_or_default();
        assert_eq!((head.task.as_deref(), head.taint), (Some("a b/7"), None));
        assert_eq!(of_cpu_line("CPU: all of them"), None);
    }

    #[test]
    fn openings_name_tasks() {
        let of = |kind, text| {
            let head = of_opening(kind, text);
            (head.cpu, head.task.unwrap_or_default())
        };
        let new = "WARNING: fs/btrfs/inode.c:99 at f+0x12/0x80 [btrfs], CPU#3: kworker/u4:1/71";
        assert_eq!(of(Kind::Warning, new), (Some(3), "kworker/u4:1/71".to_owned()));
        let soft = "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/0:1:71]";
        assert_eq!(of(Kind::SoftLockup, soft), (Some(1), "kworker/0:1/71".to_owned()));
        let hung = "INFO: task kworker/u4:1:71 blocked for more than 4 seconds.";
        assert_eq!(of(Kind::HungTask, hung), (None, "kworker/u4:1/71".to_owned()));
        let atomic = "BUG: scheduling while atomic: a b/71/0x00000002";
        assert_eq!(of(Kind::AtomicSchedule, atomic), (None, "a b/71".to_owned()));
    }

    #[test]
    fn errors_of_btrfs_by_name_and_number() {
        for (text, expected) in [
            ("BTRFS: Transaction aborted (error -5)", Some(5)),
            (
                "BTRFS error (device vda state A): Transaction 8 aborted (-EIO)",
                Some(5),
            ),
            (
                "BTRFS: error (device vda) in f:1: errno=-17 Object already exists",
                Some(17),
            ),
            ("BTRFS: error (device vda) in f:1: errno=-99 unknown", Some(99)),
            ("BTRFS error (device vda): Transaction 8 aborted (-EODD)", None),
        ] {
            assert_eq!(btrfs_error(text), expected, "{text}");
        }
    }

    #[test]
    fn only_kernel_code_is_a_place() {
        assert_eq!(instruction("RIP: 0010:f.cold+0x1/0x2 [m]"), Some("f"));
        assert_eq!(
            instruction("RIP: 0010:[<ffffffff82d4e304>]  [<ffffffff82d4e304>] f+0x24/0x30"),
            Some("f")
        );
        assert_eq!(instruction("pc : f+0x1/0x2"), Some("f"));
        assert_eq!(instruction("RIP: 0033:0x430730"), None);
        assert_eq!(instruction("RIP: 0010:0x0"), None);
        for line in ["Code: 12", "RSP: 0018:f EFLAGS: 0", "R10: 0", "FS:  0"] {
            assert!(is_register(line), "{line}");
        }
        assert!(!is_register("Ready: go") && !is_register("R"));
    }
}
