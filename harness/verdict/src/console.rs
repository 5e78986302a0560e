//! What a guest's own init says in a kernel log. What the kernel says there is the crate `klog`'s.

/// Whether pid 1 died, which the rig answers for unless the kernel said why before.
#[must_use]
pub fn init_died(log: &str) -> bool {
    log.contains("Attempted to kill init")
}

/// What the guest's own init said of its agent's end, if it did.
#[must_use]
pub fn agent_ended(log: &str) -> Option<&str> {
    log.lines()
        .map(message)
        .find(|line| line.contains("bioscope: agent ended"))
}

/// A line without its time stamp (`[    1.234567] `) and thread or CPU mark (`[   T12] `).
#[must_use]
pub fn message(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_mark = inner
            .trim()
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".TC".contains(&byte));
        if !is_mark {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_follows_the_stamp_and_the_mark() {
        assert_eq!(message("[    5.123456][   T12] a [b]\r"), "a [b]");
        assert_eq!(message("[    5.123456] [    C0] a"), "a");
        assert_eq!(
            message("[ BUG: Invalid wait context ]"),
            "[ BUG: Invalid wait context ]"
        );
    }

    #[test]
    fn the_ends_of_our_own_programs_are_found() {
        let log = "[    1.0] bioscope: begin a\n[    2.0] bioscope: agent ended by signal 9\r\n";
        assert_eq!(agent_ended(log), Some("bioscope: agent ended by signal 9"));
        assert!(!init_died(log));
        assert!(init_died(
            "[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n"
        ));
    }
}
