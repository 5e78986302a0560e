//! The command line: `cargo xtask COMMAND` ends up here. A command's own flags stand in its file below `commands/`.

use clap::{Parser, Subcommand};

use crate::commands::{bisect, build, doctor, inject, judge, log, shell, soak, store, test, update};

/// Kernel regression harness: direct I/O, page faults and a misbehaving disk.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    arg_required_else_help = true,
    after_help = "To work on this project itself:\n  \
        selftest  Run our own tests: the default matrix, those without VMs, those of the rig\n  \
        fuzz      Run the device's fuzz targets\n  \
        tidy      Check the form of the source"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the matrix: kernels × file systems × cases.
    Test(Box<test::TestArgs>),
    /// Judge stored cells again, and say where the verdict is another one.
    Judge(judge::JudgeArgs),
    /// Check that the host has what is needed, and install what is missing.
    Doctor(doctor::DoctorArgs),
    /// Move kernels.lock to what the archive holds now.
    Update(update::UpdateArgs),
    /// Build the kernels of kernels.toml that come as source, or a tree of your own.
    Build(build::BuildArgs),
    /// What kernels are kept ready, what they were made of, and what can go.
    Store(store::StoreArgs),
    /// Boot a kernel to a prompt with the fault-injecting disk attached.
    Shell(shell::ShellArgs),
    /// Inject faults into the disk of a running shell.
    Inject(inject::InjectArgs),
    /// Run fio with verification under random rules: what differs has to be explained by a rule.
    Soak(soak::SoakArgs),
    /// Find the change that made a case fail, or that fixed it, between a kernel that fails and one that passes.
    Bisect(Box<bisect::BisectArgs>),
    /// Say what reports of crashes, warnings and errors are in a kernel log.
    Log(log::LogArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_put_together_well() {
        Cli::command().debug_assert();
    }
}
