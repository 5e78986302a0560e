//! Pid 1 and the agent: what boots the guest, runs tests for the host, and watches them.
//!
//! Four kinds of process share the binary `/init`, told apart by their first argument, the last by its name:
//!
//! - pid 1 ([`boot`]) mounts, starts the agent, reaps orphans and powers off when the agent ends. It does nothing that
//!   can fail the kernel: a pid 1 that dies is a kernel panic and would read as a bug of the kernel's;
//! - the agent ([`serve`], [`job`], `phase`) talks to the host. It never touches the file system under test, so that
//!   it can still report when everything that does is stuck;
//! - helpers (`helpers`) do what may get stuck: mount, umount, the leak check, the start of a program in `/mnt`;
//! - `inject` tells the disk's device something; it is for whoever is in the guest.

use std::path::Path;
use std::process::ExitCode;

pub mod boot;
mod counters;
mod helpers;
mod inject;
pub mod job;
pub mod kmsg;
mod leak;
mod lines;
mod needs;
mod output;
mod phase;
mod places;
pub mod procfs;
mod sample;
pub mod serial;
pub mod serve;
mod strays;
mod symbols;

pub use places::MOUNT_POINT;

/// Runs as pid 1 until power-off; started as `inject` it hands a command to the agent that runs.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args();
    let name = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    if Path::new(&name).file_name().is_some_and(|name| name == inject::NAME) {
        return inject::main(words);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The kernel hands its own unknown command line words to pid 1, so pid 1 does not look at them.
    if rustix::process::getpid().is_init() {
        boot::pid_one();
    }
    match words.as_slice() {
        ["agent"] => serve::agent(),
        ["do-mount", fs, device, options] => helpers::run(|| helpers::mount(fs, device, options)),
        ["do-umount"] => helpers::run(helpers::umount),
        ["do-remount", fs, device, options] => helpers::run(|| helpers::remount(fs, device, options)),
        ["do-leak"] => helpers::run_with_reporter(leak::check),
        ["do-exec", program, args @ ..] => helpers::run(|| helpers::exec(program, args)),
        _ => {
            eprintln!("init: this is the first process of a bioscope guest, not a program to be run by hand");
            ExitCode::from(64)
        }
    }
}
