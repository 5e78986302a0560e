//! Any text: the parser takes it or points into it, and what it takes it prints and reads back as the same rule.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vhost_blk_api::plan::Rule;
use vhost_blk_api::plan::explain::explain;

fuzz_target!(|text: &str| {
    match text.parse::<Rule>() {
        Ok(rule) => {
            let again: Rule = rule.to_string().parse().expect("what was printed is a rule");
            assert_eq!(again, rule);
            assert!(!explain(&rule).is_empty());
        }
        Err(error) => {
            assert!(
                error.column >= 1 && error.column <= text.chars().count() + 1,
                "column {}",
                error.column
            );
            assert!(!error.render().is_empty());
        }
    }
});
