use super::*;

/// A line with its change, whose change is taken for what is before it, and some of which do not build.
fn world(items: usize, change: usize, direction: Direction, unfit: [usize; 2]) -> World {
    let is = |item: usize| {
        let is_bad = (item >= change) == (direction == Direction::Regression);
        if unfit.contains(&item) && item > 0 && item + 1 < items {
            Is::DoesNotBuild
        } else if is_bad {
            Is::Bad(1.0)
        } else {
            Is::Good
        }
    };
    World {
        same: vec![(change, change - 1)],
        ..World::new((0..items).map(is).collect())
    }
}

#[test]
fn a_guess_that_cannot_be_checked_is_taken_back() {
    // The change does not build, so nobody can say what it is.
    let mut world = world(3, 1, Direction::Fix, [1, 1]);
    let (finding, _) = Place::line(3, Direction::Fix).go(&mut world).expect("an answer");
    let Finding::Search(Conclusion::Among { items, .. }) = finding else {
        panic!("{finding:?}");
    };
    assert_eq!(items.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn wherever_a_guess_is_wrong_and_whatever_does_not_build_the_answer_has_the_change() {
    for items in 3..=6_usize {
        let all = (1..items).flat_map(|change| (0..items).flat_map(move |a| (a..items).map(move |b| (change, a, b))));
        for (change, a, b) in all {
            for direction in [Direction::Regression, Direction::Fix] {
                let mut world = world(items, change, direction, [a, b]);
                let (finding, _) = Place::line(items, direction).go(&mut world).expect("an answer");
                let named: Vec<usize> = match &finding {
                    Finding::Search(Conclusion::Found { item, .. }) => vec![*item],
                    Finding::Search(Conclusion::Among { items, .. }) => items.iter().map(|(item, _)| *item).collect(),
                    _ => Vec::new(),
                };
                // Where neither of two builds, nobody can say that they are not the same; that is said.
                let is_unchecked = (a, b) == (change - 1, change) && world.unchecked.contains(&change);
                assert!(
                    named.contains(&change) || is_unchecked,
                    "{items}, {change}, {direction:?}, {a} and {b} do not build: {finding:?}"
                );
            }
        }
    }
}

#[test]
fn what_a_person_leaves_out_and_is_guessed_is_said() {
    // The change is left out, and taken for what is before it, which passes.
    let mut world = World {
        same: vec![(4, 3)],
        ..World::line(9, 4, 1.0)
    };
    let place = Place {
        skip: vec![4],
        ..Place::line(9, Direction::Regression)
    };
    let (finding, _) = place.go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 5);
    assert_eq!(world.unchecked, [4]);
    assert!(!world.made.contains(&4));
    // Nothing is unchecked where all of it was made.
    let mut world = World {
        same: vec![(4, 3)],
        artifacts: vec![0, 1, 2, 3, 3, 4, 5, 6, 7],
        ..World::line(9, 5, 1.0)
    };
    let (finding, _) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 5);
    assert_eq!(world.unchecked, [0; 0]);
}

#[test]
fn two_that_are_one_kernel_stay_so_where_a_kill_kept_that_from_the_journal() {
    let place = Place::line(3, Direction::Regression);
    let mut world = World {
        artifacts: vec![0, 0, 1],
        ..World::line(3, 2, 1.0)
    };
    let mut journal = Journal::create(&place.dir.path().join("journal.jsonl"), &place.header()).expect("a journal");
    for item in ["v0", "v1"] {
        let built = Entry::Built {
            item: item.to_owned(),
            artifact: "artifact-0".to_owned(),
            ms: 1,
            spared_ms: None,
        };
        journal.append(&built).expect("it is written");
    }
    drop(journal);
    let (finding, _) = place.go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 2);
    assert!(!world.runs.contains(&1), "{:?}", world.runs);
}

#[test]
fn what_is_taken_for_what_a_person_leaves_out_is_said() {
    for (skip, change) in (1..4).flat_map(|skip| (1..5).map(move |change| (skip, change))) {
        let [before, after] = [(skip, skip - 1), (skip + 1, skip)];
        for same in [vec![before], vec![after], vec![before, after]] {
            let mut world = World {
                same,
                ..World::line(5, change, 1.0)
            };
            let place = Place {
                skip: vec![skip],
                ..Place::line(5, Direction::Regression)
            };
            let (finding, _) = place.go(&mut world).expect("an answer");
            let Finding::Search(conclusion) = &finding else {
                panic!("{finding:?}");
            };
            assert!(
                conclusion.items().contains(&change) || world.unchecked.contains(&change),
                "{change}, {skip} is left out, {:?}: {finding:?}, unchecked {:?}",
                world.same,
                world.unchecked
            );
        }
    }
}

#[test]
fn a_guess_beforehand_that_was_wrong_does_not_make_the_answer_wrong() {
    let place = Place::line(17, Direction::Regression);
    // The change is among those that are taken for the same as what is before them.
    let mut world = World::line(17, 6, 1.0);
    world.same = (1..17)
        .filter(|item| item % 4 != 0)
        .map(|item| (item, item - 1))
        .collect();
    let kernel = |item| (1..=item).filter(|at| at % 4 == 0 || *at == 6).count();
    world.artifacts = (0..17).map(kernel).collect();
    let (finding, _) = place.go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 6);
}
