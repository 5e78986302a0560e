//! A program of a person's own, in place of the cases: what can run in a guest, and its fault plan.

use std::path::{Path, PathBuf};

use exit::Exit;
use exit::Failure;
use host::tool;

use crate::{Exec, FaultPlan};

/// A program of the user's own with its fault plan.
///
/// # Errors
/// The program cannot run in the guest, or the plan does not parse.
pub fn exec(line: &str, plan_file: Option<&Path>, rules: &[String], seed: Option<u64>) -> Result<Exec, Failure> {
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
            let what = if path.exists() {
                "that is no file"
            } else {
                "there is no such file"
            };
            let message = format!(
                "--plan {}: {what}; expected TOML with `seed` and `rules`",
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
        Err(Failure::new(Exit::NoInput, message))
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
