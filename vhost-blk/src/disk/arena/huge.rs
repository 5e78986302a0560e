//! Whether memory comes to be quicker as huge pages, found out by the thread that makes it be there ahead.
//!
//! A chunk has the size of a huge page (2 MiB on `x86_64`). As one it is found, cleared and mapped at once, in a
//! quarter of the time of 512 pages. Yet where memory is fragmented the kernel first has to move what is in the way,
//! and where this is a virtual machine whose host takes free memory back, it takes large pieces, which are seven times
//! dearer than 512 pages then. So the first chunk comes as pages, and what huge pages saved or cost since, held against
//! it, says whether to go on.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What huge pages may cost before they are left: two that a host had to find anew. What they saved before counts for
/// as much, so that a long past does not pay for what is otherwise now.
const ALLOWANCE_NS: i128 = 8_000_000;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Huge {
    /// What the last chunk took as pages.
    pages: Option<Duration>,
    /// What huge pages saved since.
    saved_ns: i128,
    /// They are left.
    left: bool,
}

impl Huge {
    /// Whether to make the next chunk a huge page.
    pub(super) fn wanted(&self) -> bool {
        self.pages.is_some() && !self.left
    }

    /// A chunk took so much of the thread's time, as a huge page or as pages.
    pub(super) fn took(&mut self, huge: bool, time: Duration) {
        match self.pages {
            Some(pages) if huge => {
                let saved_ns = pages.as_nanos().cast_signed() - time.as_nanos().cast_signed();
                self.saved_ns = (self.saved_ns + saved_ns).min(ALLOWANCE_NS);
                self.left |= self.saved_ns <= -ALLOWANCE_NS;
            }
            _ if huge => {}
            _ => self.pages = Some(time),
        }
    }

    /// There are none.
    pub(super) fn leave(&mut self) {
        self.left = true;
    }
}

/// What this thread has had of a processor's time: that others had it meanwhile says nothing.
pub(super) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: Duration = Duration::from_micros(600);

    fn began() -> Huge {
        let mut huge = Huge::default();
        assert!(!huge.wanted(), "pages come first");
        huge.took(false, PAGES);
        assert!(huge.wanted());
        huge
    }

    #[test]
    fn quick_ones_are_gone_on_with() {
        let mut huge = began();
        for _ in 0..100_000 {
            huge.took(true, PAGES / 4);
        }
        huge.took(true, PAGES * 8);
        assert!(huge.wanted(), "one slow one is paid for");
    }

    #[test]
    fn slow_ones_are_left_for_good_soon_whatever_was_before() {
        for quick in [0, 1000] {
            let mut huge = began();
            (0..quick).for_each(|_| huge.took(true, PAGES / 4));
            (0..5).for_each(|_| huge.took(true, PAGES * 8));
            assert!(!huge.wanted());
            huge.took(false, PAGES * 100);
            assert!(!huge.wanted());
        }
    }

    #[test]
    fn no_quicker_than_pages_is_no_harm() {
        let mut huge = began();
        (0..1000).for_each(|_| huge.took(true, PAGES));
        assert!(huge.wanted());
        huge.leave();
        assert!(!huge.wanted());
    }
}
