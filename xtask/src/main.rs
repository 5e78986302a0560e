//! `cargo xtask …`: builds what a command needs, then hands over to the harness, which has the commands and their help.
//!
//! This file knows which packages there are and how they are built, and nothing of what is in them.

mod fuzz;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use xshell::{Shell, cmd};

/// Guest binaries are linked statically against glibc, so that no further toolchain is needed.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";
const GUEST_FLAGS: &str = "-C target-feature=+crt-static";
/// Something failed that should not have (`EX_SOFTWARE`).
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match Xtask::new().and_then(|xtask| xtask.run(&args)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(INTERNAL)
        }
    }
}

struct Xtask {
    shell: Shell,
    /// Where the person is; paths on the command line are relative to it.
    here: PathBuf,
    target: PathBuf,
}

impl Xtask {
    fn new() -> xshell::Result<Xtask> {
        let shell = Shell::new()?;
        let here = shell.current_dir();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().unwrap_or(root);
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| here.join(dir));
        shell.change_dir(&root);
        shell.set_var("CARGO_TARGET_DIR", &target);
        shell.set_var("BIOSCOPE_ROOT", &root);
        shell.set_var("BIOSCOPE_TARGET", &target);
        Ok(Xtask { shell, here, target })
    }

    fn run(&self, args: &[String]) -> xshell::Result<u8> {
        match args.first().map(String::as_str) {
            Some("selftest") => self.selftest(args.get(1..).unwrap_or_default()),
            Some("fuzz") => fuzz::run(&self.shell, &self.target, args.get(1..).unwrap_or_default()),
            Some("test" | "shell" | "soak" | "bisect") => {
                self.build()?;
                Ok(self.become_harness(args))
            }
            _ => {
                cmd!(self.shell, "cargo build --quiet --release --package harness")
                    .quiet()
                    .run()?;
                Ok(self.become_harness(args))
            }
        }
    }

    /// Builds harness, device and guest binaries in release; cargo does nothing where nothing changed.
    fn build(&self) -> xshell::Result<()> {
        let shell = &self.shell;
        cmd!(shell, "cargo build --release --package harness --package vhost-blk")
            .quiet()
            .run()?;
        let guest = cmd!(
            shell,
            "cargo build --package guest-tests --bins --profile guest --target {GUEST_TARGET}"
        );
        guest.env("RUSTFLAGS", GUEST_FLAGS).quiet().run()
    }

    /// The harness, where the person is.
    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let bioscope = self.target.join("release/bioscope");
        let mut command: Command = cmd!(self.shell, "{bioscope}").into();
        command.args(args).current_dir(&self.here);
        command
    }

    /// Runs the harness and passes its exit code on.
    fn harness<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> u8 {
        let mut command = self.command(args);
        match command.status() {
            Ok(status) => status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(INTERNAL),
            Err(error) => cannot_start(&command, &error),
        }
    }

    /// Goes on as the harness, so that a signal meets it and nobody before it; comes back only if it does not start.
    fn become_harness(&self, args: &[String]) -> u8 {
        let mut command = self.command(args);
        let error = command.exec();
        cannot_start(&command, &error)
    }

    /// Our own tests: the default matrix, then what needs no VM, then the tests of the rig itself with real VMs and a real kernel's build.
    ///
    /// The arguments (`--yes`, `--offline`) go to the matrix, which comes first of those that need the network.
    fn selftest(&self, args: &[String]) -> xshell::Result<u8> {
        let shell = &self.shell;
        self.build()?;
        // The matrix asks for what it needs itself, but not for what the rig's tests need to build a kernel.
        let doctor = ["doctor"]
            .into_iter()
            .chain(args.iter().map(String::as_str).filter(|arg| *arg == "--yes"));
        let code = self.harness(&doctor.collect::<Vec<&str>>());
        if code != 0 {
            return Ok(code);
        }
        eprintln!("selftest 1 of 3: the default matrix");
        let matrix: Vec<&str> = std::iter::once("test").chain(args.iter().map(String::as_str)).collect();
        let code = self.harness(&matrix);
        if code != 0 {
            return Ok(code);
        }
        eprintln!("selftest 2 of 3: tests that need no VM");
        cmd!(shell, "cargo nextest run --workspace --profile units")
            .quiet()
            .run()?;
        cmd!(shell, "cargo test --quiet --workspace --doc").quiet().run()?;
        eprintln!("selftest 3 of 3: the rig itself, with real VMs and a kernel that is built");
        cmd!(
            shell,
            "cargo nextest run --release --package harness --run-ignored only --profile rig"
        )
        .quiet()
        .run()?;
        Ok(0)
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> u8 {
    eprintln!("error: cannot start {}: {error}", command.get_program().display());
    INTERNAL
}
