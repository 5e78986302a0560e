//! `cargo xtask fuzz [TARGET…] [--seconds N] [--yes]`: runs fuzz targets, one after the other.

use std::path::Path;
use std::process::Command;

use exit::{Exit, ExitError, Failure};
use serde::Deserialize;
use thiserror::Error;
use xshell::{Shell, cmd};

use crate::cli::FuzzArgs;
use crate::repo::Repo;
use crate::tool::{self, ToolError};

/// An input that takes this long hangs.
const INPUT_SECONDS_MAX: u32 = 25;

/// Why nothing is fuzzed.
#[derive(Debug, Error)]
enum FuzzError {
    #[error("unknown target `{unknown}`: expected one of the targets {}", known.join(", "))]
    Unknown { unknown: String, known: Vec<String> },
    #[error("{what} is missing: `{install}` brings it, or this command with --yes")]
    Missing { what: &'static str, install: String },
    #[error("{what} could not be installed with `{install}`")]
    NotInstalled { what: &'static str, install: String },
    #[error("fuzz/Cargo.toml does not name its targets")]
    Manifest(#[from] toml::de::Error),
}

impl ExitError for FuzzError {
    fn exit(&self) -> Exit {
        match self {
            FuzzError::Unknown { .. } => Exit::Usage,
            FuzzError::Missing { .. } | FuzzError::NotInstalled { .. } => Exit::Unavailable,
            FuzzError::Manifest(_) => Exit::Data,
        }
    }
}

/// A tool that fuzzing needs beside cargo, and the command that brings it.
struct Tool {
    probe: &'static [&'static str],
    what: &'static str,
    install: &'static [&'static str],
}

const TOOLS: [Tool; 2] = [
    Tool {
        probe: &["c++", "--version"],
        what: "a C++ compiler (for libFuzzer)",
        install: &["apt-get", "install", "-y", "--no-install-recommends", "g++"],
    },
    Tool {
        probe: &["cargo", "fuzz", "--version"],
        what: "cargo-fuzz",
        install: &["cargo", "install", "--locked", "cargo-fuzz"],
    },
];

/// Runs the command from the repository's root.
///
/// # Errors
/// An unknown target, or a program that is missing or cannot be run.
pub(crate) fn run(repo: &Repo, args: FuzzArgs) -> Result<Exit, Failure> {
    let shell = &repo.shell;
    let manifest = shell.read_file("fuzz/Cargo.toml");
    let manifest = manifest.map_err(|error| Failure::foreign(Exit::NoInput, &error))?;
    let known = targets(&manifest).map_err(FuzzError::from)?;
    let wanted = wanted(args.targets, known)?;
    find_tools(shell, args.yes)?;
    let mut exit = Exit::Success;
    for (number, target) in wanted.iter().enumerate() {
        eprintln!("fuzz {} of {}: {target}, {} s", number + 1, wanted.len(), args.seconds);
        if !fuzz(shell, &repo.target, target, args.seconds)? {
            exit = Exit::Unexpected;
        }
    }
    Ok(exit)
}

/// Looks for all tools, and installs what is missing if it may.
fn find_tools(shell: &Shell, may_install: bool) -> Result<(), FuzzError> {
    for tool in &TOOLS {
        if is_there(tool.probe) {
            continue;
        }
        let (what, install) = (tool.what, tool.install.join(" "));
        if !may_install {
            return Err(FuzzError::Missing { what, install });
        }
        eprintln!("$ {install}");
        let sudo = tool.install.first() == Some(&"apt-get") && !is_root(shell) && is_there(&["sudo", "--version"]);
        let words: Vec<&str> = sudo
            .then_some("sudo")
            .into_iter()
            .chain(tool.install.iter().copied())
            .collect();
        let Some((program, rest)) = words.split_first() else {
            continue;
        };
        if cmd!(shell, "{program} {rest...}").quiet().run().is_err() {
            return Err(FuzzError::NotInstalled { what, install });
        }
    }
    Ok(())
}

/// Runs a target with its seeds and what earlier runs found; whether nothing was wrong.
fn fuzz(shell: &Shell, target_dir: &Path, target: &str, seconds: u32) -> Result<bool, Failure> {
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    let made = shell.create_dir(&corpus);
    made.map_err(|error| Failure::foreign(Exit::CannotCreate, &error))?;
    let mut dirs = vec![corpus];
    if shell.path_exists(&seeds) {
        dirs.push(seeds);
    }
    let (time, hang) = (
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
    );
    // The flags by which libFuzzer learns what an input reaches are not stable, and need no nightly compiler this
    // way. Without a sanitizer (-s none): the device has next to no unsafe code, and is ten times quicker.
    let fuzz = cmd!(
        shell,
        "cargo fuzz run -s none --release {target} {dirs...} -- {time} {hang} -print_final_stats=1 -verbosity=0"
    )
    .env("RUSTC_BOOTSTRAP", "1")
    // A directory of its own: the rest is built without those flags.
    .env("CARGO_TARGET_DIR", target_dir.join("fuzz"));
    match tool::run(fuzz) {
        Ok(()) => Ok(true),
        Err(ToolError::Failed { .. }) => {
            eprintln!("error: {target} failed: its input, if it found one, is in fuzz/artifacts/{target}");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_there(probe: &[&str]) -> bool {
    let Some((program, args)) = probe.split_first() else {
        return false;
    };
    Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn is_root(shell: &Shell) -> bool {
    cmd!(shell, "id -u").quiet().read().is_ok_and(|id| id.trim() == "0")
}

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
struct Bin {
    name: String,
}

/// The names of the targets in the manifest.
fn targets(manifest: &str) -> Result<Vec<String>, toml::de::Error> {
    let manifest: Manifest = toml::from_str(manifest)?;
    Ok(manifest.bin.into_iter().map(|bin| bin.name).collect())
}

/// The targets that are asked for, or all.
fn wanted(named: Vec<String>, known: Vec<String>) -> Result<Vec<String>, FuzzError> {
    if let Some(unknown) = named.iter().find(|target| !known.contains(target)) {
        let unknown = unknown.clone();
        return Err(FuzzError::Unknown { unknown, known });
    }
    Ok(if named.is_empty() { known } else { named })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        targets(include_str!("../../fuzz/Cargo.toml")).expect("a manifest")
    }

    #[test]
    fn the_manifest_names_the_targets() {
        assert_eq!(known(), ["rule", "request", "ring", "klog"]);
    }

    #[test]
    fn all_targets_or_those_named() {
        assert_eq!(wanted(Vec::new(), known()).ok(), Some(known()));
        let ring = vec!["ring".to_owned()];
        assert_eq!(wanted(ring.clone(), known()).ok(), Some(ring));
        let problem = wanted(vec!["rign".to_owned()], known())
            .expect_err("it is refused")
            .to_string();
        assert!(
            problem.contains("one of the targets rule, request, ring, klog"),
            "{problem}"
        );
    }
}
