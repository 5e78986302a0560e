use super::*;

#[test]
fn what_each_item_shows_counts_at_once_and_not_after_a_resume_only() {
    // Undone within the range, which is seen once each was run.
    let items = vec![
        Is::Good,
        Is::Bad(1.0),
        Is::Good,
        Is::Good,
        Is::Good,
        Is::Good,
        Is::Bad(1.0),
    ];
    let mut world = World::new(items);
    let place = Place {
        each: true,
        ..Place::line(7, Direction::Regression)
    };
    let (finding, _) = place.go(&mut world).expect("an answer");
    assert!(world.runs.contains(&1));
    let (again, _) = place.go(&mut world).expect("an answer");
    assert_eq!(finding, again);
}
