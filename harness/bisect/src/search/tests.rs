use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::made_up;
use crate::rate::RatePrior;

/// One run settles an item.
const SURE: Config = Config {
    direction: Direction::Regression,
    error: 0.01,
    rate: RatePrior::ALWAYS,
    false_failure: 0.0,
    doubt: 0.05,
    calibration_failures: 1,
    give_up_after: 200,
    build_cost: 10.0,
    run_cost: 1.0,
};

/// A search to its end; what was run, in order.
fn play(history: &History, config: Config, mut run: impl FnMut(usize) -> RunOutcome) -> (Conclusion, Vec<usize>) {
    let mut search = Search::new(history.clone(), config).expect("a good configuration");
    let mut ran = Vec::new();
    loop {
        match search.step() {
            Step::Run(next) => {
                assert!(ran.len() < 20_000, "a search ends");
                assert_eq!(next.build, !ran.contains(&next.item));
                ran.push(next.item);
                search.observe(next.item, run(next.item));
            }
            Step::Done(conclusion) => return (conclusion, ran),
        }
    }
}

/// An oracle for a change that always shows.
fn sure<'a>(history: &'a History, direction: Direction, change: usize) -> impl Fn(usize) -> RunOutcome + 'a {
    move |item| {
        let changed = history.contains(item, change);
        if changed == (direction == Direction::Regression) {
            RunOutcome::Failed
        } else {
            RunOutcome::Passed
        }
    }
}

/// Whether an item was found, without a doubt.
fn surely(conclusion: &Conclusion, wanted: usize) -> bool {
    matches!(conclusion, Conclusion::Found { item, probability } if *item == wanted && *probability > 1.0 - 1e-9)
}

fn steps(candidates: usize) -> usize {
    candidates.next_power_of_two().trailing_zeros() as usize
}

fn line(candidates: usize) -> History {
    History::linear(candidates + 1).expect("a line")
}

#[test]
fn a_known_rate_of_1_takes_the_logarithm_of_the_range() {
    for candidates in (1..=70).chain([127, 128, 129]) {
        let history = line(candidates);
        for direction in [Direction::Regression, Direction::Fix] {
            for change in 1..=candidates {
                let config = Config { direction, ..SURE };
                let (conclusion, ran) = play(&history, config, sure(&history, direction, change));
                assert!(surely(&conclusion, change), "{conclusion:?}");
                let ends = BTreeSet::from([0, candidates]);
                assert_eq!(
                    BTreeSet::from_iter(ran[..2].iter().copied()),
                    ends,
                    "the ends come first"
                );
                assert!(ran.len() - 2 <= steps(candidates), "{candidates}, {change}: {ran:?}");
            }
        }
    }
}

