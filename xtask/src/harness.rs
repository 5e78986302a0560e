//! Builds the harness, with what it starts or packs, and runs it.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

use exit::Exit;
use xshell::cmd;

use crate::repo::Repo;
use crate::tool::{self, ToolError};

/// Guest binaries are linked statically against glibc, so that no further toolchain is needed.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";
const GUEST_FLAGS: &str = "-C target-feature=+crt-static";
/// Commands that boot a machine: they need the device and the guest's binaries too.
const BOOTING: [&str; 4] = ["test", "shell", "soak", "bisect"];

/// Builds what the command needs and goes on as the harness, so that a signal meets it and nobody before it; comes
/// back only if it does not start.
pub(crate) fn hand_over(repo: &Repo, args: &[OsString]) -> Result<Infallible, ToolError> {
    let is_booting = args
        .first()
        .is_some_and(|first| BOOTING.iter().any(|name| first == name));
    if is_booting {
        build(repo)?;
    } else {
        tool::run(cmd!(repo.shell, "cargo build --quiet --release --package harness"))?;
    }
    let mut command = command(repo, args);
    let error = command.exec();
    Err(cannot_start(&command, error))
}

/// Builds harness, device and guest binaries in release; cargo does nothing where nothing changed.
pub(crate) fn build(repo: &Repo) -> Result<(), ToolError> {
    let shell = &repo.shell;
    tool::run(cmd!(
        shell,
        "cargo build --release --package harness --package vhost-blk"
    ))?;
    let guest = cmd!(
        shell,
        "cargo build --package guest-tests --bins --profile guest --target {GUEST_TARGET}"
    );
    tool::run(guest.env("RUSTFLAGS", GUEST_FLAGS))
}

/// Runs the harness; its exit code.
pub(crate) fn run<S: AsRef<OsStr>>(repo: &Repo, args: &[S]) -> Result<u8, ToolError> {
    let mut command = command(repo, args);
    let status = command.status().map_err(|error| cannot_start(&command, error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(Exit::Internal.code()))
}

/// The harness, where the person is.
fn command<S: AsRef<OsStr>>(repo: &Repo, args: &[S]) -> Command {
    let bioscope = repo.target.join("release/bioscope");
    let mut command: Command = cmd!(repo.shell, "{bioscope}").into();
    command.args(args).current_dir(&repo.here);
    command
}

/// It was built a moment ago: if it is gone, no tool of the host is missing.
fn cannot_start(command: &Command, source: std::io::Error) -> ToolError {
    let program = command.get_program().to_string_lossy().into_owned();
    ToolError::Start { program, source }
}
