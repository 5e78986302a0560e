//! `cargo xtask fuzz [TARGET…] [--seconds N] [--yes]`: runs fuzz targets, one after the other.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use exit::Exit;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::cli::FuzzArgs;
use crate::repo::Repo;

/// An input that takes this long hangs.
const INPUT_SECONDS_MAX: u32 = 25;

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

/// Runs the command from the repository's root; returns its exit code.
///
/// # Errors
/// A program that is there cannot be run.
pub(crate) fn run(repo: &Repo, args: FuzzArgs) -> Result<u8, Box<dyn Error>> {
    let shell = &repo.shell;
    let known = targets(&shell.read_file("fuzz/Cargo.toml")?)?;
    let wanted = match wanted(args.targets, known) {
        Ok(wanted) => wanted,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Ok(Exit::Usage.code());
        }
    };
    if !tools_are_there(shell, args.yes) {
        return Ok(Exit::Unavailable.code());
    }
    let mut code = 0;
    for (number, target) in wanted.iter().enumerate() {
        eprintln!("fuzz {} of {}: {target}, {} s", number + 1, wanted.len(), args.seconds);
        if !fuzz(shell, &repo.target, target, args.seconds)? {
            code = Exit::Unexpected.code();
        }
    }
    Ok(code)
}

/// Whether all tools are there, or could be installed.
fn tools_are_there(shell: &Shell, may_install: bool) -> bool {
    for tool in &TOOLS {
        if is_there(tool.probe) {
            continue;
        }
        let install = tool.install.join(" ");
        if !may_install {
            eprintln!(
                "error: {} is missing: `{install}` brings it, or this command with --yes",
                tool.what
            );
            return false;
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
            eprintln!("error: {} could not be installed with `{install}`", tool.what);
            return false;
        }
    }
    true
}

/// Runs a target with its seeds and what earlier runs found; whether nothing was wrong.
fn fuzz(shell: &Shell, target_dir: &Path, target: &str, seconds: u32) -> xshell::Result<bool> {
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    shell.create_dir(&corpus)?;
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
    let done = fuzz.quiet().run().is_ok();
    if !done {
        eprintln!("error: {target} failed: its input, if it found one, is in fuzz/artifacts/{target}");
    }
    Ok(done)
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
fn wanted(named: Vec<String>, known: Vec<String>) -> Result<Vec<String>, String> {
    if let Some(unknown) = named.iter().find(|target| !known.contains(target)) {
        return Err(format!(
            "unknown target `{unknown}`: expected one of the targets {}",
            known.join(", ")
        ));
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
        assert_eq!(wanted(Vec::new(), known()), Ok(known()));
        let ring = vec!["ring".to_owned()];
        assert_eq!(wanted(ring.clone(), known()), Ok(ring));
        let problem = wanted(vec!["rign".to_owned()], known()).expect_err("it is refused");
        assert!(
            problem.contains("one of the targets rule, request, ring, klog"),
            "{problem}"
        );
    }
}
