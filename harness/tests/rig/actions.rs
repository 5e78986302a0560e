//! What Linux sees of every action of the rule language: errors, its kernel's log, data, order, tasks that wait.

mod outcome;
mod power;
mod timing;

use vhost_blk_api::plan::words;

/// A test an action, by the action's word, and the list of them.
macro_rules! actions {
    ($($part:ident: $($action:ident)*;)*) => {
        $($(
            #[test]
            #[ignore = "boots a VM; run by cargo xtask selftest"]
            fn $action() {
                $part::$action();
            }
        )*)*

        const TESTED: &[&str] = &[$($(stringify!($action)),*),*];
    };
}

actions! {
    outcome: fail short corrupt drop;
    timing: delay slow hold hang reorder;
    power: early cut disconnect;
}

/// A new word without a test here is this test's failure.
#[test]
fn every_action_has_its_test() {
    let mut words: Vec<&str> = words::action_names().collect();
    let mut tested = TESTED.to_vec();
    words.sort_unstable();
    tested.sort_unstable();
    assert_eq!(words, tested);
}
