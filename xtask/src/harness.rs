//! Builds the harness, with what it starts or packs, and runs it.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

use exit::Exit;
use xshell::cmd;

use crate::repo::Repo;

/// Guest binaries are linked statically against glibc, so that no further toolchain is needed.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";
const GUEST_FLAGS: &str = "-C target-feature=+crt-static";
/// Commands that boot a machine: they need the device and the guest's binaries too.
const BOOTING: [&str; 4] = ["test", "shell", "soak", "bisect"];

/// Builds what the command needs and goes on as the harness, so that a signal meets it and nobody before it; comes
/// back only if it does not start.
pub(crate) fn hand_over(repo: &Repo, args: &[OsString]) -> Result<u8, Box<dyn Error>> {
    let is_booting = args
        .first()
        .is_some_and(|first| BOOTING.iter().any(|name| first == name));
    if is_booting {
        build(repo)?;
    } else {
        cmd!(repo.shell, "cargo build --quiet --release --package harness")
            .quiet()
            .run()?;
    }
    let mut command = command(repo, args);
    let error = command.exec();
    Ok(cannot_start(&command, &error))
}

/// Builds harness, device and guest binaries in release; cargo does nothing where nothing changed.
pub(crate) fn build(repo: &Repo) -> xshell::Result<()> {
    let shell = &repo.shell;
    cmd!(shell, "cargo build --release --package harness --package vhost-blk")
        .quiet()
        .run()?;
    let guest = cmd!(
        shell,
        "cargo build --package guest-tests --bins --profile guest --target {GUEST_TARGET}"
    );
    guest.env("RUSTFLAGS", GUEST_FLAGS).quiet().run()
}

/// Runs the harness; its exit code.
pub(crate) fn run<S: AsRef<OsStr>>(repo: &Repo, args: &[S]) -> u8 {
    let mut command = command(repo, args);
    match command.status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(Exit::Internal.code()),
        Err(error) => cannot_start(&command, &error),
    }
}

/// The harness, where the person is.
fn command<S: AsRef<OsStr>>(repo: &Repo, args: &[S]) -> Command {
    let bioscope = repo.target.join("release/bioscope");
    let mut command: Command = cmd!(repo.shell, "{bioscope}").into();
    command.args(args).current_dir(&repo.here);
    command
}

fn cannot_start(command: &Command, error: &std::io::Error) -> u8 {
    eprintln!("error: cannot start {}: {error}", command.get_program().display());
    Exit::Internal.code()
}
