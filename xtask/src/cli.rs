//! The command line: our own commands, and everything else as the harness gets it.

use std::ffi::OsString;

use clap::{ArgAction, Args, Parser, Subcommand};

/// Anything but a command of our own, `--help` and `--version` included, is for the harness.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Option<Task>,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) harness: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Run our own tests: the default matrix, those without VMs, those of the rig.
    Selftest(SelftestArgs),
    /// Run the device's fuzz targets, one after the other.
    Fuzz(FuzzArgs),
    /// Check the form of the source: line and function lengths, modules, arrows between crates and files, links.
    #[command(after_help = crate::tidy::HELP)]
    Tidy(TidyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SelftestArgs {
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Never use the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Further options of `cargo xtask test` for the matrix, as in `selftest --yes --kernel 'debian-*'`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION OF TEST")]
    pub(crate) matrix: Vec<OsString>,
    #[command(flatten)]
    help: Help,
}

#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Targets to run [default: all].
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Time for each target.
    #[arg(long, value_name = "N", default_value = "60", value_parser = seconds)]
    pub(crate) seconds: u32,
    /// Install what is missing (cargo-fuzz, a C++ compiler).
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    help: Help,
}

#[derive(Debug, Args)]
pub(crate) struct TidyArgs {
    #[command(flatten)]
    help: Help,
}

/// clap's own flag is off, for `--help` without a command is the harness's, and that goes for all commands below.
#[derive(Debug, Args)]
struct Help {
    /// Print help.
    #[arg(long, short, action = ArgAction::Help)]
    help: Option<bool>,
}

fn seconds(word: &str) -> Result<u32, &'static str> {
    word.parse()
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or("expected a number of seconds from 1, as in --seconds 60")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["xtask"], args].concat())
    }

    fn handed_over(args: &[&str]) -> Vec<OsString> {
        let cli = parsed(args).unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert!(cli.task.is_none(), "{cli:?}");
        cli.harness
    }

    #[test]
    fn the_commands_are_put_together_well() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_not_ours_goes_to_the_harness_word_by_word() {
        for args in [
            &[][..],
            &["--help"],
            &["-h"],
            &["help"],
            &["help", "test"],
            &["--version"],
            &["test"],
            &["test", "--help"],
            &["test", "--list", "--kernel", "a"],
            &["bisect", "--bad", "a", "--", "fs/btrfs"],
            &["inject", "fuzz"],
            &["fuz", "--seconds", "5"],
        ] {
            assert_eq!(handed_over(args), args);
        }
    }

    #[test]
    fn our_own_commands_have_help_of_their_own() {
        for (command, expected) in [
            ("selftest", "--offline"),
            ("fuzz", "--seconds"),
            ("tidy", "ARCHITECTURE.md"),
        ] {
            let help = parsed(&[command, "--help"]).expect_err("help");
            assert!(!help.use_stderr(), "{help}");
            assert!(help.to_string().contains(expected), "{help}");
            assert!(help.to_string().contains(&format!("cargo xtask {command}")), "{help}");
        }
    }

    #[test]
    fn fuzz() {
        let fuzz = |args: &[&str]| match parsed(&[&["fuzz"], args].concat()) {
            Ok(cli) => match cli.task {
                Some(Task::Fuzz(fuzz)) => Ok((fuzz.targets, fuzz.seconds, fuzz.yes)),
                task => panic!("{task:?}"),
            },
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(fuzz(&[]), Ok((Vec::new(), 60, false)));
        assert_eq!(
            fuzz(&["--seconds", "5", "ring", "--yes"]),
            Ok((vec!["ring".to_owned()], 5, true))
        );
        assert_eq!(fuzz(&["--seconds=5"]), Ok((Vec::new(), 5, false)));
        for (args, expected) in [
            (&["--seconds", "0"][..], "a number of seconds from 1"),
            (&["--seconds"], "a value is required for '--seconds <N>'"),
            (&["--second=5"], "'--seconds'"),
        ] {
            let problem = fuzz(args).expect_err("it is refused");
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn selftest_keeps_options_of_the_matrix() {
        let selftest = |args: &[&str]| match parsed(&[&["selftest"], args].concat()).map(|cli| cli.task) {
            Ok(Some(Task::Selftest(args))) => (args.yes, args.offline, args.matrix),
            other => panic!("{other:?}"),
        };
        assert_eq!(selftest(&["--yes"]), (true, false, Vec::new()));
        let matrix = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<OsString>>();
        assert_eq!(
            selftest(&["--offline", "--kernel", "a", "--yes"]),
            (false, true, matrix(&["--kernel", "a", "--yes"]))
        );
    }
}
