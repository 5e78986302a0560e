//! Any rules, any requests over several queues, and whatever is told to the device meanwhile: every request that it
//! takes completes exactly once, or a rule says why not. The driver's own bookkeeping, the used rings, the device's
//! counters and its trace must all say the same.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "../common/mod.rs"]
mod common;
mod session;
mod story;
mod verdict;

use proptest::prelude::*;
use session::Session;
use story::{Story, story};

/// Takes a story to its end, on a disk of this storage, and looks at all that is left of it.
fn play(story: &Story, storage: &str) {
    let mut session = Session::start(story, storage);
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
        play(&story, "memory");
    }

    #[test]
    fn so_it_does_where_what_is_written_lies_in_a_file(story in story()) {
        play(&story, "file");
    }
}
