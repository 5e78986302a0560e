//! What was run, as a list, and for commits as `git bisect log` has it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Report;
use crate::bisect::search::{Conclusion, Direction, Outcome};
use crate::bisect::state::Kind;

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
    // A commit that fails at all is bad; one that was only seen to pass is good, as far as is believed in the end.
    let mut seen: Vec<&str> = vec![&planned.names[bad], &planned.names[good]];
    let failed = |name: &str| {
        report
            .state
            .shown
            .iter()
            .any(|shown| shown.item == name && shown.outcome == Outcome::Failed)
    };
    let passed = |name: &str| {
        report
            .state
            .shown
            .iter()
            .any(|shown| shown.item == name && shown.outcome == Outcome::Passed)
    };
    let order = report.state.observations.iter().map(|(name, _)| name.as_str());
    for name in order {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if failed(name) {
            mark(fails, name);
        } else if passed(name) {
            mark(passes, name);
        } else {
            mark("skip", name);
        }
    }
    if let Conclusion::Found { item, .. } = report.conclusion {
        let name = &planned.names[*item];
        let _ = writeln!(text, "# first {new} commit: [{name}] {}", planned.labels[*item]);
    }
    Some(text)
}
