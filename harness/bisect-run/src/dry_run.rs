//! What a bisection will take: the range, what of it need not be built, and how many kernels, runs and minutes.

use std::collections::BTreeSet;

use super::maker::Maker;
use super::plan::{Estimate, Pace, Planned, median};
use super::verdict_cache::VerdictCache;
use bisect::driver::short;
use bisect::search::Search;
use bisect::state::Kind;
use exit::Failure;
use host::words::counted;
use run::prepare;

/// Items of a long range that are listed at each end.
const LISTED: usize = 20;

/// Says what the range is and what it will take.
///
/// # Errors
/// What need not be built cannot be found out.
pub(crate) fn dry_run<M: Maker>(planned: &mut Planned, fresh: &Search, maker: &M) -> Result<(), Failure> {
    let same = maker.foresee()?;
    let is_known = same.is_some();
    planned.same = same.unwrap_or_default();
    list(planned);
    if planned.kind != Kind::Releases {
        let left_out: BTreeSet<usize> = planned.same.iter().map(|(item, _)| *item).collect();
        if is_known {
            host::out!(
                "of {} {} do not reach the build, by what the last one read",
                counted(planned.names.len() - 1, planned.noun()),
                left_out.len()
            );
        } else {
            host::out!(
                "nothing of it was built yet, so what does not reach the build is not known before both ends are"
            );
        }
    }
    let estimate = planned.estimate(fresh);
    host::out!(
        "if every run of a bad kernel fails: {:.1} kernels (at most {}) and {:.1} runs (at most {}), \
            both ends among them; more of both if it fails now and then",
        estimate.kernels.0,
        estimate.kernels.1,
        estimate.runs.0,
        estimate.runs.1
    );
    let judged = prepare::cache().ok().map(|cache| VerdictCache::of(&cache));
    let pace = Pace {
        run_s: judged.and_then(|judged| median(judged.durations_ms())),
        ..maker.pace()
    };
    host::out!("{}", minutes(&estimate, pace, planned.kind != Kind::Releases));
    Ok(())
}
fn list(planned: &Planned) {
    let (bad, good) = planned.ends();
    let last = planned.names.len();
    for (item, name) in planned.names.iter().enumerate() {
        if item == LISTED && last > 2 * LISTED {
            host::out!("… {} more", last - 2 * LISTED);
        }
        if (LISTED..last.saturating_sub(LISTED)).contains(&item) && last > 2 * LISTED {
            continue;
        }
        let end = if item == bad {
            "  (bad end)"
        } else if item == good {
            "  (good end)"
        } else {
            ""
        };
        let same = planned.same.iter().find(|(same, _)| *same == item);
        let same = same.map_or_else(String::new, |(_, other)| {
            format!("  (does not reach the build: as {})", short(&planned.names[*other]))
        });
        host::out!("{}  {}{end}{same}", short(name), planned.labels[item]);
    }
}

/// How long it will take, as far as that can be said.
fn minutes(estimate: &Estimate, pace: Pace, builds: bool) -> String {
    // Of the first one nobody knows how much of it is there already.
    let (kernels, runs) = (estimate.kernels.0, estimate.runs.0);
    let build_s = match (pace.next_s.or(pace.whole_s), pace.whole_s) {
        _ if !builds => Some((0.0, String::new())),
        (None, _) => None,
        (Some(next_s), None) => Some((kernels * next_s, format!("{} a kernel", span(next_s)))),
        (Some(next_s), Some(whole_s)) => Some((
            whole_s + (kernels - 1.0).max(0.0) * next_s,
            format!(
                "{} the first kernel, {} each of the others",
                span(whole_s),
                span(next_s)
            ),
        )),
    };
    match (build_s, pace.run_s) {
        (Some((build_s, said)), Some(run_s)) => {
            let total = (build_s + runs * run_s) / 60.0;
            let comma = if said.is_empty() { "" } else { ", " };
            format!(
                "about {} here, kernels that are kept from before not taken off: \
                {said}{comma}{} a run, as earlier ones took",
                span(total * 60.0),
                span(run_s)
            )
        }
        (None, _) => {
            "how many minutes that takes is not known before a kernel was built with this configuration".to_owned()
        }
        (_, None) => "how many minutes that takes is not known before something was run by a bisection".to_owned(),
    }
}

/// Seconds, for a person.
fn span(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_those_of_builds_and_runs() {
        let estimate = Estimate {
            kernels: (7.0, 8),
            runs: (20.0, 28),
        };
        let pace = Pace {
            whole_s: Some(300.0),
            next_s: Some(60.0),
            run_s: Some(3.0),
        };
        let said = minutes(&estimate, pace, true);
        // 300 + 6 * 60 + 20 * 3 s
        assert!(said.starts_with("about 12 min here"), "{said}");
        assert!(
            said.contains("5 min the first kernel, 60 s each of the others, 3 s a run"),
            "{said}"
        );
        let said = minutes(&estimate, Pace { whole_s: None, ..pace }, true);
        assert!(said.starts_with("about 8 min here"), "{said}");
        let said = minutes(
            &estimate,
            Pace {
                run_s: Some(3.0),
                ..Pace::default()
            },
            false,
        );
        assert!(said.starts_with("about 60 s here"), "{said}");
        let unknown = minutes(
            &estimate,
            Pace {
                run_s: Some(3.0),
                ..Pace::default()
            },
            true,
        );
        assert!(unknown.contains("not known before a kernel was built"), "{unknown}");
    }
}
