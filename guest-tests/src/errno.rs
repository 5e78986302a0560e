//! Names of errors, as people who read kernel code know them.

use rustix::io::Errno;

/// The error's name (`EIO`), or `errno 123` for one that no test has met.
#[must_use]
pub fn name(errno: Errno) -> String {
    let known = match errno {
        Errno::ACCESS => "EACCES",
        Errno::AGAIN => "EAGAIN",
        Errno::BADF => "EBADF",
        Errno::BUSY => "EBUSY",
        Errno::EXIST => "EEXIST",
        Errno::FAULT => "EFAULT",
        Errno::FBIG => "EFBIG",
        Errno::INTR => "EINTR",
        Errno::INVAL => "EINVAL",
        Errno::IO => "EIO",
        Errno::ISDIR => "EISDIR",
        Errno::NODEV => "ENODEV",
        Errno::NOENT => "ENOENT",
        Errno::NOEXEC => "ENOEXEC",
        Errno::NOMEM => "ENOMEM",
        Errno::NOSPC => "ENOSPC",
        Errno::NOSYS => "ENOSYS",
        Errno::NOTBLK => "ENOTBLK",
        Errno::NOTDIR => "ENOTDIR",
        Errno::NOTTY => "ENOTTY",
        Errno::NXIO => "ENXIO",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::PERM => "EPERM",
        Errno::PIPE => "EPIPE",
        Errno::ROFS => "EROFS",
        Errno::STALE => "ESTALE",
        Errno::TIMEDOUT => "ETIMEDOUT",
        Errno::UCLEAN => "EUCLEAN",
        Errno::XDEV => "EXDEV",
        other => return format!("errno {}", other.raw_os_error()),
    };
    known.to_owned()
}

/// The name of a standard library error that came from a system call, else its text.
#[must_use]
pub fn io_name(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_knows_and_numbers_the_rest() {
        assert_eq!(name(Errno::IO), "EIO");
        assert_eq!(name(Errno::UCLEAN), "EUCLEAN");
        assert_eq!(name(Errno::from_raw_os_error(133)), "errno 133");
        assert_eq!(io_name(&std::io::Error::from_raw_os_error(14)), "EFAULT");
    }
}
