//! `cargo xtask fuzz [TARGET…] [--seconds N] [--yes]`: runs fuzz targets, one after the other.

use std::path::Path;
use std::process::Command;

use xshell::{Shell, cmd};

/// A target found an input that it must not (as an unexpected failure of the matrix).
const FOUND: u8 = 1;
/// Bad usage (`EX_USAGE`).
const USAGE: u8 = 64;
/// The host lacks a tool (`EX_UNAVAILABLE`).
const LACKING: u8 = 69;

/// Time for each target when nobody says.
const SECONDS_DEFAULT: u32 = 60;
/// An input that takes this long hangs.
const INPUT_SECONDS_MAX: u32 = 25;

const HELP: &str = "Run the fuzz targets: all, or those named

Usage: cargo xtask fuzz [TARGET]... [--seconds N] [--yes]

Options:
  --seconds N  For each target [default: 60]
  --yes        Install what is missing (cargo-fuzz, a C++ compiler)";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    targets: Vec<String>,
    seconds: u32,
    yes: bool,
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

/// Runs the command from the repository's root; returns its exit code.
///
/// # Errors
/// A program that is there cannot be run.
pub(crate) fn run(shell: &Shell, target_dir: &Path, args: &[String]) -> xshell::Result<u8> {
    if args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        println!("{HELP}");
        return Ok(0);
    }
    let known = targets(&shell.read_file("fuzz/Cargo.toml")?);
    let wanted = match parse(args, &known) {
        Ok(wanted) => wanted,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Ok(USAGE);
        }
    };
    for tool in &TOOLS {
        if is_there(tool.probe) {
            continue;
        }
        let install = tool.install.join(" ");
        if !wanted.yes {
            eprintln!(
                "error: {} is missing: `{install}` brings it, or this command with --yes",
                tool.what
            );
            return Ok(LACKING);
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
            return Ok(LACKING);
        }
    }
    let mut code = 0;
    for (number, target) in wanted.targets.iter().enumerate() {
        eprintln!(
            "fuzz {} of {}: {target}, {} s",
            number + 1,
            wanted.targets.len(),
            wanted.seconds
        );
        if !fuzz(shell, target_dir, target, wanted.seconds)? {
            code = FOUND;
        }
    }
    Ok(code)
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
    // The flags by which libFuzzer learns what an input reaches are not stable, and need no nightly compiler this way. Without a sanitizer (-s none):
    // the device has next to no unsafe code, and is ten times quicker.
    let fuzz = cmd!(
        shell,
        "cargo fuzz run -s none --release {target} {dirs...} -- {time} {hang} -print_final_stats=1 -verbosity=0"
    )
    .env("RUSTC_BOOTSTRAP", "1")
    // A folder of its own: the rest is built without those flags.
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

/// The names of the targets in the manifest.
fn targets(manifest: &str) -> Vec<String> {
    let bins = manifest.split("[[bin]]").skip(1);
    let name = |bin: &str| {
        let line = bin.lines().find(|line| line.starts_with("name"))?;
        Some(line.split('"').nth(1)?.to_owned())
    };
    bins.filter_map(name).collect()
}

fn parse(args: &[String], known: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        targets: Vec::new(),
        seconds: SECONDS_DEFAULT,
        yes: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.as_str(), None),
        };
        match name {
            "--yes" => wanted.yes = true,
            "--seconds" => {
                let value = value.or_else(|| args.next().map(String::as_str)).unwrap_or_default();
                wanted.seconds = value.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
                    format!(
                        "bad value `{value}` for --seconds: expected a number of seconds from 1, as in --seconds 60"
                    )
                })?;
            }
            _ if known.iter().any(|target| target == name) => wanted.targets.push(name.to_owned()),
            _ => {
                return Err(format!(
                    "unknown target or option `{arg}`: expected --seconds N, --yes, or one of the targets {}",
                    known.join(", ")
                ));
            }
        }
    }
    if wanted.targets.is_empty() {
        wanted.targets = known.to_vec();
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        targets(include_str!("../../fuzz/Cargo.toml"))
    }

    fn parsed(args: &[&str]) -> Result<Wanted, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parse(&args, &known())
    }

    #[test]
    fn the_manifest_names_the_targets() {
        assert_eq!(known(), ["rule", "request", "ring"]);
    }

    #[test]
    fn arguments() {
        let wanted = Wanted {
            targets: known(),
            seconds: 60,
            yes: false,
        };
        assert_eq!(parsed(&[]), Ok(wanted));
        let wanted = Wanted {
            targets: vec!["ring".to_owned()],
            seconds: 5,
            yes: true,
        };
        assert_eq!(parsed(&["--seconds", "5", "ring", "--yes"]), Ok(wanted));
        for (args, expected) in [
            (&["rign"][..], "one of the targets rule, request, ring"),
            (&["--seconds", "0"], "a number of seconds from 1"),
            (&["--seconds"], "bad value ``"),
            (&["--second=5"], "expected --seconds N"),
        ] {
            let problem = parsed(args).expect_err("it is refused");
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
