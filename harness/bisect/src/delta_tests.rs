use std::cell::RefCell;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

/// How much a failed build tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Blame {
    Units,
    Files,
    Nothing,
}

/// Units of which some flip the verdict together, and some build only with others.
#[derive(Debug, Clone)]
struct World {
    group: Vec<usize>,
    culprits: Subset,
    /// The first needs the second.
    needs: Vec<(usize, usize)>,
    blame: Blame,
}

impl World {
    fn answer(&self, subset: &Subset) -> Answer {
        let lacking = self
            .needs
            .iter()
            .filter(|(unit, other)| subset.contains(unit) && !subset.contains(other));
        let lacking: Subset = lacking.map(|(unit, _)| *unit).collect();
        if lacking.is_empty() {
            return if self.culprits.is_subset(subset) {
                Answer::Flips
            } else {
                Answer::DoesNotFlip
            };
        }
        let blamed = match self.blame {
            Blame::Units => lacking.into_iter().collect(),
            Blame::Files => {
                let files: BTreeSet<usize> = lacking.iter().map(|unit| self.group[*unit]).collect();
                subset
                    .iter()
                    .copied()
                    .filter(|unit| files.contains(&self.group[*unit]))
                    .collect()
            }
            Blame::Nothing => Vec::new(),
        };
        Answer::Unresolved(Unresolved {
            obstacle: Obstacle::Build,
            blamed,
        })
    }

    /// The culprits with all that they need: the one smallest set that builds.
    fn smallest(&self) -> Subset {
        let mut set = self.culprits.clone();
        loop {
            let before = set.len();
            let needed: Vec<usize> = self
                .needs
                .iter()
                .filter(|(unit, _)| set.contains(unit))
                .map(|(_, other)| *other)
                .collect();
            set.extend(needed);
            if set.len() == before {
                return set;
            }
        }
    }

    fn minimise(&self) -> Minimal {
        minimise(&Units::new(self.group.clone()), [], |subset| {
            Ok::<_, Infallible>(self.answer(subset))
        })
        .expect("a smallest set")
    }
}

fn worlds(
    units: std::ops::Range<usize>,
    needs: usize,
    blame: impl Strategy<Value = Blame>,
) -> impl Strategy<Value = World> {
    (units, blame).prop_flat_map(move |(units, blame)| {
        let groups = vec(0..(units / 3).max(1), units);
        let culprits = btree_set(0..units, 1..4);
        let needs = vec((0..units, 0..units), 0..=needs);
        (groups, culprits, needs).prop_map(move |(group, culprits, needs)| World {
            group,
            culprits,
            needs,
            blame,
        })
    })
}

