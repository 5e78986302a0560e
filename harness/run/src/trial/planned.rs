//! The cases of a trial, with all that the tables and the command line say of them.

use std::path::PathBuf;

use evidence::needs::Need;
use guest_wire::JobKind;
use machine::DiskShape;
use verdict::results::Expected;

use crate::FaultPlan;
use crate::cases::{self, EXEC};
use crate::resolved::{Run, Trial};

/// Seed of the cases' fault plans.
pub const CASE_SEED: u64 = 1;

/// A case with everything that its job needs.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) kind: JobKind,
    pub(super) program: PathBuf,
    pub(super) plan: FaultPlan,
    pub(super) needs: &'static [Need],
    pub(super) disk: DiskShape,
    pub(super) expect: Option<Expected>,
}

/// Looks up the cases of a trial.
pub(super) fn plan(run: &Run, trial: &Trial) -> Vec<Planned> {
    if let Some(exec) = &run.exec {
        let name = exec.program.file_name().unwrap_or_default().to_string_lossy();
        return vec![Planned {
            name: EXEC.to_owned(),
            kind: JobKind::Exec {
                args: exec.args.clone(),
                time: exec.time,
            },
            program: PathBuf::from(format!("/bin/{name}")),
            plan: exec.plan.clone(),
            needs: &[],
            disk: DiskShape::ORDINARY,
            expect: trial.cases.first().and_then(|case| case.expect.clone()),
        }];
    }
    let known = trial
        .cases
        .iter()
        .filter_map(|wanted| cases::find(&wanted.name).map(|case| (case, &wanted.expect)));
    known
        .map(|(case, expect)| Planned {
            name: case.name.to_owned(),
            kind: JobKind::Test { params: case.params },
            program: PathBuf::from(format!("/bin/{}", case.test())),
            plan: FaultPlan {
                seed: run.seed.unwrap_or(CASE_SEED),
                rules: case.rules.iter().map(|rule| (*rule).to_owned()).collect(),
            },
            needs: case.needs,
            disk: case.disk,
            expect: expect.clone(),
        })
        .collect()
}
