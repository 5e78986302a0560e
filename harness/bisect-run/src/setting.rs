//! What all runs of a bisection have in common.

use std::path::PathBuf;

use exit::Failure;
use host::places::Places;
use machine::accel::Choice;
use run::exec::ExecRequest;
use run::trial::CASE_SEED;
use run::{CASE_LIMIT, Exec, exec};

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

    /// How machines are set up where that was asked for: what an emulated processor shows or what was out of time
    /// says nothing of another setting.
    pub(crate) fn scope(&self) -> Vec<String> {
        let RunOptions {
            accel,
            cold_boot,
            case_limit,
            ..
        } = self.options;
        let accel = match accel {
            Choice::Auto => None,
            Choice::Kvm => Some("--accel kvm".to_owned()),
            Choice::Tcg => Some("--accel tcg".to_owned()),
        };
        let limit = (case_limit != CASE_LIMIT).then(|| format!("--case-limit {}ms", case_limit.as_millis()));
        accel
            .into_iter()
            .chain(cold_boot.then(|| "--cold-boot".to_owned()))
            .chain(limit)
            .collect()
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
                accel: Choice::Auto,
                case_limit: CASE_LIMIT,
                cold_boot: false,
                offline: false,
                yes: false,
            },
            snapshots: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_another_machine_shows_is_another_bisection() {
        let setting = |change: fn(&mut RunOptions)| {
            let mut setting = Setting::of_test();
            change(&mut setting.options);
            setting.scope()
        };
        assert_eq!(setting(|_| {}), [""; 0]);
        assert_eq!(setting(|options| options.accel = Choice::Kvm), ["--accel kvm"]);
        assert_eq!(setting(|options| options.accel = Choice::Tcg), ["--accel tcg"]);
        assert_eq!(setting(|options| options.cold_boot = true), ["--cold-boot"]);
        assert_eq!(
            setting(|options| options.case_limit = Duration::from_secs(300)),
            ["--case-limit 300000ms"]
        );
        // How the search goes on is no matter of what was run.
        assert_eq!(setting(|options| options.restart = true), [""; 0]);
    }
}
