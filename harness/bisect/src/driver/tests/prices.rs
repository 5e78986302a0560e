use super::*;

/// A line of 33 items of which the change is one, and one makes everything anew.
fn line(change: usize, jump: usize) -> World {
    World {
        jump: Some(jump),
        ..World::line(33, change, 1.0)
    }
}

fn spared_ms(state: &State) -> i64 {
    state.builds.values().map(|build| build.spared_ms).sum()
}

#[test]
fn the_dear_side_is_not_built_for_a_change_on_this_one() {
    let mut world = line(20, 3);
    let (finding, state) = Place::line(33, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    assert_eq!(found(&finding), 20);
    assert!(world.made.iter().all(|item| *item >= 3), "{:?}", world.made);
    // The good end would have been built from nothing, once.
    assert_eq!(spared_ms(&state), 90_000, "{:?}", state.builds);
    let said = world.said.take();
    assert!(said.iter().any(|line| line.contains("candidates left")), "{said:#?}");
    assert!(
        said.iter()
            .any(|line| line == "the good end, v0, costs most to make: it is run only if nothing nearer passes"),
        "{said:#?}"
    );

    // Kernels that are there already spare nothing.
    let mut world = World {
        is_kept: true,
        ..line(20, 3)
    };
    let (_, state) = Place::line(33, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    assert_eq!(spared_ms(&state), 0);

    // To one that knows no prices both ends come first, and nothing is spared.
    let mut world = World::line(33, 20, 1.0);
    let (_, state) = Place::line(33, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    let mut ran = world.runs.clone();
    ran.dedup();
    assert_eq!(ran[..2], [32, 0]);
    assert_eq!(spared_ms(&state), 0);
}

#[test]
fn what_does_not_reach_the_build_is_asked_for_by_the_end_that_is_made() {
    let reach = [8, 20, 21];
    let mut world = line(20, 3);
    world.same = (1..33)
        .filter(|item| !reach.contains(item))
        .map(|item| (item, item - 1))
        .collect();
    world.artifacts = (0..33)
        .map(|item| reach.iter().filter(|at| **at <= item).count())
        .collect();
    let (finding, _) = Place::line(33, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    assert_eq!(found(&finding), 20);
    let made: BTreeSet<usize> = world.made.iter().copied().collect();
    assert!(made.len() <= 2 + 2 + 1, "{made:?}");
}

#[test]
fn cut_off_at_any_moment_it_spares_the_same() {
    let go = |cut: Option<(u32, bool)>| {
        let place = Place::line(33, Direction::Fix);
        let items = (0..33).map(|item| if item < 9 { Is::Bad(1.0) } else { Is::Good });
        let mut world = World {
            jump: Some(26),
            cut,
            ..World::new(items.collect())
        };
        let mut ended = place.go(&mut world);
        if cut.is_some() {
            assert!(ended.is_err(), "it is cut off at {cut:?}");
            world.cut = None;
            ended = place.go(&mut world);
        }
        let (finding, state) = ended.expect("an answer");
        (found(&finding), state.runs.0, state.builds.len(), world.calls)
    };
    let whole = go(None);
    assert_eq!(whole.0, 9);
    for at in 1..=whole.3 {
        for left in [false, true] {
            let (item, runs, builds, _) = go(Some((at, left)));
            assert_eq!(
                (item, runs, builds),
                (whole.0, whole.1, whole.2),
                "cut off at call {at}, left {left}"
            );
        }
    }
}

#[test]
fn a_long_range_of_which_little_reaches_the_build_takes_no_longer() {
    // A step of this took seconds where each pair was looked at by itself.
    let (items, step, change) = (10_000, 1_000, 5_000);
    let mut world = World {
        jump: Some(step),
        ..World::line(items, change, 1.0)
    };
    let reaches = |item: &usize| item.is_multiple_of(step);
    world.same = (1..items)
        .filter(|item| !reaches(item))
        .map(|item| (item, item - 1))
        .collect();
    world.artifacts = (0..items).map(|item| item / step).collect();
    let (finding, _) = Place::line(items, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    assert_eq!(found(&finding), change);
    let made: BTreeSet<usize> = world.made.iter().copied().collect();
    assert!(made.len() <= 2 + 4 + 1, "{made:?}");
}
