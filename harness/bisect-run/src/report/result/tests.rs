//! What the terminal and the mail say.

use std::path::PathBuf;

use bisect::search::End;
use bisect::signature::{Obstacle, Reason};
use bisect::state::Shown;

use super::*;
use crate::report::mail::mail;
use crate::report::sides::Side;
use crate::report::wrong_ends;

fn planned(kind: Kind) -> Planned {
    let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    Planned {
        kind,
        bad: "d".to_owned(),
        good: "a".to_owned(),
        scope: Vec::new(),
        labels: vec![String::new(); names.len()],
        parents: Planned::line(names.len()),
        names,
        same: Vec::new(),
        skip: Vec::new(),
        direction: Direction::Regression,
        terms: Planned::terms(Direction::Regression),
        build_cost: 1.0,
        notes: Vec::new(),
    }
}

fn state(ran: &[(&str, RunOutcome)]) -> State {
    let shown = |(item, outcome): &(&str, RunOutcome)| Shown {
        item: (*item).to_owned(),
        outcome: *outcome,
        dir: PathBuf::new(),
    };
    let mut state = State::default();
    state.shown = ran.iter().map(shown).collect();
    state
}

fn render(planned: &Planned, state: &State, unchecked: &[usize]) -> String {
    report(planned, state, &Setting::of_test(), unchecked).render()
}

fn report<'a>(planned: &'a Planned, state: &'a State, setting: &'a Setting, unchecked: &[usize]) -> BisectReport<'a> {
    BisectReport {
        planned,
        state,
        conclusion: &Conclusion::Found {
            item: 2,
            probability: 0.998,
        },
        cell: "partial-write on btrfs",
        setting,
        before: Vec::new(),
        reverted: None,
        unchecked: unchecked.to_vec(),
        hunks: Vec::new(),
        dir: Path::new(""),
    }
}

#[test]
fn what_was_not_run_passes_nowhere() {
    let planned = planned(Kind::Git);
    let mut state = state(&[
        ("d", RunOutcome::Failed),
        ("a", RunOutcome::Passed),
        ("c", RunOutcome::Failed),
    ]);
    let reason = Reason {
        obstacle: Obstacle::Build,
        detail: "error".to_owned(),
        files: Vec::new(),
        noted: Vec::new(),
    };
    // It is taken for the one before it.
    state.skipped.insert("b".to_owned(), reason);
    let text = render(&planned, &state, &[1]);
    assert!(
        text.contains("    b was not tested\n    a still passes\n") && !text.contains("b still passes"),
        "{text}"
    );
    let setting = Setting::of_test();
    let report = report(&planned, &state, &setting, &[1]);
    assert_eq!(report.sides(), Some((2, 0)));
    // Nor does the mail say more than the terminal.
    let [bad, good] = ["c", "a"].map(Side::of_test);
    let mail = mail(&report, &bad, &good);
    assert!(mail.contains("fails since c (\"\"); a still passes"), "{mail}");
    assert!(mail.contains("Note: not checked: b; they seem"), "{mail}");
}

#[test]
fn a_good_end_that_was_never_run_is_told() {
    let planned = planned(Kind::Git);
    let ran = [
        ("d", RunOutcome::Failed),
        ("b", RunOutcome::Passed),
        ("c", RunOutcome::Failed),
    ];
    let text = render(&planned, &state(&ran), &[]);
    assert!(
        text.contains(
            "    the good end, a, was never run, as it costs most to make: that it passes is only what the command \
            line says. The result does not depend on it, as b was run and passes\n"
        ),
        "{text}"
    );
    let ran = [&ran[..], &[("a", RunOutcome::Passed)]].concat();
    let text = render(&planned, &state(&ran), &[]);
    assert!(!text.contains("never run") && !text.contains("not checked"), "{text}");
    let text = render(&planned, &state(&ran), &[1, 3]);
    assert!(
        text.contains("    not checked: b, d; they seem to change nothing"),
        "{text}"
    );
}

#[test]
fn each_state_of_a_series_is_told() {
    let planned = planned(Kind::Series);
    let mut state = state(&[("a", RunOutcome::Passed), ("b", RunOutcome::Passed)]);
    let reason = Reason {
        obstacle: Obstacle::Build,
        detail: "error".to_owned(),
        files: Vec::new(),
        noted: Vec::new(),
    };
    state.skipped.insert("c".to_owned(), reason);
    assert_eq!(
        states(&planned, &state),
        "    a builds, passes 1 run\n    b builds, passes 1 run\n    c does not build: error\n    d was not tried\n"
    );
}

#[test]
fn an_end_of_a_series_is_named_and_told_why_it_says_nothing() {
    let planned = Planned {
        bad: "1a2b3c".to_owned(),
        good: "4d5e6f".to_owned(),
        ..planned(Kind::Series)
    };
    let mut state = state(&[]);
    let reason = Reason {
        obstacle: Obstacle::Build,
        detail: "an error".to_owned(),
        files: Vec::new(),
        noted: Vec::new(),
    };
    state.skipped.insert("d".to_owned(), reason);
    let said = wrong_ends(&Conclusion::EndUntestable(End::Bad), &planned, &state);
    let said = said.expect("there is no result");
    assert!(
        said.starts_with("the bad end, d, cannot be tested: does not build: an error\n"),
        "{said}"
    );
    let said = wrong_ends(&Conclusion::GoodEndFails { probability: 1.0 }, &planned, &state);
    assert!(
        said.expect("there is no result")
            .starts_with("both ends fail: a fails just like d;")
    );
}
