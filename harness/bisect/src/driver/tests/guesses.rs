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
            // Where neither builds, nobody can say that they are not the same.
            if (a, b) == (change - 1, change) {
                continue;
            }
            for direction in [Direction::Regression, Direction::Fix] {
                let mut world = world(items, change, direction, [a, b]);
                let (finding, _) = Place::line(items, direction).go(&mut world).expect("an answer");
                let named: Vec<usize> = match &finding {
                    Finding::Search(Conclusion::Found { item, .. }) => vec![*item],
                    Finding::Search(Conclusion::Among { items, .. }) => items.iter().map(|(item, _)| *item).collect(),
                    _ => Vec::new(),
                };
                assert!(
                    named.contains(&change),
                    "{items}, {change}, {direction:?}, {a} and {b} do not build: {finding:?}"
                );
            }
        }
    }
}
