//! What Linux sees of every action of the rule language: errors, its kernel's log, data, order, tasks that wait.

mod examples;
mod outcome;
mod power;
mod timing;

/// A test an action, by the action's word. A word that has none here has its examples, as all have (`examples.rs`).
macro_rules! actions {
    ($($part:ident: $($action:ident)*;)*) => {
        $($(
            #[test]
            #[ignore = "boots a VM; run by cargo xtask selftest"]
            fn $action() {
                $part::$action();
            }
        )*)*
    };
}

actions! {
    outcome: fail short corrupt drop;
    timing: delay slow hold hang reorder;
    power: early cut disconnect;
}
