//! The leak check for btrfs: whether a commit leaves space reserved that nothing will ever use.
//!
//! A commit that does not wait for ordered extents (`BTRFS_IOC_START_SYNC`, `BTRFS_IOC_WAIT_SYNC`) brings the counters
//! up to date; before it they mislead. A finished write's ordered extent may complete a little after write(2)
//! returned, so the counter is looked at repeatedly before a remainder is called a leak. The files are not read back:
//! the read of a leaked range hangs, and would take the blame.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use guest_wire::FindingCause;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, opcode};

use super::places::MOUNT_POINT;
use crate::errno;
use crate::reporter::{ReportError, Reporter};

const START_SYNC: Opcode = opcode::read::<u64>(0x94, 24);
const WAIT_SYNC: Opcode = opcode::write::<u64>(0x94, 22);

/// Commits before a remainder is called a leak.
const COMMITS: usize = 3;
/// Looks at the counters after each commit, and the time between them: 3 × 7 × 100 ms is some two seconds.
const LOOKS: usize = 7;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Space that a mounted btrfs keeps for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    /// Held by ordered extents.
    reserved: u64,
    /// Promised to delayed allocation.
    may_use: u64,
}

/// Checks the mounted file system and reports a leak as a finding.
///
/// # Errors
/// The agent is gone.
pub(crate) fn check(reporter: &Reporter) -> Result<(), ReportError> {
    match look() {
        Ok(Reserved {
            reserved: 0,
            may_use: 0,
        }) => Ok(()),
        Ok(left) => {
            let detail = format!(
                "after {COMMITS} commits bytes_reserved is {} and bytes_may_use {} for data, expected 0",
                left.reserved, left.may_use
            );
            if left.reserved == 0 {
                // Delayed allocation is not what this is about, and an idle file system may keep some.
                return reporter.note(detail);
            }
            reporter.finding(FindingCause::Leak, "reserved", detail)
        }
        Err(what) => reporter.failed(what),
    }
}

fn look() -> Result<Reserved, String> {
    let root = rustix::fs::open(
        MOUNT_POINT,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| format!("open {MOUNT_POINT}: {}", errno::name(errno)))?;
    let mut left = Reserved {
        reserved: u64::MAX,
        may_use: 0,
    };
    for _ in 0..COMMITS {
        commit(&root).map_err(|errno| format!("BTRFS_IOC_START_SYNC: {}", errno::name(errno)))?;
        for _ in 0..LOOKS {
            left = counters()?;
            if left.reserved == 0 {
                return Ok(left);
            }
            // The end of an ordered extent is no event that user space could wait for.
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
    Ok(left)
}

/// Commits the running transaction without waiting for ordered extents.
fn commit(root: impl AsFd) -> Result<(), Errno> {
    // SAFETY: BTRFS_IOC_START_SYNC writes the transaction's number into a u64, as the getter says.
    let start = unsafe { Getter::<START_SYNC, u64>::new() };
    // SAFETY: the ioctl touches nothing but that number.
    let transaction = unsafe { rustix::ioctl::ioctl(&root, start) }?;
    // SAFETY: BTRFS_IOC_WAIT_SYNC reads the transaction's number from a u64, as the setter says.
    let wait = unsafe { Setter::<WAIT_SYNC, u64>::new(transaction) };
    // SAFETY: the ioctl touches nothing but that number.
    unsafe { rustix::ioctl::ioctl(&root, wait) }
}

/// The counters of every mounted btrfs, summed: the guest has one.
fn counters() -> Result<Reserved, String> {
    let failed = |path: &PathBuf, error: &std::io::Error| format!("read {}: {}", path.display(), errno::io_name(error));
    let base = PathBuf::from("/sys/fs/btrfs");
    let entries = fs::read_dir(&base).map_err(|error| failed(&base, &error))?;
    let (mut sum, mut seen) = (
        Reserved {
            reserved: 0,
            may_use: 0,
        },
        false,
    );
    for dir in entries.flatten().map(|entry| entry.path().join("allocation/data")) {
        if !dir.is_dir() {
            continue;
        }
        let number = |name: &str| {
            let path = dir.join(name);
            let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            text.trim()
                .parse::<u64>()
                .map_err(|_| format!("{} holds {text:?}, no number", path.display()))
        };
        sum.reserved += number("bytes_reserved")?;
        sum.may_use += number("bytes_may_use")?;
        seen = true;
    }
    if seen {
        Ok(sum)
    } else {
        Err(format!("{}: no mounted file system there", base.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctls_have_the_numbers_of_the_kernel_headers() {
        assert_eq!((START_SYNC, WAIT_SYNC), (0x8008_9418, 0x4008_9416));
    }
}
