//! Namespaces of the kernel's, in which a test has disks and a network of its own.

use std::process::Command;

/// What is a test's own.
#[derive(Clone, Copy)]
pub enum Namespace {
    /// Mounts: they are gone with the command.
    Mount,
    /// The network: there is none.
    Net,
}

/// A command to add a program to, which runs it there: as root, or as root of a user namespace. None if this machine
/// does not let us, and that is said.
pub fn enter(namespace: Namespace) -> Option<Command> {
    let (option, trial): (_, &[&str]) = match namespace {
        Namespace::Mount => ("--mount", &["mount", "-t", "tmpfs", "none", "/mnt"]),
        Namespace::Net => ("--net", &["true"]),
    };
    let ways: [&[&str]; 2] = [&[option], &["--map-root-user", option]];
    for way in ways {
        let mut command = Command::new("unshare");
        command.args(way);
        let mut attempt = Command::new("unshare");
        attempt.args(way).args(trial);
        if attempt.output().is_ok_and(|output| output.status.success()) {
            return Some(command);
        }
    }
    skipped(&format!(
        "`unshare {option}` works neither as root nor in a user namespace here"
    ));
    None
}

/// Says, past the test runner's capture, that a test did not do its work here.
pub fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped {}: {why}", test.name().unwrap_or_default());
}
