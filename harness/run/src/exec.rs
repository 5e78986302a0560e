//! A program of a person's own, in place of the cases: what can run in a guest, and its fault plan.

mod line;
mod program;
mod time;

use std::path::{Path, PathBuf};

use exit::Exit;
use exit::Failure;
use guest_wire::ExecTime;
use host::tool;

use crate::{Exec, FaultPlan};
pub use line::options;
pub use time::{GivenTime, case_limit, exec_time, print_limit, resolve_time};

/// What a guest has of its own in the directory of programs.
const OF_GUEST: &str = "inject";

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
    let (program, args) = line::words(line)?;
    program::check(&program, &line::hint(line).unwrap_or_default())?;
    if program.file_name().is_some_and(|name| name == OF_GUEST) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "--exec {}: the guest has a program `{OF_GUEST}` of its own in the same place; \
                give yours another name",
                program.display()
            ),
        ));
    }
    // As it is called: a program of many names knows by it what to do.
    let program = std::path::absolute(&program).unwrap_or(program);
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
        args,
        time,
        plan,
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
    program::check_static(&path, &bytes).map_err(|_| {
        Failure::new(
            Exit::Unavailable,
            "this busybox is dynamically linked; install the static one with `apt-get install busybox-static`",
        )
    })?;
    Ok(path)
}