#[test]
fn an_unknown_rate_that_is_1_takes_no_more_builds_than_that() {
    for candidates in (1..=40).chain([63, 64, 65, 100, 1_000, 1_024, 10_000]) {
        let history = line(candidates);
        for direction in [Direction::Regression, Direction::Fix] {
            for change in (1..=candidates).step_by((candidates / 40).max(1)) {
                let config = Config {
                    direction,
                    ..Config::default()
                };
                let (conclusion, ran) = play(&history, config, sure(&history, direction, change));
                assert!(
                    matches!(conclusion, Conclusion::Found { item, .. } if item == change),
                    "{conclusion:?}"
                );
                let built: BTreeSet<usize> = ran.iter().copied().collect();
                assert!(built.len() <= 2 + steps(candidates), "{candidates}, {change}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_failure_now_and_then_is_found_all_the_same() {
    let mut rng = Rng::with_seed(5);
    for direction in [Direction::Regression, Direction::Fix] {
        let config = Config {
            direction,
            ..Config::default()
        };
        let history = line(100);
        let mut right = 0;
        for _ in 0..200 {
            let change = rng.usize(1..=100);
            let truth = sure(&history, direction, change);
            let (conclusion, _) = play(&history, config, |item| match truth(item) {
                RunOutcome::Failed if rng.f64() < 0.3 => RunOutcome::Failed,
                _ => RunOutcome::Passed,
            });
            right += u32::from(matches!(conclusion, Conclusion::Found { item, .. } if item == change));
        }
        assert!(right >= 196, "{right} of 200");
    }
}

#[test]
fn failures_of_good_items_are_survived_when_they_are_announced() {
    let mut rng = Rng::with_seed(6);
    let history = line(64);
    let config = Config {
        false_failure: 0.05,
        ..Config::default()
    };
    let mut right = 0;
    for _ in 0..100 {
        let change = rng.usize(1..=64);
        let (conclusion, _) = play(&history, config, |item| {
            let rate = if item >= change { 0.6 } else { 0.05 };
            if rng.f64() < rate {
                RunOutcome::Failed
            } else {
                RunOutcome::Passed
            }
        });
        right += u32::from(matches!(conclusion, Conclusion::Found { item, .. } if item == change));
    }
    assert!(right >= 97, "{right} of 100");
}

#[test]
fn low_rates_are_run_where_they_are_likely_good_and_not_in_the_middle() {
    let mut search = Search::new(
        line(1_000),
        Config {
            build_cost: 0.0,
            ..Config::default()
        },
    )
    .expect("a search");
    for n in 0..60 {
        search.observe(
            1_000,
            if n % 20 == 0 {
                RunOutcome::Failed
            } else {
                RunOutcome::Passed
            },
        );
    }
    for _ in 0..60 {
        search.observe(0, RunOutcome::Passed);
    }
    let Step::Run(next) = search.step() else {
        panic!("not over")
    };
    assert!((0.3..0.47).contains(&next.bad), "{next:?}");
}

#[test]
fn a_built_item_is_run_again_rather_than_another_one_built() {
    let after_a_pass = |build_cost: f64| {
        let mut search = Search::new(
            line(1_000),
            Config {
                build_cost,
                ..Config::default()
            },
        )
        .expect("a search");
        for _ in 0..3 {
            search.observe(1_000, RunOutcome::Failed);
        }
        for _ in 0..9 {
            search.observe(0, RunOutcome::Passed);
        }
        search.observe(500, RunOutcome::Passed);
        let Step::Run(next) = search.step() else {
            panic!("not over")
        };
        next
    };
    assert!(after_a_pass(0.0).build);
    assert_eq!((after_a_pass(50.0).item, after_a_pass(50.0).build), (500, false));
}

#[test]
fn ends_that_are_not_what_they_should_be_are_said() {
    let history = line(10);
    let (conclusion, ran) = play(&history, Config::default(), |_| RunOutcome::Passed);
    let Conclusion::BadEndPasses {
        passed: 200,
        rate_below,
    } = conclusion
    else {
        panic!("{conclusion:?}")
    };
    assert!((0.014..0.016).contains(&rate_below), "{rate_below}");
    assert!(ran.iter().all(|item| *item == 10));

    let (conclusion, ran) = play(&history, Config::default(), |_| RunOutcome::Failed);
    assert_eq!(conclusion, Conclusion::GoodEndFails { probability: 1.0 });
    assert_eq!(ran, [10, 10, 10, 0]);

    for (end, item) in [(End::Bad, 10), (End::Good, 0)] {
        let (conclusion, _) = play(&history, Config::default(), |run| match run {
            run if run == item => RunOutcome::Untestable,
            10 => RunOutcome::Failed,
            _ => RunOutcome::Passed,
        });
        assert_eq!(conclusion, Conclusion::EndUntestable(end));
    }
    let other = Config {
        direction: Direction::Fix,
        ..Config::default()
    };
    let (conclusion, ran) = play(&history, other, |_| RunOutcome::Other);
    assert_eq!((conclusion, ran), (Conclusion::EndUntestable(End::Bad), vec![0; 4]));
}

#[test]
fn a_good_end_that_fails_rarely_is_noticed_before_much_is_built() {
    let mut rng = Rng::with_seed(9);
    let history = line(1_000);
    for _ in 0..20 {
        let (conclusion, ran) = play(&history, Config::default(), |_| {
            if rng.f64() < 0.2 {
                RunOutcome::Failed
            } else {
                RunOutcome::Passed
            }
        });
        assert_eq!(conclusion, Conclusion::GoodEndFails { probability: 1.0 });
        let built: BTreeSet<usize> = ran.into_iter().collect();
        assert!(built.len() <= 6, "{built:?}");
    }
}

#[test]
fn another_failure_sets_an_item_aside_and_a_rare_one_does_not() {
    let mut search = Search::new(line(10), Config::default()).expect("a search");
    search.observe(5, RunOutcome::Other);
    assert!(search.is_set_aside(5));
    for _ in 0..2 {
        search.observe(5, RunOutcome::Passed);
    }
    assert!(!search.is_set_aside(5));
    search.observe(10, RunOutcome::Other);
    assert!(!search.is_set_aside(10), "an end is given more runs");
}

#[test]
fn failures_that_no_single_change_explains_are_a_contradiction() {
    // Two branches that meet in the new end only.
    let history = History::of_parents(&[vec![], vec![0], vec![0], vec![1, 2]]).expect("a history");
    let mut search = Search::new(history, SURE).expect("a search");
    search.observe(0, RunOutcome::Passed);
    for item in 1..=3 {
        search.observe(item, RunOutcome::Failed);
    }
    assert_eq!(search.step(), Step::Done(Conclusion::Contradiction));
    assert_eq!(
        (search.outlook(), search.probabilities(), search.ahead()),
        (None, None, Vec::new())
    );
}

#[test]
fn identical_items_are_judged_once() {
    // Only 7 of the 20 reach the build.
    let reach = [3, 4, 9, 10, 11, 17, 20];
    let history = line(20);
    for change in reach {
        let mut search = Search::new(history.clone(), SURE).expect("a search");
        for item in 1..=20 {
            if !reach.contains(&item) {
                search.identical(item - 1, item);
            }
        }
        let mut ran = BTreeSet::new();
        let truth = sure(&history, Direction::Regression, change);
        let conclusion = loop {
            match search.step() {
                Step::Run(next) => {
                    ran.insert(next.item);
                    search.observe(next.item, truth(next.item));
                }
                Step::Done(conclusion) => break conclusion,
            }
        };
        assert!(surely(&conclusion, change), "{conclusion:?}");
        assert!(ran.len() <= 2 + 3, "{ran:?}");
    }
}

#[test]
fn what_may_be_wanted_next_is_known_ahead() {
    let mut search = Search::new(line(16), SURE).expect("a search");
    search.observe(16, RunOutcome::Failed);
    search.observe(0, RunOutcome::Passed);
    let ahead: BTreeMap<usize, f64> = search.ahead().into_iter().collect();
    assert_eq!(ahead.keys().copied().collect::<Vec<_>>(), [4, 12]);
    assert!(ahead.values().all(|probability| (probability - 0.5).abs() < 1e-9));
    let outlook = search.outlook().expect("an outlook");
    assert_eq!((outlook.candidates, outlook.left.builds), (16, 4));
    assert!((outlook.entropy_bits - 4.0).abs() < 1e-9);
}

#[test]
fn the_rate_is_reported_as_it_was_seen() {
    let mut search = Search::new(line(4), Config::default()).expect("a search");
    for n in 0..100 {
        search.observe(
            4,
            if n % 10 < 3 {
                RunOutcome::Failed
            } else {
                RunOutcome::Passed
            },
        );
    }
    let rate = search.outlook().expect("an outlook").rate;
    assert!(
        (0.28..0.32).contains(&rate.mean) && (0.2..0.25).contains(&rate.low) && (0.36..0.42).contains(&rate.high),
        "{rate:?}"
    );
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    let wrong = Config {
        error: 0.7,
        ..Config::default()
    };
    let error = Search::new(line(4), wrong).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "error = 0.7: expected a number above 0 and below 0.5"
    );
    let wrong = Config {
        run_cost: f64::NAN,
        ..Config::default()
    };
    assert!(Search::new(line(4), wrong).is_err());
}

/// Which candidates no run of testable items could tell from the truth, when every run of a bad item fails.
fn alike(history: &History, untestable: &BTreeSet<usize>, change: usize) -> Vec<usize> {
    let testable = || (0..history.items()).filter(|item| !untestable.contains(item));
    (1..history.items())
        .filter(|other| testable().all(|item| history.contains(item, *other) == history.contains(item, change)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Pairs of items that are the same say as much all at once as one after another.
    #[test]
    fn pairs_are_the_same_in_any_order(
        history in made_up::histories(2..20),
        pairs in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
    ) {
        let items = history.items();
        let pairs: Vec<(usize, usize)> = pairs.iter().map(|(a, b)| (a.index(items), b.index(items))).collect();
        let mut at_once = Search::new(history, Config::default()).expect("a search");
        let mut one_by_one = at_once.clone();
        for (item, other) in &pairs {
            one_by_one.identical(*item, *other);
            for hypothesis in 0..items {
                let contains = |of: usize| one_by_one.model.history.contains(of, hypothesis);
                let is_out = contains(*item) != contains(*other);
                let probability = one_by_one.probabilities().map_or(0.0, |all| all[hypothesis]);
                prop_assert!(!is_out || probability <= 0.0, "{item}, {other}, {hypothesis}");
            }
        }
        at_once.all_identical(pairs);
        let (one, other) = (at_once.probabilities(), one_by_one.probabilities());
        prop_assert_eq!(one.is_some(), other.is_some());
        for (one, other) in one.iter().flatten().zip(other.iter().flatten()) {
            prop_assert!((one - other).abs() < 1e-9, "{one} and {other}");
        }
    }

    #[test]
    fn any_history_is_searched_and_skips_end_in_the_set_that_they_hide(
        history in made_up::histories(3..40),
        fix: bool,
        change: prop::sample::Index,
        untestable in vec(0..40_usize, 0..12),
        unknown_rate: bool,
    ) {
        let direction = if fix { Direction::Fix } else { Direction::Regression };
        let change = 1 + change.index(history.items() - 1);
        let inner = 1..history.new_end();
        let untestable: BTreeSet<usize> = untestable.into_iter().filter(|item| inner.contains(item)).collect();
        let config = Config { direction, ..if unknown_rate { Config::default() } else { SURE } };
        let truth = sure(&history, direction, change);
        let oracle = |item: usize| if untestable.contains(&item) { RunOutcome::Untestable } else { truth(item) };
        let (conclusion, ran) = play(&history, config, oracle);
        let wanted = alike(&history, &untestable, change);
        match conclusion {
            Conclusion::Found { item, probability } => {
                prop_assert_eq!(vec![item], wanted);
                prop_assert!(probability > 0.99);
            }
            Conclusion::Among { items, probability } => {
                let items: Vec<usize> = items.into_iter().map(|(item, _)| item).collect();
                prop_assert_eq!(items, wanted);
                prop_assert!(probability > 0.99);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        // What is untestable is tried once.
        for item in &untestable {
            prop_assert!(ran.iter().filter(|run| *run == item).count() <= 1);
        }
        // The same observations lead to the same steps.
        let (_, again) = play(&history, config, oracle);
        prop_assert_eq!(ran, again);
    }
}

#[test]
fn a_row_of_broken_commits_is_left_behind_in_leaps() {
    let history = line(1_000);
    let broken = 400..600;
    let (conclusion, ran) = play(&history, SURE, |item| match item {
        item if broken.contains(&item) => RunOutcome::Untestable,
        item if item >= 700 => RunOutcome::Failed,
        _ => RunOutcome::Passed,
    });
    assert!(surely(&conclusion, 700), "{conclusion:?}");
    let skips = ran.iter().filter(|item| broken.contains(item)).count();
    assert!(skips <= 6, "{ran:?}");
}

#[test]
fn what_lies_ahead_is_told_about_right() {
    // A bug that shows in 1 of 3 runs.
    let history = line(64);
    let shows = |item: usize, n: usize| {
        if item >= 40 && n % 3 == 2 {
            RunOutcome::Failed
        } else {
            RunOutcome::Passed
        }
    };
    let mut search = Search::new(history, Config::default()).expect("a search");
    let (mut told, mut n) = (Vec::new(), 0);
    while let Step::Run(next) = search.step() {
        let outlook = search.outlook().expect("an outlook");
        told.push((outlook.left.runs, outlook.left.builds));
        n += 1;
        search.observe(next.item, shows(next.item, n));
    }
    let runs = told.len();
    // Once the ends are known.
    for (done, (runs_left, builds_left)) in told.iter().enumerate().skip(12) {
        let left = (runs - done) as f64;
        assert!(
            f64::from(*runs_left) <= left * 2.5 + 8.0 && f64::from(*runs_left) >= left / 3.0 - 8.0,
            "after {done} of {runs}: {told:?}"
        );
        assert!(*builds_left <= 8, "{told:?}");
    }
}
