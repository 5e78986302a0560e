//! What was run, as a list, and for commits as `git bisect log` has it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::result::BisectReport;
use bisect::search::{Conclusion, Direction, RunOutcome};
use bisect::state::Kind;

/// Every run, in order.
pub fn runs(report: &BisectReport<'_>) -> String {
    let mut text = String::new();
    for (number, shown) in report.state.shown.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>4}  {}  {}  {}",
            number + 1,
            shown.item,
            word(shown.outcome),
            shown.dir.strip_prefix(report.dir).unwrap_or(&shown.dir).display()
        );
    }
    text
}

fn word(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Failed => "fails",
        RunOutcome::Passed => "passes",
        RunOutcome::Other => "fails in another way",
        RunOutcome::Untestable => "says nothing",
    }
}

/// For commits, what `git bisect replay` takes. None for other ranges.
pub(crate) fn git(report: &BisectReport<'_>) -> Option<String> {
    if report.planned.kind != Kind::Git {
        return None;
    }
    let planned = report.planned;
    let (old, new) = &planned.terms;
    let (bad, good) = planned.ends();
    let (fails, passes) = match planned.direction {
        Direction::Regression => (new, old),
        Direction::Fix => (old, new),
    };
    let terms = if (old.as_str(), new.as_str()) == ("good", "bad") {
        String::new()
    } else {
        format!(" '--term-old' '{old}' '--term-new' '{new}'")
    };
    let mut text = format!("git bisect start{terms}\n");
    let mark = |text: &mut String, term: &str, item: usize| {
        let (name, label) = (&planned.names[item], planned.labels.get(item));
        let _ = writeln!(text, "# {term}: [{name}] {}", label.map_or("", String::as_str));
        let _ = writeln!(text, "git bisect {term} {name}");
    };
    mark(&mut text, fails, bad);
    mark(&mut text, passes, good);
    if report.good_end_runs() == 0 {
        text.push_str("# that commit was not run: the command line says what it is\n");
    }
    let showed = |name: &str, outcome: RunOutcome| {
        let mut runs = report.state.shown.iter();
        runs.any(|shown| shown.item == name && shown.outcome == outcome)
    };
    // A commit that fails at all is bad; one that was only seen to pass is good, as far as is believed in the end.
    let term = |item: usize| {
        let name = &planned.names[item];
        if showed(name, RunOutcome::Failed) {
            fails
        } else if showed(name, RunOutcome::Passed) {
            passes
        } else {
            "skip"
        }
    };
    let mut tried = tried(report);
    // git remembers one commit of the new side, the last that it is told of: that has to be the oldest.
    tried.sort_by_key(|item| {
        let is_new = term(*item) == new.as_str();
        (is_new, if is_new { usize::MAX - item } else { *item })
    });
    let marked: BTreeSet<usize> = tried.iter().copied().chain([bad, good]).collect();
    for item in tried {
        mark(&mut text, term(item), item);
    }
    if let Conclusion::Found { item, .. } = report.conclusion
        && report.contradiction().is_none()
    {
        // What the change follows on may have been judged as another commit with the same kernel.
        for parent in planned.parents[*item].iter().filter(|parent| !marked.contains(*parent)) {
            let term = if planned.is_before(*parent, report.state) {
                old
            } else {
                "skip"
            };
            mark(&mut text, term, *parent);
        }
        let name = &planned.names[*item];
        let _ = writeln!(text, "# first {new} commit: [{name}] {}", planned.labels[*item]);
    }
    Some(text)
}

/// The items between the ends that were tried.
fn tried(report: &BisectReport<'_>) -> Vec<usize> {
    let observations = report.state.observations.iter();
    let tried: BTreeSet<&str> = observations.map(|(name, _)| name.as_str()).collect();
    let (bad, good) = report.planned.ends();
    let names = report.planned.names.iter().enumerate();
    names
        .filter(|(item, name)| *item != bad && *item != good && tried.contains(name.as_str()))
        .map(|(item, _)| item)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::plan::Planned;
    use crate::setting::Setting;
    use bisect::state::{Shown, State};

    fn git(dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "n")
                .env(format!("GIT_{who}_EMAIL"), "n@localhost");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "git {args:?}: {text}");
        text.trim().to_owned()
    }

    /// A repository of six commits on a line; their ids, oldest first.
    fn six_commits(dir: &Path) -> Vec<String> {
        git(dir, &["init", "-q"]);
        let commit = |number: usize| {
            git(
                dir,
                &["commit", "-q", "--allow-empty", "-m", &format!("number {number}")],
            );
            git(dir, &["rev-parse", "HEAD"])
        };
        (0..6).map(commit).collect()
    }

    fn planned(names: Vec<String>, direction: Direction, terms: (String, String)) -> Planned {
        Planned {
            kind: Kind::Git,
            bad: String::new(),
            good: String::new(),
            scope: Vec::new(),
            labels: (0..6).map(|number| format!("number {number}")).collect(),
            parents: Planned::line(6),
            same: Vec::new(),
            skip: Vec::new(),
            direction,
            terms,
            build_cost: 1.0,
            notes: Vec::new(),
            names,
        }
    }

    /// The change is item 3, which was run twice.
    fn state(planned: &Planned, dir: &Path) -> State {
        let (before, since) = match planned.direction {
            Direction::Regression => (RunOutcome::Passed, RunOutcome::Failed),
            Direction::Fix => (RunOutcome::Failed, RunOutcome::Passed),
        };
        let mut state = State::default();
        for (item, outcome) in [
            (0, before),
            (5, since),
            (3, RunOutcome::Untestable),
            (2, before),
            (4, since),
            (3, since),
        ] {
            let name = planned.names[item].clone();
            if outcome != RunOutcome::Untestable {
                state.shown.push(Shown {
                    item: name.clone(),
                    outcome,
                    dir: dir.to_owned(),
                });
            }
            state.observations.push((name, outcome));
        }
        state
    }

    #[test]
    fn git_replays_the_log_and_comes_to_the_same_commit() {
        for (direction, terms) in [
            (Direction::Regression, None),
            (Direction::Fix, None),
            (Direction::Fix, Some(("slow", "fast"))),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let usual = Planned::terms(direction);
            let terms = terms.map_or(usual, |(old, new)| (old.to_owned(), new.to_owned()));
            let planned = planned(six_commits(dir.path()), direction, terms);
            let log = super::git(&BisectReport {
                planned: &planned,
                state: &state(&planned, dir.path()),
                conclusion: &Conclusion::Found {
                    item: 3,
                    probability: 0.999,
                },
                cell: "partial-write on btrfs",
                setting: &Setting::of_test(),
                before: Vec::new(),
                reverted: None,
                unchecked: Vec::new(),
                hunks: Vec::new(),
                dir: dir.path(),
            });
            let file = dir.path().join("bisect.log");
            std::fs::write(&file, log.unwrap()).unwrap();
            let said = git(dir.path(), &["bisect", "replay", &file.to_string_lossy()]);
            let first = format!("{} is the first {} commit", planned.names[3], planned.terms.1);
            assert!(said.contains(&first), "{said}");
        }
    }
}
