//! A program of a person's own, in place of the cases: what can run in a guest, and its fault plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exit::Exit;
use exit::Failure;
use guest_wire::{ExecTime, WhenOver};
use host::tool;
use vhost_blk_api::plan::units;

use crate::{Exec, FaultPlan};

/// A program of the user's own, as the command line has it.
#[derive(Debug, Clone, Copy)]
pub struct ExecRequest<'a> {
    /// The program and its arguments.
    pub line: &'a str,
    /// How long it may run; none if it has to end by itself.
    pub time: Option<ExecTime>,
    /// A file with a fault plan.
    pub plan: Option<&'a Path>,
    /// Rules beside the plan's.
    pub rules: &'a [String],
    /// The seed of the plan's random choices, in place of the file's.
    pub seed: Option<u64>,
}

/// A program of the user's own with its fault plan.
///
/// # Errors
/// The program cannot run in the guest, or the plan does not parse.
pub fn exec(request: &ExecRequest<'_>) -> Result<Exec, Failure> {
    let ExecRequest {
        line,
        time,
        plan: plan_file,
        rules,
        seed,
    } = *request;
    let mut words = line.split_whitespace().map(str::to_owned);
    let program = words
        .next()
        .ok_or_else(|| Failure::new(Exit::Usage, "--exec names no program; expected 'PROGRAM ARG…'"))?;
    let program = PathBuf::from(program);
    let bytes = std::fs::read(&program).map_err(|error| {
        Failure::new(
            Exit::NoInput,
            format!(
                "--exec: cannot read {}: {error}; expected the path of a static program",
                program.display()
            ),
        )
    })?;
    check_static(&program, &bytes)?;
    let program = program.canonicalize().unwrap_or(program);
    let mut plan = FaultPlan::default();
    if let Some(path) = plan_file {
        if !path.is_file() {
            let message = format!(
                "--plan {}: there is no such file; expected TOML with `seed` and `rules`",
                path.display()
            );
            return Err(Failure::new(Exit::NoInput, message));
        }
        let parsed = vhost_blk_api::plan::file::read(path).map_err(|error| Failure::foreign(Exit::Data, &error))?;
        plan.seed = parsed.seed;
        plan.rules = parsed.rules.iter().map(ToString::to_string).collect();
    }
    for rule in rules {
        check_rule(rule)?;
        plan.rules.push(rule.clone());
    }
    if let Some(seed) = seed {
        plan.seed = seed;
    }
    Ok(Exec {
        program,
        args: words.collect(),
        time,
        plan,
    })
}

/// The guest has no shared libraries and no shell: only a static executable runs there.
fn check_static(program: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use object::read::elf::{FileHeader, ProgramHeader};
    let bad = |what: &str| {
        let message = format!(
            "--exec {}: {what}; the guest runs static x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)",
            program.display()
        );
        Err(Failure::new(Exit::Usage, message))
    };
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(bytes) else {
        return bad("not an ELF executable");
    };
    let Ok(endian) = header.endian() else {
        return bad("not an ELF executable");
    };
    if header.e_machine(endian) != object::elf::EM_X86_64 {
        return bad("built for another architecture");
    }
    let segments = header.program_headers(endian, bytes).unwrap_or_default();
    if segments
        .iter()
        .any(|segment| segment.p_type(endian) == object::elf::PT_INTERP)
    {
        return bad("dynamically linked");
    }
    Ok(())
}

/// Parses how long a program may run, and what is said of one that does: `30s`, `500ms,error`.
///
/// # Errors
/// It is something else.
pub fn exec_time(words: &str) -> Result<ExecTime, String> {
    /// More is a mistake, or a soak.
    const LONGEST: Duration = Duration::from_secs(3600);
    let expected = || {
        format!(
            "expected a time of at most {} s and perhaps what it means that the program still runs then: `30s`, \
             `30s,pass` (the default) or `30s,error`",
            LONGEST.as_secs()
        )
    };
    let (time, then) = words.split_once(',').unwrap_or((words, "pass"));
    let then = match then {
        "pass" => WhenOver::Pass,
        "error" => WhenOver::Error,
        _ => return Err(expected()),
    };
    let time = units::parse_time(time).filter(|time| !time.is_zero() && *time <= LONGEST);
    let limit_ms = time.and_then(|time| u64::try_from(time.as_millis()).ok());
    Ok(ExecTime {
        limit_ms: limit_ms.ok_or_else(expected)?,
        then,
    })
}

/// Says what is wrong with a rule before anything is started.
///
/// # Errors
/// It does not parse.
pub fn check_rule(rule: &str) -> Result<(), Failure> {
    rule.parse::<vhost_blk_api::plan::Rule>()
        .map(|_| ())
        .map_err(|error| Failure::new(Exit::Usage, format!("bad rule: {}", error.render())))
}

/// The distribution's static busybox, for the shell.
///
/// # Errors
/// It is not installed, or is not static.
pub fn busybox() -> Result<PathBuf, Failure> {
    let path = tool::find("busybox").ok_or_else(|| {
        Failure::new(
            Exit::Unavailable,
            "a shell needs busybox; install it with `apt-get install busybox-static`",
        )
    })?;
    let bytes = std::fs::read(&path).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
    check_static(&path, &bytes).map_err(|_| {
        Failure::new(
            Exit::Unavailable,
            "this busybox is dynamically linked; install the static one with `apt-get install busybox-static`",
        )
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_program() {
        let time = |limit_ms, then| Ok(ExecTime { limit_ms, then });
        assert_eq!(exec_time("30s"), time(30_000, WhenOver::Pass));
        assert_eq!(exec_time("30s,pass"), time(30_000, WhenOver::Pass));
        assert_eq!(exec_time("1500ms,error"), time(1_500, WhenOver::Error));
        for wrong in ["", "30", "0s", "30s,", "30s,fail", "30s, error", "2h", "7200s", "pass"] {
            assert!(exec_time(wrong).unwrap_err().contains("`30s,error`"), "{wrong}");
        }
    }
}
