//! What all runs of a bisection have in common.

use std::path::PathBuf;

use exit::Failure;
use host::places::Places;
use run::exec::ExecRequest;
use run::trial::CASE_SEED;
use run::{Exec, exec};

use crate::request::{Request, RunOptions, Subject};

/// What every run has in common.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The places of this installation.
    pub(crate) places: Places,
    /// A user's own program.
    pub(crate) exec: Option<Exec>,
    /// Seed that each run's own follows from.
    pub(crate) seed: u64,
    /// How the bisection is done.
    pub(crate) options: RunOptions,
    /// Where snapshots of booted guests are kept; none for the place that all runs share.
    pub(crate) snapshots: Option<PathBuf>,
}

impl Setting {
    /// The setting that a request asks for.
    ///
    /// # Errors
    /// The user's own program, its plan or its rules cannot be used.
    pub(crate) fn of(request: &Request, places: Places) -> Result<Setting, Failure> {
        let exec = match &request.subject {
            Subject::Cases { .. } => None,
            Subject::Exec {
                line,
                time,
                plan,
                rules,
            } => Some(exec::exec(&ExecRequest {
                line,
                time: *time,
                plan: plan.as_deref(),
                rules,
                seed: request.seed,
            })?),
        };
        let of_plan = exec.as_ref().map(|exec| exec.plan.seed);
        Ok(Setting {
            places,
            seed: request.seed.or(of_plan).unwrap_or(CASE_SEED),
            exec,
            options: request.options,
            snapshots: None,
        })
    }
}

#[cfg(test)]
impl Setting {
    /// One in which nothing is run.
    pub(crate) fn of_test() -> Setting {
        Setting {
            places: Places::find(),
            exec: None,
            seed: 1,
            options: RunOptions {
                confirm: crate::request::Confirm::Cheap,
                dry_run: false,
                restart: false,
                ahead: crate::request::When::Never,
                accel: machine::accel::Choice::Auto,
                case_limit: run::CASE_LIMIT,
                cold_boot: false,
                offline: false,
                yes: false,
            },
            snapshots: None,
        }
    }
}