/// Without any one unit it does not flip.
fn is_one_minimal(units: &Subset, answer: impl Fn(&Subset) -> Answer) -> bool {
    answer(units) == Answer::Flips
        && units.iter().all(|unit| {
            let mut left = units.clone();
            left.remove(unit);
            answer(&left) != Answer::Flips
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn with_units_blamed_the_result_is_the_culprits_and_what_they_need(world in worlds(1..60, 40, Just(Blame::Units))) {
        prop_assert_eq!(world.minimise().units, world.smallest());
    }

    #[test]
    fn with_files_or_nothing_blamed_the_result_is_one_minimal(
        world in worlds(1..40, 12, prop_oneof![Just(Blame::Files), Just(Blame::Nothing)]),
    ) {
        let minimal = world.minimise();
        prop_assert!(is_one_minimal(&minimal.units, |subset| world.answer(subset)));
        prop_assert!(world.smallest().is_subset(&minimal.units));
        // The culprits are known for sure, whatever else came along.
        prop_assert!(minimal.not_without.is_subset(&minimal.units));
        for unit in minimal.units.difference(&minimal.not_without) {
            let mut left = minimal.units.clone();
            left.remove(unit);
            prop_assert_eq!(world.answer(&left), Answer::DoesNotFlip);
        }
    }

    #[test]
    fn an_oracle_without_rhyme_or_reason_is_survived(units in 1..14_usize, seed: u64, blames: bool) {
        let answer = |subset: &Subset| {
            if subset.len() == units { return Answer::Flips }
            if subset.is_empty() { return Answer::DoesNotFlip }
            let mut hasher = DefaultHasher::new();
            (seed, subset).hash(&mut hasher);
            match hasher.finish() % 5 {
                0 | 1 => Answer::Flips,
                2 => Answer::DoesNotFlip,
                // Blames units that are in the set and such that are not.
                _ => Answer::Unresolved(Unresolved {
                    obstacle: Obstacle::Boot,
                    blamed: if blames {
                    vec![(seed % 7) as usize, (seed % 11) as usize, usize::MAX]
                } else {
                    Vec::new()
                },
                }),
            }
        };
        let units = Units::new((0..units).map(|unit| unit / 3).collect());
        let minimal = minimise(&units, [], |subset| Ok::<_, Infallible>(answer(subset))).expect("a smallest set");
        prop_assert!(is_one_minimal(&minimal.units, answer));
    }

    #[test]
    fn no_set_is_asked_about_twice_and_a_resume_asks_nothing_again(
        world in worlds(1..40, 20, Just(Blame::Units)),
        cut in 0.0..1.0_f64,
    ) {
        let units = Units::new(world.group.clone());
        let asked = RefCell::new(Vec::new());
        let ask = |subset: &Subset| {
            asked.borrow_mut().push(subset.clone());
            Ok::<_, Infallible>(world.answer(subset))
        };
        let first = minimise(&units, [], ask).expect("a smallest set");
        let all = asked.take();
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        prop_assert_eq!(all.len(), first.asked.asked as usize);
        // After a kill in between, with what was asked until then in a journal.
        let done = (all.len() as f64 * cut) as usize;
        let known = all[..done].iter().map(|subset| (subset.clone(), world.answer(subset)));
        let again = minimise(&units, known, ask).expect("a smallest set");
        prop_assert_eq!(&again.units, &first.units);
        prop_assert_eq!(asked.take(), &all[done..]);
    }
}

/// 200 units in 40 files.
fn two_hundred(culprits: impl IntoIterator<Item = usize>, needs: Vec<(usize, usize)>) -> World {
    World {
        group: (0..200).map(|unit| unit / 5).collect(),
        culprits: culprits.into_iter().collect(),
        needs,
        blame: Blame::Units,
    }
}

#[test]
fn one_culprit_of_200_takes_as_many_questions_as_halving() {
    for culprit in 0..200 {
        let minimal = two_hundred([culprit], Vec::new()).minimise();
        assert_eq!(minimal.units, Subset::from([culprit]));
        assert!(minimal.not_without.is_empty());
        // Both ends, 8 or 9 halvings as files are whole, and the culprit alone.
        assert!(minimal.asked.asked <= 12, "{culprit}: {:?}", minimal.asked);
    }
}

#[test]
fn a_few_culprits_of_200_take_that_many_times_as_many() {
    for culprits in [vec![3, 4], vec![0, 199], vec![7, 90, 91, 150], vec![10, 11, 12, 13, 14]] {
        let count = culprits.len() as u32;
        let minimal = two_hundred(culprits.clone(), Vec::new()).minimise();
        assert_eq!(minimal.units, culprits.into_iter().collect());
        assert!(minimal.asked.asked <= 2 + count * 11, "{:?}", minimal.asked);
    }
}

#[test]
fn a_good_guess_leaves_the_rest_out_and_a_bad_one_costs_a_question() {
    let world = two_hundred([150, 153], vec![(150, 155)]);
    let ask = |likely: Subset| {
        let units = Units::new(world.group.clone()).likely(likely);
        minimise(&units, [], |subset| Ok::<_, Infallible>(world.answer(subset))).expect("a smallest set")
    };
    let plain = ask(Subset::new());
    let mut largest = 0;
    let units = Units::new(world.group.clone()).likely((140..160).collect());
    let good = minimise(&units, [], |subset| {
        largest = largest.max(subset.len());
        Ok::<_, Infallible>(world.answer(subset))
    })
    .expect("a smallest set");
    assert_eq!(largest, 20, "what the others add is never looked at");
    assert!(
        good.asked.asked < plain.asked.asked,
        "{:?} {:?}",
        good.asked,
        plain.asked
    );
    // Units that do not build without one outside are taken out, and the rest does not flip.
    for bad in [(0..20).collect(), (140..155).collect()] {
        let bad = ask(bad);
        assert_eq!(bad.units, good.units);
        assert!(
            bad.asked.asked <= plain.asked.asked + 2,
            "{:?} {:?}",
            bad.asked,
            plain.asked
        );
    }
    // Whatever is guessed, all units together are more than a guess.
    assert_eq!(ask((0..200).collect()), plain);
    assert_eq!(plain.units, good.units);
}

#[test]
fn what_only_builds_together_comes_as_a_group() {
    // A culprit that needs a header's hunk, which needs one more; two that need each other and have nothing to do with
    // it.
    let minimal = two_hundred([60], vec![(60, 120), (120, 7), (50, 170), (170, 50)]).minimise();
    assert_eq!(minimal.units, Subset::from([7, 60, 120]));
    assert_eq!(minimal.not_without, Subset::from([7, 120]));
    assert!(minimal.asked.asked <= 40, "{:?}", minimal.asked);
}

#[test]
fn a_hundred_users_of_one_header_do_not_matter() {
    let needs = (50..150).map(|user| (user, 199)).collect();
    let minimal = two_hundred([20], needs).minimise();
    assert_eq!(minimal.units, Subset::from([20]));
    assert!(minimal.asked.asked <= 20, "{:?}", minimal.asked);
}

#[test]
fn ends_that_are_not_what_they_must_be_are_refused() {
    let units = Units::new(vec![0, 0, 1]);
    let never = minimise(&units, [], |_| Ok::<_, Infallible>(Answer::DoesNotFlip));
    assert_eq!(never, Err(DeltaError::WholeDoesNotFlip));
    let always = minimise(&units, [], |_| Ok::<_, Infallible>(Answer::Flips));
    assert_eq!(always, Err(DeltaError::NothingFlips));
    let fails = minimise(&units, [], |_| Err("disk full"));
    assert_eq!(fails, Err(DeltaError::Oracle("disk full")));
    let nothing = minimise(&Units::new(Vec::new()), [], |_| {
        Ok::<_, Infallible>(Answer::DoesNotFlip)
    });
    assert_eq!(nothing, Err(DeltaError::WholeDoesNotFlip));
}

#[test]
fn halves_are_cut_between_files_while_there_are_several() {
    let world = two_hundred([123], Vec::new());
    let mut asked = Vec::new();
    let units = Units::new(world.group.clone());
    minimise(&units, [], |subset| {
        asked.push(subset.clone());
        Ok::<_, Infallible>(world.answer(subset))
    })
    .expect("a smallest set");
    let partial = |subset: &Subset| {
        let files: BTreeSet<usize> = subset.iter().map(|unit| world.group[*unit]).collect();
        subset.len() < files.len() * 5
    };
    let first_partial = asked.iter().position(partial).expect("one within a file");
    assert!(first_partial >= 6, "{first_partial}");
    assert!(asked[first_partial..].iter().all(|subset| subset.len() <= 125));
}

#[test]
fn builds_that_blame_less_take_more_questions_but_not_many() {
    let needs = vec![(60, 120), (120, 7), (50, 170), (80, 81)];
    for (blame, most) in [(Blame::Units, 36), (Blame::Files, 36), (Blame::Nothing, 42)] {
        let world = World {
            blame,
            ..two_hundred([60], needs.clone())
        };
        let minimal = world.minimise();
        assert_eq!(minimal.units, Subset::from([7, 60, 120]), "{blame:?}");
        assert!(minimal.asked.asked <= most, "{blame:?}: {:?}", minimal.asked);
    }
}
