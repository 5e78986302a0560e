//! `cargo xtask selftest`: the default matrix, then what needs no VM, then the tests of the rig itself with real VMs
//! and a real kernel's build.

use std::ffi::OsString;
use std::process::ExitCode;

use exit::{Exit, Failure};
use xshell::cmd;

use crate::cli::SelftestArgs;
use crate::repo::Repo;
use crate::{harness, tool, workspace};

/// Runs all three, until one fails; the exit code, which may be the harness's.
pub(crate) fn run(repo: &Repo, args: &SelftestArgs) -> Result<ExitCode, Failure> {
    let shell = &repo.shell;
    harness::build(repo)?;
    // The matrix asks for what it needs itself, but not for what the rig's tests need to build a kernel.
    let code = harness::run(repo, &doctor(args))?;
    if code != Exit::Success.code() {
        return Ok(ExitCode::from(code));
    }
    eprintln!("selftest 1 of 3: the default matrix");
    let code = harness::run(repo, &matrix(args))?;
    if code != Exit::Success.code() {
        return Ok(ExitCode::from(code));
    }
    eprintln!("selftest 2 of 3: tests that need no VM");
    tool::run(cmd!(shell, "cargo nextest run --workspace --profile units"))?;
    tool::run(cmd!(shell, "cargo test --quiet --workspace --doc"))?;
    eprintln!("selftest 3 of 3: the rig itself, with real VMs and a kernel that is built");
    let members = workspace::members(&repo.root)?;
    let packages: Vec<&str> = rig(&members).collect();
    tool::run(cmd!(
        shell,
        "cargo nextest run --release {packages...} --run-ignored only --profile rig"
    ))?;
    Ok(Exit::Success.into())
}

fn doctor(args: &SelftestArgs) -> Vec<OsString> {
    let yes = args.yes || args.matrix.iter().any(|word| word == "--yes");
    let words = ["doctor"].into_iter().chain(yes.then_some("--yes"));
    words.map(OsString::from).collect()
}

/// The options go to the matrix, which comes first of those that need the network.
fn matrix(args: &SelftestArgs) -> Vec<OsString> {
    let words = ["test"]
        .into_iter()
        .chain(args.yes.then_some("--yes"))
        .chain(args.offline.then_some("--offline"));
    words.map(OsString::from).chain(args.matrix.iter().cloned()).collect()
}

/// The packages with tests that boot machines or build kernels, as options of cargo: the harness's. The whole
/// workspace would do, but would build the tests of the device in release too, and its binary with what only its
/// tests use.
fn rig(members: &[workspace::Member]) -> impl Iterator<Item = &str> {
    members
        .iter()
        .filter(|member| member.folder.starts_with("harness"))
        .flat_map(|member| ["--package", member.name.as_str()])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Task};
    use crate::workspace::Member;

    #[test]
    fn the_rigs_packages_are_those_of_the_harness() {
        let member = |name: &str, folder: &str| Member {
            name: name.to_owned(),
            folder: Path::new(folder).to_owned(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        let members = [
            member("harness", "harness"),
            member("bisect", "harness/bisect"),
            member("harness-like", "harness-like"),
            member("vhost-blk", "vhost-blk"),
        ];
        let options: Vec<&str> = rig(&members).collect();
        assert_eq!(options, ["--package", "harness", "--package", "bisect"]);
    }

    #[test]
    fn options_go_to_the_matrix_and_the_doctor_gets_yes() {
        let args = |words: &[&str]| {
            let words = [&["xtask", "selftest"], words].concat();
            match Cli::try_parse_from(words).map(|cli| cli.task) {
                Ok(Some(Task::Selftest(args))) => args,
                other => panic!("{other:?}"),
            }
        };
        let all = args(&["--yes", "--offline", "--fs", "xfs"]);
        assert_eq!(matrix(&all), ["test", "--yes", "--offline", "--fs", "xfs"]);
        assert_eq!(doctor(&all), ["doctor", "--yes"]);
        let late = args(&["--fs", "xfs", "--yes"]);
        assert_eq!(matrix(&late), ["test", "--fs", "xfs", "--yes"]);
        assert_eq!(doctor(&late), ["doctor", "--yes"]);
        assert_eq!(doctor(&args(&["--fs", "xfs"])), ["doctor"]);
    }
}
