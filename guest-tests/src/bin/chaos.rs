//! What can go wrong with the rig itself, on purpose: for the harness's own tests, never in a matrix.
//!
//! `chaos WHAT` as an exec program in the guest: `kill-agent`, `kill-init` (the kernel panics: "Attempted to kill init!"),
//! `poweroff`, `spin` (runs for ever without sleeping), `stop` (sleeps for ever), `exit N`, `oops` (a crash by sysrq-c).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use rustix::process::{Signal, getppid, kill_process};
use rustix::system::{RebootCommand, reboot};

/// An instruction that is none (ud2): whoever runs it gets SIGILL.
const UD2: [u8; 2] = [0x0f, 0x0b];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["kill-agent"] => kill_agent(),
        ["kill-init"] => kill_init(),
        ["poweroff"] => reboot(RebootCommand::PowerOff).map_err(io::Error::from),
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["stop"] => loop {
            rustix::event::pause();
        },
        ["exit", code] => match code.parse::<u8>() {
            Ok(code) => return ExitCode::from(code),
            Err(_) => Err(io::Error::other(format!("{code} is no exit code"))),
        },
        ["oops"] => std::fs::write("/proc/sysrq-trigger", "c"),
        _ => Err(io::Error::other(
            "expected kill-agent, kill-init, poweroff, spin, stop, exit N or oops",
        )),
    };
    if let Err(error) = done {
        eprintln!("chaos: {error}");
        return ExitCode::from(64);
    }
    // The end is on its way.
    loop {
        rustix::event::pause();
    }
}

/// Kills the agent, this process's parent.
fn kill_agent() -> io::Result<()> {
    let agent = getppid()
        .filter(|pid| !pid.is_init())
        .ok_or_else(|| io::Error::other("the parent is no agent"))?;
    Ok(kill_process(agent, Signal::KILL)?)
}

/// Makes pid 1 die: nobody can kill it, so its next instruction is overwritten, and the agent's end makes it go on.
fn kill_init() -> io::Result<()> {
    let syscall = std::fs::read_to_string("/proc/1/syscall")?;
    let next = syscall
        .split_whitespace()
        .next_back()
        .and_then(|word| word.strip_prefix("0x"));
    let next = next.and_then(|word| u64::from_str_radix(word, 16).ok());
    let next = next.ok_or_else(|| io::Error::other(format!("pid 1 is in no system call: {syscall}")))?;
    OpenOptions::new()
        .write(true)
        .open("/proc/1/mem")?
        .write_all_at(&UD2, next)?;
    kill_agent()
}
