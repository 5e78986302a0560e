//! What was run, as a list, and for commits as `git bisect log` has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Report;
use bisect::search::{Conclusion, Direction, Outcome};
use bisect::state::Kind;

/// Every run, in order.
pub fn runs(report: &Report<'_>) -> String {
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

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "fails",
        Outcome::Passed => "passes",
        Outcome::Other => "fails in another way",
        Outcome::Untestable => "says nothing",
    }
}

/// For commits, what `git bisect replay` takes. None for other ranges.
pub fn git(report: &Report<'_>) -> Option<String> {
    if report.planned.kind != Kind::Git {
        return None;
    }
    let planned = report.planned;
    let (old, new) = &planned.terms;
    let labels: BTreeMap<&str, &str> = planned
        .names
        .iter()
        .zip(&planned.labels)
        .map(|(name, label)| (name.as_str(), label.as_str()))
        .collect();
    let mut text = String::new();
    let (bad, good) = planned.ends();
    let fails = if planned.direction == Direction::Regression {
        new
    } else {
        old
    };
    let passes = if planned.direction == Direction::Regression {
        old
    } else {
        new
    };
    let terms = if (old.as_str(), new.as_str()) == ("good", "bad") {
        String::new()
    } else {
        format!(" '--term-old' '{old}' '--term-new' '{new}'")
    };
    let _ = writeln!(text, "git bisect start{terms}");
    let mut mark = |term: &str, name: &str| {
        let _ = writeln!(
            text,
            "# {term}: [{name}] {}",
            labels.get(name).copied().unwrap_or_default()
        );
        let _ = writeln!(text, "git bisect {term} {name}");
    };
    mark(fails, &planned.names[bad]);
    mark(passes, &planned.names[good]);
    let showed = |name: &str, outcome: Outcome| {
        let mut runs = report.state.shown.iter();
        runs.any(|shown| shown.item == name && shown.outcome == outcome)
    };
    // A commit that fails at all is bad; one that was only seen to pass is good, as far as is believed in the end.
    let term = |name: &str| {
        if showed(name, Outcome::Failed) {
            fails
        } else if showed(name, Outcome::Passed) {
            passes
        } else {
            "skip"
        }
    };
    let tried: BTreeSet<&str> = report
        .state
        .observations
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let between = planned
        .names
        .iter()
        .enumerate()
        .filter(|(item, _)| *item != bad && *item != good);
    let mut marks: Vec<(usize, &str)> = between
        .filter(|(_, name)| tried.contains(name.as_str()))
        .map(|(item, name)| (item, name.as_str()))
        .collect();
    // git remembers one commit of the new side, the last that it is told of: that has to be the oldest.
    marks.sort_by_key(|(item, name)| {
        let is_new = term(name) == new.as_str();
        (is_new, if is_new { usize::MAX - item } else { *item })
    });
    let marked: BTreeSet<usize> = marks.iter().map(|(item, _)| *item).chain([bad, good]).collect();
    for (_, name) in marks {
        mark(term(name), name);
    }
    // What the change follows on may have been judged as another commit with the same kernel.
    if let Conclusion::Found { item, .. } = report.conclusion {
        for parent in planned.parents[*item].iter().filter(|parent| !marked.contains(*parent)) {
            mark(old, &planned.names[*parent]);
        }
    }
    if let Conclusion::Found { item, .. } = report.conclusion {
        let name = &planned.names[*item];
        let _ = writeln!(text, "# first {new} commit: [{name}] {}", planned.labels[*item]);
    }
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::bench::Setting;
    use crate::plan::Planned;
    use bisect::state::{Shown, State};
    use host::places::Places;
    use machine::accel::Choice;

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

    #[test]
    fn git_replays_the_log_and_comes_to_the_same_commit() {
        for (direction, terms) in [
            (Direction::Regression, None),
            (Direction::Fix, None),
            (Direction::Fix, Some(("slow", "fast"))),
        ] {
            let dir = tempfile::tempdir().unwrap();
            git(dir.path(), &["init", "-q"]);
            let mut names = Vec::new();
            for number in 0..6 {
                git(
                    dir.path(),
                    &["commit", "-q", "--allow-empty", "-m", &format!("number {number}")],
                );
                names.push(git(dir.path(), &["rev-parse", "HEAD"]));
            }
            let usual = Planned::terms(direction);
            let planned = Planned {
                kind: Kind::Git,
                bad: String::new(),
                good: String::new(),
                scope: Vec::new(),
                labels: (0..6).map(|number| format!("number {number}")).collect(),
                parents: Planned::line(6),
                same: Vec::new(),
                skip: Vec::new(),
                direction,
                terms: terms.map_or(usual, |(old, new)| (old.to_owned(), new.to_owned())),
                build_cost: 1.0,
                notes: Vec::new(),
                names,
            };
            let (before, since) = match direction {
                Direction::Regression => (Outcome::Passed, Outcome::Failed),
                Direction::Fix => (Outcome::Failed, Outcome::Passed),
            };
            let mut state = State::default();
            for (item, outcome) in [
                (0, before),
                (5, since),
                (3, Outcome::Untestable),
                (2, before),
                (4, since),
                (3, since),
            ] {
                let name = planned.names[item].clone();
                if outcome != Outcome::Untestable {
                    state.shown.push(Shown {
                        item: name.clone(),
                        outcome,
                        dir: dir.path().to_owned(),
                    });
                }
                state.observations.push((name, outcome));
            }
            let conclusion = Conclusion::Found {
                item: 3,
                probability: 0.999,
            };
            let setting = Setting {
                places: Places::find(),
                exec: None,
                seed: 1,
                accel: Choice::Auto,
                cold_boot: false,
                anew: false,
                snapshots: None,
            };
            let log = super::git(&Report {
                planned: &planned,
                state: &state,
                conclusion: &conclusion,
                cell: "partial-write on btrfs",
                setting: &setting,
                reverted: None,
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
