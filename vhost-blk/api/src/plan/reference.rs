//! The reference of the rule language, made of its words.

use std::fmt::Write as _;

use super::action::ACTIONS;
use super::explain::explain;
use super::keys::{MATCHER_KEYS, RULE_KEYS};
use super::rule::Rule;
use super::word::KeyWord;
use crate::markdown::wrapped;

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# The rule language\n\n\
         This page is made by `vhost-blk reference`; a test compares it with the code.\n\n\
         A rule is one line, the same in a plan file, on the command line, at run time and from inside the \
         guest:\n\n    \
         ACTION [OP] [key=value]… [# comment]\n\n\
         OP is `read`, `write`, `flush`, `discard`, `write-zeroes` or `any` (the default). A request takes the first \
         rule that applies and says *when* it completes, and the first that says *how*; so it can be held and then \
         fail. If a rule cuts the power or ends the connection (`cut`, `disconnect`), the request never completes: \
         only that rule is applied to it, wherever it stands. A rule counts every request that matches its trigger, \
         including those that another rule took. Every random choice follows from the plan's seed, the rule's name \
         and the request's number. Times are `500us`, `20ms` or `5s`, bytes `512`, `4k`, `2M` or `1G`.\n\n\
         `vhost-blk explain 'RULE'` says in a sentence what a rule does.\n\n## Actions\n",
    );
    for action in &ACTIONS {
        let _ = writeln!(page, "\n### {}\n\n{}\n", action.name, action.about);
        if !action.keys.is_empty() {
            table(&mut page, action.keys.iter().copied());
            page.push('\n');
        }
        for example in action.examples {
            let sentence = example.parse().map(|rule: Rule| explain(&rule)).unwrap_or_default();
            let _ = writeln!(page, "- `{example}`  \n  {sentence}");
        }
    }
    page.push_str(
        "\n## What a request looks like\n\nAlso in `next(…)` and `done(…)`. A discard or write-zeroes can have several \
         ranges: it touches what any of them touches, is as long as all of them together, and is aligned if each of \
         them is. A flush has no position and no length.\n\n",
    );
    table(&mut page, &MATCHER_KEYS);
    page.push_str("\n## Which of them, and when\n\n");
    table(&mut page, &RULE_KEYS);
    wrapped(&page)
}

fn table<'a>(page: &mut String, keys: impl IntoIterator<Item = &'a KeyWord>) {
    page.push_str("| key | value | meaning |\n|---|---|---|\n");
    for key in keys {
        let value = key.value.replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {value} | {} |", key.name, key.about);
    }
}
