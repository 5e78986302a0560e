//! Any rules, any requests over several queues, and whatever is told to the device meanwhile: every request that it takes completes exactly once,
//! or a rule says why not. The driver's own bookkeeping, the used rings, the device's counters and its trace must all say the same.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "../common/mod.rs"]
mod common;
mod session;
mod story;
mod verdict;

use proptest::prelude::*;
use session::Session;
use story::{Story, story};

/// Takes a story to its end, and looks at all that is left of it.
fn play(story: &Story) {
    let mut session = Session::start(story);
    for step in &story.steps {
        session.step(step);
    }
    session.end();
    verdict::agree(&session);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_request_completes_once_or_a_rule_says_why_not(story in story()) {
        play(&story);
    }
}
